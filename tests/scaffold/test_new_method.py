"""What `qsmbench new-method` writes runs, passes the test that comes with it, and fails it once it is broken."""

import subprocess
import sys

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.run import registry
from qsmbench.scaffold.start import write_start

STARTS = [
    ("pychi", "chi", None, "python"),
    ("pytotal", "chi", "total_field", "python"),
    ("pyfield", "total_field", None, "python"),
    ("pyunwrap", "unwrapped", None, "python"),
    ("pymask", "mask", None, "python"),
    ("pypara", "chi_para", None, "python"),
    ("pywater", "water", "magnitude", "python"),
    ("sh-chi", "chi", None, "shell"),
    ("sh-total", "chi", "total_field", "shell"),
    ("sh-field", "total_field", None, "shell"),
    ("sh-local", "local_field", None, "shell"),
    ("sh-mask", "mask", None, "shell"),
    ("sh-dia", "chi_dia", None, "shell"),
    ("sh-rate", "r2prime", None, "shell"),
]


def check(folder, *names):
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "--import-mode=importlib"]
    return subprocess.run([*command, *names], cwd=folder, capture_output=True, text=True, timeout=240)


def write(folder, starts):
    for name, produces, source, language in starts:
        write_start(name, folder, produces=produces, source=source, language=language)


def test_every_start_passes_its_test(tmp_path):
    folder = tmp_path / "a folder"
    write(folder, STARTS)
    done = check(folder, "--collect-only")
    assert done.stdout.count("outside_the_mask") == len(STARTS)
    done = check(folder)
    assert done.returncode == 0, done.stdout


def test_every_start_is_tidy(tmp_path):
    write(tmp_path, STARTS)
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--isolated", "--line-length", "120", "--no-cache"]
    for command in (["check", "--select", "E,F,W,I,UP,B,SIM"], ["format", "--check", "--diff"]):
        done = subprocess.run([*ruff, *command, *options, str(tmp_path)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("language", "file", "old", "new", "caught"),
    [
        ("python", "mine.py", "inverse = kernel /", "inverse = -kernel /", "finds_the_sphere"),
        (
            "python",
            "mine.py",
            "return subtract_mask_mean(window.put(chi, mask), mask)",
            "return subtract_mask_mean(window.put(chi, mask), mask) + np.float32(0.1)",
            "outside_the_mask",
        ),
        ("python", "mine.py", "    window = Window", "    local_field *= 1\n    window = Window", "leaves_alone"),
        ("shell", "mine/recon.py", "* dipole /", "* abs(dipole) /", "finds_the_sphere"),
        ("shell", "mine/recon.py", "fftn(volume * mask", "fftn(volume**2 * mask", "twice_the_field"),
    ],
)
def test_a_start_that_is_broken_fails_its_test(tmp_path, language, file, old, new, caught):
    *_, test = write_start("mine", tmp_path, produces="chi", language=language)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new))
    done = check(tmp_path, str(test))
    assert done.returncode == 1
    assert any(caught in line for line in done.stdout.splitlines() if line.startswith("FAILED")), done.stdout


def test_what_it_says_of_itself(tmp_path):
    files = write_start("mine", tmp_path, produces="chi", language="python")
    method = registry.find(str(files[0]))
    assert (method.consumes, method.produces) == (("local_field", "mask", "grid"), ("chi",))
    assert method.settings == {"threshold": 0.1, "pad": 30.0}
    files = write_start("yours", tmp_path, produces="chi", source="total_field", language="shell")
    method = registry.find(str(files[0].parent))
    assert method.produces == ("chi",)
    assert method.settings == {"threshold": 0.1}


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("Mine", {}, "'Mine' is not a valid name for a method; use lower-case letters, then also digits$"),
        ("my-own", {}, "'my-own' is not a valid name for a method"),
        ("../mine", {"language": "shell"}, r"'\.\./mine' is not a valid name for a method; .* and hyphens"),
        ("lambda", {}, "'lambda' is not a valid name"),
        ("tkd", {}, "'tkd' is the name of an existing method"),
        ("mine", {"language": "fortran"}, "--language is 'fortran'; choose from python, shell"),
        ("mine", {"produces": "chii"}, "--produces is 'chii'; choose from phase, magnitude"),
        ("mine", {"source": "field"}, "--from is 'field'; choose from phase, magnitude"),
        ("mine", {"source": "chi"}, "--from is 'chi', the same as --produces"),
        ("mine", {"produces": "water"}, "--produces water: give its input artifact with --from"),
        ("mine", {"produces": "unwrapped", "source": "chi"}, "--from is 'chi', which has no echoes, but unwrapped has"),
        (
            "mine",
            {"source": "water", "language": "shell"},
            "no stage of the contract computes chi from water; choose",
        ),
    ],
)
def test_what_cannot_be_started(tmp_path, name, more, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        write_start(name, tmp_path, **{"produces": "chi", "language": "python", **more})
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("language", ["python", "shell"])
def test_nothing_is_overwritten(tmp_path, language):
    files = write_start("mine", tmp_path, produces="chi", language=language)
    files[0].unlink()
    files[1].write_text("precious")
    with pytest.raises(QsmbenchError, match="already exists and is not overwritten"):
        write_start("mine", tmp_path, produces="chi", language=language)
    assert files[1].read_text() == "precious"
    assert not files[0].exists()


def test_the_command(tmp_path):
    def qsmbench(*arguments):
        command = [sys.executable, "-m", "qsmbench.cli", "new-method", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)

    done = qsmbench("mine", "--produces", "chi", "--from", "total_field", "--language", "shell", "--folder", "here")
    assert done.returncode == 0, done.stderr
    assert "Test it: python -m pytest here/mine/test_mine.py" in done.stdout
    assert "methods: {mine: {use: here/mine}}" in done.stdout
    assert registry.find(str(tmp_path / "here" / "mine")).consumes[0] == "total_field"
    done = qsmbench("tkd", "--produces", "chi")
    assert done.returncode == 2
    assert " ".join(done.stderr.split()).startswith("qsmbench: 'tkd' is the name of an existing method")
    done = qsmbench("--help")
    assert "Example: qsmbench new-method mine --produces chi" in " ".join(done.stdout.split())
