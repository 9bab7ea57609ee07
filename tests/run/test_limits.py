"""What a step may use up, whoever runs it: its log, the disk, processes; and what it may leave as a product."""

import os
import shlex
import socket
import stat
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import psutil
import pytest
import yaml
from programs import need_bubblewrap
from steps import step_spec

from qsmbench.external import folder as external
from qsmbench.grid import Grid
from qsmbench.log import MAX_LOG, Log, first_error
from qsmbench.run import isolated, step
from qsmbench.run.specs import StepSpec
from qsmbench.sandbox import MAX_DISK, read_plain

MODES = ["none", "bubblewrap"]

HEAD = """
import os, subprocess, sys, time
from qsmbench.method import method

@method(produces="chi", reference="test")
def mine(local_field, mask):
    {body}
    return local_field
"""


@pytest.fixture(params=MODES)
def mode(request):
    if request.param == "bubblewrap":
        need_bubblewrap()
    return request.param


@pytest.fixture
def run(scan_folder, tmp_path, mode):
    """Run the body of a Python method in a mode; returns its record."""

    def run(body, **limits):
        file = tmp_path / "mine.py"
        file.write_text(HEAD.format(body=body))
        return step.run(step_spec(file, scan_folder, tmp_path / "out", container=mode, **limits))

    return run


def log(tmp_path):
    return (tmp_path / "out" / "log.txt").read_bytes()


def test_a_gigabyte_of_log(run, tmp_path):
    record = run("print('first', flush=True); [os.write(1, b'x' * 2**20) for _ in range(2**10)]; print('last')")
    assert (record.status, record.reason) == ("ok", "")
    assert 0.9 * MAX_LOG < len(log(tmp_path)) < 1.1 * MAX_LOG
    assert log(tmp_path).startswith(b"first\n")
    assert log(tmp_path).rstrip().endswith(b"last")
    assert log(tmp_path).count(b"bytes are left out") == 1


def test_a_log_that_fits_is_whole():
    written = []
    kept = Log(written.append, 100)
    for _ in range(10):
        kept.feed(b"0123456789")
    kept.close()
    assert b"".join(written) == b"0123456789" * 10 == kept.text().encode()


def test_a_file_larger_than_a_disk(run):
    record = run(f"open(os.environ['TMPDIR'] + '/x', 'wb').truncate({2 * MAX_DISK} * 2**20)")
    assert record.status == "failed"
    assert "File too large" in record.reason


def test_such_a_file_could_be_made(tmp_path):
    """It is sparse, and takes no place."""
    with (tmp_path / "x").open("wb") as file, suppress(OSError):  # some file systems cannot
        file.truncate(2 * MAX_DISK * 2**20)
        assert (tmp_path / "x").stat().st_size == 2 * MAX_DISK * 2**20


def test_many_files(run, mode, monkeypatch):
    """Neither /tmp nor shared memory alone is too much; without isolation the latter is the machine's own."""
    monkeypatch.setattr(step, "MAX_DISK", 20)
    monkeypatch.setattr(step, "LOOK", 0.05)
    places = "[os.environ['TMPDIR'], '/dev/shm']" if mode == "bubblewrap" else "2 * [os.environ['TMPDIR']]"
    fill = "[open(p + f'/{i}{j}', 'wb').write(b'x' * 2**20) for j, p in enumerate(%s) for i in range(%d)]"
    record = run(f"{fill % (places, 15)}; time.sleep(50)")
    assert (record.status, record.reason) == ("failed", "wrote more to disk than its limit of 20 MiB")
    assert record.details["wall"] < 30
    assert run(fill % (places, 5)).status == "ok"


def test_many_processes(run, monkeypatch):
    seconds = f"9{os.getpid()}.5"
    monkeypatch.setattr(step, "MAX_PROCESSES", 20)
    monkeypatch.setattr(step, "LOOK", 0.05)
    record = run(f"[subprocess.Popen(['sleep', '{seconds}']) for _ in range(40)]; time.sleep(50)")
    assert (record.status, record.reason) == ("failed", "started more processes than its limit of 20")
    assert not [p for p in psutil.process_iter(["cmdline", "status"]) if p.info["cmdline"] == ["sleep", seconds]]


def test_what_is_left_can_be_removed_whatever_it_is(tmp_path, monkeypatch):
    """Folders that may not be entered, or so deep that Python gives up."""
    top = tmp_path / "top"
    (top / "closed" / "file").mkdir(parents=True)
    (top / "closed").chmod(0)

    def gives_up(path):
        raise RecursionError

    monkeypatch.setattr(step.shutil, "rmtree", gives_up)
    step.remove(top)
    assert not top.exists()


# Products


def fifo(path):
    os.mkfifo(path)


def directory(path):
    path.mkdir()


def link(path):
    path.with_name("other").write_bytes(b"x")
    path.symlink_to(path.with_name("other"))


def unix_socket(path):
    socket.socket(socket.AF_UNIX).bind(str(path))


def device(path):
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # endless zeros
    except PermissionError:
        path.symlink_to("/dev/zero")  # only root can make one


STRANGE = [fifo, directory, link, unix_socket, device]


@pytest.mark.parametrize("make", STRANGE)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_no_product_but_a_plain_file(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    grid = Grid((4, 4, 4), (1, 1, 1))
    make(Path("chimap.nii.gz"))
    with pytest.raises(ValueError, match=r"chimap.nii.gz: is not a plain file"):
        external._read(Path(), "chi", grid, None)
    with suppress(FileNotFoundError):
        Path("other").unlink()
    make(Path("chi.npy"))
    with pytest.raises(ValueError, match=r"chi cannot be read \("):
        isolated._product(Path(), "chi", grid)
    with suppress(FileNotFoundError):
        Path("other").unlink()
    make(Path("answer.json"))
    with pytest.raises(OSError):
        read_plain(Path("answer.json"))


def test_a_product_is_no_larger_than_it_can_be(tmp_path):
    grid = Grid((4, 4, 4), (1, 1, 1))
    np.save(tmp_path / "chi.npy", np.zeros(grid.shape))
    assert isolated._product(tmp_path, "chi", grid).shape == grid.shape
    with (tmp_path / "chi.npy").open("ab") as file:
        file.truncate(2**40)
    with pytest.raises(ValueError, match="holds more than 5120 bytes"):
        isolated._product(tmp_path, "chi", grid)
    np.save(tmp_path / "chi.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(ValueError, match="chi cannot be read"):
        isolated._product(tmp_path, "chi", grid)
    header = nib.Nifti1Header()
    header.set_data_shape((4, 4, 4, 30000))  # gigabytes once unpacked, if there were more voxels
    nib.Nifti1Image(np.zeros((4, 4, 4, 100), np.uint8), np.eye(4)).to_filename(tmp_path / "chimap.nii.gz")
    with pytest.raises(ValueError, match=r"chimap.nii.gz has shape \(4, 4, 4, 100\)"):
        external._read(tmp_path, "chi", grid, None)


@pytest.mark.parametrize("account", ["[]", "{", '{"status": 3}', '{"status": "ok"}', "[" * 100_000, '"ok"'])
def test_an_account_that_was_forged(tmp_path, account):
    (tmp_path / step.OUTCOME_FILE).write_text(account)
    assert step._outcome(0, tmp_path, "")["status"] == "failed"


def test_only_its_own_container_is_ended(tmp_path, monkeypatch):
    """The engine writes its number where the container cannot."""
    called = []
    monkeypatch.setattr(step.subprocess, "run", lambda command, **_: called.append(command))
    for place, number in (("work/tmp", "ours"), ("work/out", "others")):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "container.cid").write_text(number)
    spec = StepSpec("c", "m", {}, {}, "", "", [], False, 1, None, "docker", "numpy")
    assert step._end_containers(spec, tmp_path)
    assert called == [["docker", "rm", "--force", "ours"]]


# What a log says


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (
            "iteration 1, error 0.1\nerror: 'x' undefined\nerror: called from\n    mine at line 3 column 5\n",
            "error: 'x' undefined",
        ),
        ("run.sh: line 3: nosuch: command not found\nsaved nothing\n", "run.sh: line 3: nosuch: command not found"),
        (
            "Error using svd (line 3)\nInput must not contain NaN.\n\nError in mine (line 9)\n",
            "Error using svd (line 3): Input must not contain NaN.",
        ),
        ("Error in f(x) : no such thing\nExecution halted\n", "Error in f(x) : no such thing"),
        (
            "ERROR: LoadError: UndefVarError: x\nStacktrace:\n [1] top-level scope\n",
            "ERROR: LoadError: UndefVarError: x",
        ),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1\n    1 / 0\nZeroDivisionError: division\nbye\n',
            "ZeroDivisionError: division",
        ),
        ("a\nno licence\n\n", "no licence"),
        ("main.cpp:3:5: error: expected ';'\n1 error generated.\n", "main.cpp:3:5: error: expected ';'"),
        ("", ""),
    ],
)
def test_the_first_error_is_told(said, line):
    assert first_error(said) == line


def test_a_folder_tells_its_first_error(scan_folder, tmp_path):
    made = tmp_path / "mine"
    made.mkdir()
    (made / "algorithm.yml").write_text(yaml.safe_dump({"stage": "dipole", "run": "bash run.sh"}))
    octave = "error: 'lambda' undefined\nerror: called from\n    mine at line 3 column 5"
    (made / "run.sh").write_text(f"echo start; echo {shlex.quote(octave)}; echo; echo cleaning up; exit 1\n")
    record = step.run(step_spec(made, scan_folder, tmp_path / "out"))
    assert record.reason == "RuntimeError: bash run.sh: exit code 1 (error: 'lambda' undefined)"
