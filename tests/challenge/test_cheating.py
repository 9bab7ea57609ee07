"""Submissions that cheat: links, methods that look for the truth or for others, chains, names and texts.

That the methods' cheats could work is shown where nothing isolates them.
"""

import os
from pathlib import Path

import pytest
from challenge.conftest import SCANS
from programs import need_bubblewrap

import qsmbench

HUNT = """
import os, socket, sys

def hunt(places, package):
    found = []
    for place in places:
        try:
            found.append("reads " + os.path.basename(place) if os.path.isdir(place) and os.listdir(place) else "")
        except OSError:
            pass
    for top in (*TOPS, "/home", "/root", "/var", "/srv", "/mnt", "/media", "/run"):
        for folder, _, files in os.walk(top):
            found += ["file " + f for f in files if f in ("nonce", "chimap.nii.gz", "commitment.json")]
    try:
        with open(os.path.join(package, "metrics", "planted.py"), "w") as file:
            file.write("")
        os.remove(os.path.join(package, "metrics", "planted.py"))
        found.append("writes scoring code")
    except OSError:
        pass
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline") as file:
                found += ["sees the scorer"] if "pytest" in file.read() else []
        except OSError:
            pass
    try:
        socket.create_connection(("127.0.0.1", PORT), 1).close()
        found.append("network")
    except OSError:
        pass
    return sorted(set(filter(None, found)))
"""

PYTHON = """
import numpy as np
from qsmbench.method import method
{hunt}
@method(produces="chi", reference="none")
def mine(local_field, mask):
    \"\"\"Look for the truth.\"\"\"
    raise RuntimeError("found " + (", ".join(hunt({places!r}, {package!r})) or "nothing"))
"""

AT_IMPORT = """
{hunt}
raise RuntimeError("found " + (", ".join(hunt({places!r}, {package!r})) or "nothing"))
"""

RUN = """
python3 "$(dirname "$0")/hunt.py" && cp "$1/localfield.nii.gz" "$2/chimap.nii.gz"
"""

HERE = "{hunt}\nplaces, package = {places!r}, {package!r}"

PACKAGE = str(Path(qsmbench.__file__).parent)


@pytest.fixture
def port():
    import socket

    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(5)
        yield listening.getsockname()[1]


@pytest.fixture
def fill(event, tmp_path, port):
    """Return how a text is filled in with where the truth, the other submissions and the scorer lie."""
    places = [str(event.private / "scans" / "sub-01" / "truth"), str(tmp_path / "received"), str(event.private)]

    def filled(text):
        hunt = HUNT.replace("PORT", str(port)).replace("TOPS", repr(("/tmp" if text is not HERE else str(tmp_path),)))
        return text.format(hunt=hunt, places=places, package=PACKAGE)

    return filled


def test_the_hunt_finds_it_all_where_nothing_isolates(event, tmp_path, fill):
    (tmp_path / "received" / "other").mkdir(parents=True)
    names: dict = {}
    exec(fill(HERE), names)
    found = names["hunt"](names["places"], names["package"])
    known = {"reads truth", "reads received", "reads private", "file nonce", "file chimap.nii.gz"}
    assert known | {"network", "sees the scorer"} <= set(found)


@pytest.mark.parametrize("kind", ["python", "import", "folder"])
def test_a_method_finds_nothing(event, tmp_path, fill, kind):
    need_bubblewrap()
    received = tmp_path / "received"
    event.submit(received, "other")
    mine = received / "mine"
    mine.mkdir()
    if kind == "folder":
        (mine / "algorithm.yml").write_text("stage: dipole\nrun: bash run.sh\n")
        (mine / "run.sh").write_text(RUN)
        (mine / "hunt.py").write_text(fill(AT_IMPORT))
    else:
        (mine / "mine.py").write_text(fill(PYTHON if kind == "python" else AT_IMPORT))
    found = event.score(received)
    assert found["other"] == dict.fromkeys(SCANS, "")
    assert all("found nothing" in found["mine"][scan] for scan in SCANS), found["mine"]


@pytest.mark.parametrize("what", ["file", "folder", "about", "whole", "hard"])
def test_a_link_to_the_truth_is_refused(event, tmp_path, what):
    received = tmp_path / "received"
    folder = event.submit(received, "linked")
    truth = event.private / "scans" / "sub-01" / "truth"
    event.submit(received, "other")
    if what == "file":
        (folder / "sub-01" / "chimap.nii.gz").unlink()
        (folder / "sub-01" / "chimap.nii.gz").symlink_to(truth / "chimap.nii.gz")
    elif what == "folder":
        (folder / "sub-01").rename(tmp_path / "aside")
        (folder / "sub-01").symlink_to(truth)
    elif what == "about":
        (folder / "submission.yaml").symlink_to(event.private / "nonce")
    elif what == "whole":
        folder.rename(tmp_path / "aside")
        folder.symlink_to(event.private / "scans")
    else:
        (folder / "sub-01" / "chimap.nii.gz").unlink()
        os.link(truth / "chimap.nii.gz", folder / "sub-01" / "chimap.nii.gz")
    found = event.score(received)
    assert "link" in found["linked"]["sub-01"] and found["other"] == dict.fromkeys(SCANS, "")
    assert (event.private / "nonce").read_text().strip() not in str(found)


@pytest.mark.parametrize(
    "chain",
    [
        "truth.mine",
        "true_local_field.mine",
        "romeo.fit.true_mask.vsharp.mine",
        "zero.mine",
        "mine.zero",
        "truth.noisy.mine",
    ],
)
def test_a_chain_that_is_fed_the_truth_is_refused(event, tmp_path, chain):
    need_bubblewrap()
    mine = tmp_path / "received" / "mine"
    mine.mkdir(parents=True)
    (mine / "mine.py").write_text(SIMPLE)
    (mine / "submission.yaml").write_text(f"chain: {chain}")
    assert "gives what a scan does not have" in event.score(tmp_path / "received")["mine"]["sub-01"]


SIMPLE = """
from qsmbench.method import method

@method(produces="chi", reference="none")
def mine(local_field, mask):
    \"\"\"A field as χ.\"\"\"
    return 3 * local_field * mask
"""


@pytest.mark.parametrize(
    "chain", ["romeo.fit.vsharp.tkd", "mine.mine", "romeo.fit.vsharp.mine./etc/x", "../mine", "mine.os"]
)
def test_other_chains_that_are_none_are_refused(event, tmp_path, chain):
    need_bubblewrap()
    mine = tmp_path / "received" / "mine"
    mine.mkdir(parents=True)
    (mine / "mine.py").write_text(SIMPLE)
    (mine / "submission.yaml").write_text(f"chain: {chain}")
    assert "chain is" in event.score(tmp_path / "received")["mine"]["sub-01"]


def test_an_honest_method_is_scored_as_a_file_and_in_a_folder(event, tmp_path):
    need_bubblewrap()
    received = tmp_path / "received"
    (received / "folder").mkdir(parents=True)
    (received / "folder" / "mine.py").write_text(SIMPLE)
    (received / "alone.py").write_text(SIMPLE)
    found = event.score(received)
    assert found == dict.fromkeys(["alone", "folder"], dict.fromkeys(SCANS, ""))
    assert event.values("alone") == event.values("folder")


@pytest.mark.parametrize("name", ["truth", "zero", "true_mask"])
def test_nobody_is_called_as_a_control(event, tmp_path, name):
    event.submit(tmp_path / "received", name)
    assert "name of a control" in event.score(tmp_path / "received")[name]["sub-01"]


def test_a_method_is_never_run_unisolated(event, tmp_path):
    from qsmbench.errors import QsmbenchError

    event.submit(tmp_path / "received", "maps")
    with pytest.raises(QsmbenchError, match="run isolated"):
        event.score(tmp_path / "received", container="none")


def test_a_method_that_kills_or_waits_is_a_row(event, tmp_path):
    """It ends itself and what it sees, which is not the scorer."""
    need_bubblewrap()
    received = tmp_path / "received"
    (received / "kills").mkdir(parents=True)
    body = "    import os, signal\n    os.kill(-1, signal.SIGKILL)\n"
    (received / "kills" / "mine.py").write_text(SIMPLE.replace("    return", f"{body}    return"))
    event.submit(received, "other")
    found = event.score(received)
    # in a namespace of its own there may be nothing else to kill
    assert (
        any(why in found["kills"]["sub-01"] for why in ("crashed", "No such process"))
        and found["other"]["sub-01"] == ""
    )
