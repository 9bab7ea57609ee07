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


def test_a_method_finds_nothing(event, tmp_path, fill):
    need_bubblewrap()
    received = tmp_path / "received"
    event.submit(received, "other")
    kinds = ["when-run", "when-imported", "folder"]
    for kind in kinds:
        mine = received / kind
        mine.mkdir()
        if kind == "folder":
            (mine / "algorithm.yml").write_text("stage: dipole\nrun: bash run.sh\n")
            (mine / "run.sh").write_text(RUN)
            (mine / "hunt.py").write_text(fill(AT_IMPORT))
        else:
            (mine / "mine.py").write_text(fill(PYTHON if kind == "when-run" else AT_IMPORT))
    found = event.score(received)
    assert found["other"] == dict.fromkeys(SCANS, "")
    for kind in kinds:
        assert all("found nothing" in found[kind][scan] for scan in SCANS), found[kind]


def test_a_link_to_the_truth_is_refused(event, tmp_path):
    received = tmp_path / "received"
    truth = event.private / "scans" / "sub-01" / "truth"
    event.submit(received, "other")
    names = ["file", "folder", "about", "whole", "hard"]
    folders = {name: event.submit(received, name) for name in names}
    (folders["file"] / "sub-01" / "chimap.nii.gz").unlink()
    (folders["file"] / "sub-01" / "chimap.nii.gz").symlink_to(truth / "chimap.nii.gz")
    (folders["folder"] / "sub-01").rename(tmp_path / "aside")
    (folders["folder"] / "sub-01").symlink_to(truth)
    (folders["about"] / "submission.yaml").symlink_to(event.private / "nonce")
    folders["whole"].rename(tmp_path / "all-aside")
    folders["whole"].symlink_to(event.private / "scans")
    (folders["hard"] / "sub-01" / "chimap.nii.gz").unlink()
    os.link(truth / "chimap.nii.gz", folders["hard"] / "sub-01" / "chimap.nii.gz")
    found = event.score(received)
    assert found["other"] == dict.fromkeys(SCANS, "")
    assert [name for name in names if "link" not in found[name]["sub-01"]] == []
    assert (event.private / "nonce").read_text().strip() not in str(found)


FED_THE_TRUTH = [
    "truth.mine",
    "true_local_field.mine",
    "romeo.fit.true_mask.vsharp.mine",
    "zero.mine",
    "mine.zero",
    "truth.noisy.mine",
]

NO_CHAINS = ["romeo.fit.vsharp.tkd", "mine.mine", "romeo.fit.vsharp.mine./etc/x", "../mine", "mine.os"]


def test_chains_that_are_fed_the_truth_or_are_none_are_refused(event, tmp_path):
    need_bubblewrap()
    expected = {}
    for chains, why in ((FED_THE_TRUTH, "gives what a scan does not have"), (NO_CHAINS, "chain is")):
        for chain in chains:
            mine = tmp_path / "received" / f"submission-{len(expected)}"
            mine.mkdir(parents=True)
            (mine / "mine.py").write_text(SIMPLE)
            (mine / "submission.yaml").write_text(f"chain: {chain}")
            expected[mine.name] = chain, why
    found = event.score(tmp_path / "received")
    accepted = {
        chain: found[name]["sub-01"] for name, (chain, why) in expected.items() if why not in found[name]["sub-01"]
    }
    assert accepted == {}


SIMPLE = """
from qsmbench.method import method

@method(produces="chi", reference="none")
def mine(local_field, mask):
    \"\"\"A field as χ.\"\"\"
    return 3 * local_field * mask
"""


def test_an_honest_method_is_scored_as_a_file_and_in_a_folder(event, tmp_path):
    need_bubblewrap()
    received = tmp_path / "received"
    (received / "folder").mkdir(parents=True)
    (received / "folder" / "mine.py").write_text(SIMPLE)
    (received / "alone.py").write_text(SIMPLE)
    found = event.score(received)
    assert found == dict.fromkeys(["alone", "folder"], dict.fromkeys(SCANS, ""))
    assert event.values("alone") == event.values("folder")


def test_nobody_is_called_as_a_control(event, tmp_path):
    names = ["truth", "zero", "true_mask"]
    for name in names:
        event.submit(tmp_path / "received", name)
    found = event.score(tmp_path / "received")
    assert [name for name in names if "name of a control" not in found[name]["sub-01"]] == []


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
