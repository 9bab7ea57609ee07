"""Others' Python in bubblewrap: it gives what it gives elsewhere, and none of it runs anywhere else."""

import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import numpy as np
import pytest
from programs import need_bubblewrap
from steps import step_spec

from qsmbench import sandbox
from qsmbench.data import folders
from qsmbench.errors import ExitCode, QsmbenchError
from qsmbench.run import isolated, registry, step
from qsmbench.run.call import checked
from qsmbench.study import config

HEAD = """
import os
from pathlib import Path
import numpy as np
from qsmbench.errors import NotApplicable
from qsmbench.method import method, note
"""


def write(folder, body, produces="'chi'", consumes="local_field, mask, grid", before="", name="mine"):
    text = f"@method(produces={produces}, reference='test')\ndef {name}({consumes}, *, k=1.0):\n    {body}\n"
    (folder / f"{name}.py").write_text(f"{HEAD}{before}\n{text}")
    return folder / f"{name}.py"


@pytest.fixture
def both(scan_folder, tmp_path):
    """Run a Python file without and with isolation; returns both records and folders of products."""
    need_bubblewrap()

    def both(file, **more):
        given = {"settings": {}, "hidden": [str(tmp_path / "truth")], **more}
        outs = {c: tmp_path / c for c in ("none", "bubblewrap")}
        records = [step.run(step_spec(file, scan_folder, outs[c], container=c, **given)) for c in outs]
        return records, list(outs.values())

    return both


def test_it_gives_the_same_bits(both, tmp_path, monkeypatch):
    """The file is named by a path from where the study runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "beside.py").write_text("factor = 0.5\n")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "weights.txt").write_text("3")
    body = "note('sum', local_field.sum()); note('e', mask.shape)\n    "
    body += "weight = float((Path(package.__file__).parent / 'weights.txt').read_text())\n    "
    body += "return k * weight * beside.factor * local_field / grid.voxel_size[1], mask"
    file = write(tmp_path, body, produces="('chi', 'mask')", before="import beside, package")
    (plain, inside), (here, there) = both(file.name, settings={"k": 3.0})
    assert (inside.status, inside.reason) == ("ok", "")
    assert inside.products == plain.products
    assert len(inside.products) == 2
    assert inside.details["notes"] == plain.details["notes"]
    assert inside.details["used"] == plain.details["used"] == {"k": 3.0}
    np.testing.assert_array_equal(folders.read(here, "chi"), folders.read(there, "chi"))


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        ("raise NotApplicable('needs eight echoes')", "skipped", "truth.mine: needs eight echoes"),
        ("return np.ones(2**46)", "memory", "Unable to allocate 512. TiB"),
        ("os._exit(3)", "failed", "crashed: exit code 3"),
    ],
)
def test_it_fails_as_it_does_elsewhere(scan_folder, tmp_path, body, status, reason):
    """The expected values are those of `test_step.test_a_method_that_does_not`."""
    need_bubblewrap()
    record = step.run(step_spec(write(tmp_path, body), scan_folder, tmp_path / "out", container="bubblewrap"))
    assert record.status == status
    assert record.reason.startswith(reason)
    assert not (tmp_path / "out" / "chimap.nii.gz").exists()


@pytest.mark.parametrize(
    ("product", "message"),
    [("chi[1:]", "chi has shape"), ("chi * np.nan", "NaN or infinite"), ("chi.astype(complex)", "must be real")],
)
def test_what_it_leaves_is_looked_at_outside(tmp_path, product, message, small):
    """A method may write what it likes where its products belong; it is checked by who reads it."""
    chi = small["truth"]["chi"]
    np.save(tmp_path / "chi.npy", eval(product))
    read = isolated._product(tmp_path, "chi", small["params"].grid)
    with pytest.raises(ValueError, match=message):
        checked(registry.find("tkd"), read, small["params"].grid)
    assert checked(registry.find("tkd"), chi, small["params"].grid)["chi"] is chi


OUTSIDE = "if not Path('/input').exists(): raise RuntimeError('outside')"


def test_what_a_setting_of_our_method_names_runs_inside(scan_folder, tmp_path):
    need_bubblewrap()
    file = write(tmp_path, f"{OUTSIDE}\n    return local_field")
    settings = {"inversion": str(file), "background": "pdf"}
    record = step.run(step_spec("two_pass", scan_folder, tmp_path / "out", settings=settings, container="bubblewrap"))
    assert (record.status, record.reason) == ("ok", "")
    assert len(record.products) == 2
    with pytest.raises(RuntimeError, match="outside"):
        registry.find(str(file)).function(None, None, None)


def test_a_choice_of_its_regularisation_runs_inside(scan_folder, tmp_path):
    need_bubblewrap()
    body = "from qsmbench.methods import tkd\n    raise NotApplicable(f'inside: {Path(\"/input\").exists()}')"
    file = write(tmp_path, body)
    file.write_text(file.read_text().replace("k=1.0", "threshold=0.1"))
    record = step.run(step_spec(f"{file}+lcurve", scan_folder, tmp_path / "out", container="bubblewrap"))
    assert (record.status, record.reason) == ("skipped", "truth.mine: inside: True")
    assert "threshold" in record.details["used"]


def test_several_orientations(scan_folder, tmp_path):
    need_bubblewrap()
    body = "return orientations[0].local_field * orientations[0].mask"
    file = write(tmp_path, body, consumes="orientations")
    record = step.run(step_spec(file, scan_folder, tmp_path / "out", container="bubblewrap"))
    assert (record.status, record.reason) == ("ok", "")


def test_what_it_does_as_it_is_imported_stays_inside(tmp_path):
    """To ask for its settings runs its code."""
    need_bubblewrap()
    trace = tmp_path / "trace"
    file = write(tmp_path, "return local_field", before=f"open({str(trace)!r}, 'w').write('was here')")
    inside = registry.describe(str(file), container="bubblewrap")
    assert not trace.exists()  # there, /tmp is another
    assert inside.settings == {"k": 1.0}
    outside = registry.describe(str(file))
    assert (outside.broken, outside.settings) == ("", {"k": 1.0})
    assert trace.exists()


def test_what_it_says_of_itself_is_not_believed(tmp_path):
    """Its files would be read by whoever runs the study, and files are named after it."""
    need_bubblewrap()
    answer = "import json, sys; open(sys.argv[2], 'w').write(json.dumps({})); os._exit(0)"
    told = {"name": "mine", "produces": ["chi"], "consumes": ["mask"], "settings": {}, "optional": []}
    told |= {"reference": "x", "portable": True, "summary": "x", "texts": {}, "watched": False}
    told |= {"files": ["/etc/shadow"], "source": "/etc/shadow"}
    file = write(tmp_path, "return mask", before=answer.format(repr(told)))
    found = registry.describe(str(file), container="bubblewrap")
    assert (found.source, found.files, found.portable, found.watched) == (file, (), False, True)
    named = tmp_path / "named.py"
    named.write_text(f"{HEAD}\n{answer.format(repr(told | {'name': '../../x'}))}")
    assert "has an invalid description" in registry.describe(str(named), container="bubblewrap").broken


def test_a_method_of_an_installed_package(tmp_path, monkeypatch):
    """Its package is found without importing it, and shown whole unless it is where Python's packages are."""
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('was imported')")
    write(package, "return local_field", name="deep")
    monkeypatch.syspath_prepend(tmp_path)
    points = {"deep": EntryPoint("deep", "theirs.deep:deep", "g"), "np": EntryPoint("np", "numpy.fft:fft", "g")}
    monkeypatch.setattr(registry, "entry_point_methods", lambda: points)
    assert isolated.source_of("deep") == package / "deep.py"
    assert isolated._code_of("deep") == [package]
    assert isolated.source_of("np").parts[-3:] == ("numpy", "fft", "__init__.py")
    assert isolated._code_of("np") == []


@pytest.mark.parametrize("container", ["docker", "podman", "apptainer"])
def test_what_has_no_image_runs_in_no_container(tmp_path, container):
    file = write(tmp_path, "return local_field")
    for act in (registry.describe, registry.find):
        with pytest.raises(QsmbenchError, match=f"mine.py: has no image to run in {container}; set container: none or"):
            act(str(file), container=container)
    assert registry.find("tkd", container=container).name == "tkd"


# Where it cannot be had


def bwrap(folder, monkeypatch, script):
    """Put a program called bwrap into PATH, alone with what a shell needs."""
    (folder / "bin").mkdir()
    if script:
        (folder / "bin" / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "bin" / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:/usr/bin:/bin" if script else str(folder / "bin"))


OPEN = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"'
"""Runs the command as it is."""


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("", "there is no program bwrap; install bubblewrap 0.8 or newer"),
        (
            "echo bwrap: Unknown option --disable-userns >&2; exit 1",
            r"\(bwrap: Unknown option --disable-userns\); it must",
        ),
        ("echo bwrap: No permissions to create new namespace >&2; exit 1", r"\(bwrap: No permissions to create"),
        (OPEN, r"\(what it runs can get out\)"),
    ],
)
def test_isolation_is_not_claimed_where_there_is_none(tmp_path, monkeypatch, script, message):
    bwrap(tmp_path, monkeypatch, script)
    file = write(tmp_path, "return local_field", before=f"open({str(tmp_path / 'trace')!r}, 'w')")
    sandbox.check_available.cache_clear()
    study = {
        "study": "s",
        "datasets": [{"phantom": "sphere", "protocol": "brain-3t"}],
        "chains": ["truth.mine"],
        "methods": {"mine": {"use": str(file)}},
        "container": "bubblewrap",
    }
    try:
        with pytest.raises(QsmbenchError, match=message) as caught:
            config.parse(study, "s.yaml")
    finally:
        sandbox.check_available.cache_clear()
    assert caught.value.exit_code == ExitCode.USAGE
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("weaker", ["--cap-drop", "--remount-ro", "--disable-userns"])
def test_the_trial_finds_an_open_room(tmp_path, monkeypatch, weaker):
    """Without one of the options, as root where it matters."""
    need_bubblewrap()
    if weaker == "--cap-drop" and os.getuid() != 0:
        pytest.skip("an ordinary user has no capabilities to drop")
    whole = sandbox.Sandbox.command

    def command(self, words):
        made = whole(self, words)
        kept = [i for i, w in enumerate(made) if w != weaker and (i == 0 or made[i - 1] != weaker)]
        return [made[i] for i in kept] if weaker != "--disable-userns" else [w for w in made if w != weaker]

    monkeypatch.setattr(sandbox.Sandbox, "command", command)
    with pytest.raises(QsmbenchError, match="what it runs can get out"):
        sandbox.check_available.__wrapped__()


def test_the_command_refuses_before_anything_is_written(scan_folder, tmp_path):
    file = write(tmp_path, "return local_field")
    (tmp_path / "bin").mkdir()
    command = [sys.executable, "-m", "qsmbench.cli", "reconstruct", "truth.mine", "scan", "out", "--truth", "truth"]
    done = subprocess.run(
        [*command, "--method", f"mine={file}", "--container", "bubblewrap"],
        cwd=scan_folder,
        env={**os.environ, "PATH": str(tmp_path / "bin")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "qsmbench: container is bubblewrap, but there is no program bwrap; install bubblewrap 0.8 or newer"
    )
    assert not (scan_folder / "out").exists()


def test_results_below_a_folder_that_is_shown_are_covered(tmp_path):
    """Wherever they lie: here in the folder of the method, which cannot be told before."""
    need_bubblewrap()
    (tmp_path / "shown" / "results").mkdir(parents=True)
    (tmp_path / "shown" / "results" / "truth").write_text("secret")
    (tmp_path / "shown" / "code").write_text("code")
    for hidden, seen in [((), "secret"), ((tmp_path / "shown" / "results",), "")]:
        work = tmp_path / f"work{len(hidden)}"
        work.mkdir()
        room = sandbox.Sandbox(work, {"/algo": tmp_path / "shown"}, {}, hidden)
        script = "cat /algo/code; cat /algo/results/truth; (echo x > /algo/results/y) && echo wrote"
        done = subprocess.run(room.command(["sh", "-c", script]), capture_output=True, env=sandbox.launch_environment())
        assert done.stdout.decode() == f"code{seen}"
    with pytest.raises(QsmbenchError, match="would be shown to the method, but holds results"):
        sandbox.Sandbox(tmp_path / "work0", {"/algo": tmp_path / "shown"}, {}, [tmp_path / "shown"]).command(["true"])


def test_a_study_hides_its_results_and_those_of_others(tmp_path, monkeypatch):
    from qsmbench.study.plan import Plan

    monkeypatch.chdir(tmp_path)
    study = {"study": "s", "datasets": [{"phantom": "sphere", "protocol": "brain-3t"}], "chains": ["truth.tkd"]}
    plan = Plan(config.parse(study, "s.yaml"))
    assert plan.places("sphere_brain-3t_seed-0").hidden == (tmp_path / "results",)
    spec = next(j for j in plan.jobs() if j.name.endswith("truth.tkd") and j.name.startswith("step")).spec
    assert spec["hidden"] == [str(tmp_path / "results")]
