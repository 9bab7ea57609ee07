"""What a method gets at that it should not: `cheating/cheats.py`, run as a method in each mode by each kind of user.

Without isolation the same cheats work: that shows that they could be seen to work.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import psutil
import pytest
from external.cheating import cheats
from programs import engines, need_bubblewrap
from steps import step_spec

import qsmbench
from qsmbench.data import folders

HERE = Path(__file__).parent / "cheating"
PACKAGE = Path(qsmbench.__file__).parent
SITE = Path(psutil.__file__).parents[1]
NOBODY = 65534
IS_ROOT = os.getuid() == 0
SECRET = "9f3b7a51-secret"

RUN = """
here=$(dirname "$0")
python3 "$here/cheats.py" "$here/world.json" "$1"
cp "$1/localfield.nii.gz" "$2/chimap.nii.gz"
"""

METHOD = """
import cheats, world
from qsmbench.method import method

@method(produces="chi", reference="none")
def cheating(local_field, mask):
    cheats.main(world.WORLD, "/input")
    return local_field
"""

VICTIM = "import sys, time; held = open('truth-to-find.txt'); print('ready', flush=True); time.sleep(600)"


class Machine:
    """A folder with a study, methods and things that are none of their business, and a process with secrets."""

    def __init__(self, small, user):
        self.user = user
        self.top = Path(tempfile.mkdtemp(prefix="cheated-", dir="/tmp"))
        self.top.chmod(0o755)
        self.trace = f"qsmbench_{self.top.name.replace('-', '_')}"
        self.sleep = f"7{os.getpid()}{user % 10}.5"
        self.truth = self.top / "study" / "truth" / "truth-to-find.txt"
        self.algorithm, self.mine = self.top / "algorithm", self.top / "mine"
        secrets = [self.truth, self.top / "home" / "key", self.algorithm / "results" / "truth-to-find.txt"]
        for file in secrets:
            file.parent.mkdir(parents=True)
            file.write_text(SECRET)
        self.others = self.top / "study" / "others" / "run.json"
        self.others.parent.mkdir()
        self.others.write_text("theirs")
        self.tcp, self.unix, self.abstract = socket.socket(), *(socket.socket(socket.AF_UNIX) for _ in range(2))
        self.tcp.bind(("127.0.0.1", 0))
        self.unix.bind(str(self.top / "socket"))
        self.abstract.bind("\0" + self.trace)
        for listening in (self.tcp, self.unix, self.abstract):
            listening.listen(50)
        folders.write(self.top / "scan", small["scan"], small["params"].grid)
        folders.write_params(self.top / "scan", small["params"])
        folders.write(self.top / "truth", small["truth"], small["params"].grid)
        self._methods()
        subprocess.run(["chown", "-R", str(user), str(self.top)], check=True)
        self.victim = self._victim()
        self._tell(self.world())

    def _victim(self):
        command = [*as_user(self.user), sys.executable, "-c", VICTIM, SECRET]
        environment = {**os.environ, "SECRET": SECRET}
        process = subprocess.Popen(command, cwd=self.truth.parent, env=environment, stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    def world(self):
        return {
            "terces": SECRET[::-1],
            "machine": str(self.top),
            "truth": str(self.truth),
            "home": str(self.top / "home" / "key"),
            "algorithm": str(self.algorithm),
            "writable": str(self.top),
            "victim": self.victim.pid,
            "port": self.tcp.getsockname()[1],
            "socket": str(self.top / "socket"),
            "abstract": self.trace,
            "others": str(self.others),
            "package": str(PACKAGE),
            "site": str(SITE),
            "trace": self.trace,
            "sleep": self.sleep,
        }

    def _methods(self):
        self.mine.mkdir()
        for folder in (self.algorithm, self.mine):
            shutil.copy(HERE / "cheats.py", folder)
        (self.algorithm / "run.sh").write_text(RUN)
        (self.mine / "cheating.py").write_text(METHOD)

    def _tell(self, world):
        (self.algorithm / "world.json").write_text(json.dumps(world))
        (self.mine / "world.py").write_text(f"WORLD = {world!r}")

    def run(self, kind, container):
        """Run the cheats as a folder or as Python; returns what came of each, and what the host sees of them."""
        method = {"folder": self.algorithm, "python": self.mine / "cheating.py"}[kind]
        out = self.top / "out"
        image = f"image: {engines()[container]}\n" if container in engines() else ""
        (self.algorithm / "algorithm.yml").write_text(f"stage: dipole\nrun: bash run.sh\n{image}")
        hidden = [str(self.top / "study"), str(self.algorithm / "results")]
        spec = step_spec(method, self.top, out, container=container, hidden=hidden, time_limit=100)
        (self.top / "spec.json").write_text(json.dumps(spec.to_json()))
        environment = {**os.environ, "SECRET": SECRET, "PYTHONPATH": str(PACKAGE.parent), "HOME": "/tmp"}
        command = [*as_user(self.user), sys.executable, str(HERE / "drive.py"), str(self.top / "spec.json")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd="/")
        assert done.returncode == 0, done.stderr
        record, said = json.loads(done.stdout), (out / "log.txt").read_text()
        assert record["status"] == "ok", record["reason"] + said
        lines = [line.split(maxsplit=3) for line in said.splitlines() if line.startswith("cheat ")]
        return {line[1].rstrip(":"): line[2] == "works" for line in lines}, self._seen(), said

    def _seen(self):
        """What the host finds changed, which is put right."""
        traces = [PACKAGE / "metrics" / f"{self.trace}.py", PACKAGE / "__pycache__" / f"{self.trace}.nbi"]
        traces += [SITE / f"{self.trace}.pth"]
        traces += [Path(place, self.trace) for place in ("/dev/shm", self.top, "/", "/dev")]
        seen = [str(t) for t in traces if t.exists()]
        seen += [] if self.others.read_text() == "theirs" else [str(self.others)]
        self.others.write_text("theirs")
        for trace in traces:
            trace.unlink(missing_ok=True)
        seen += [f"sleep {self.sleep}" for _ in sleepers(self.sleep)]
        return seen

    def end(self):
        for process in [*psutil.Process(self.victim.pid).children(recursive=True), self.victim]:
            process.kill()
        self.victim.communicate()
        for listening in (self.tcp, self.unix, self.abstract):
            listening.close()
        shutil.rmtree(self.top)


def sleepers(seconds):
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        if process.info["cmdline"] == ["sleep", seconds] and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def as_user(user):
    """What a command begins with that is to run as a user; a Python in a home that he may not enter is shown to him."""
    if user == os.getuid():
        return []
    closed = [p for place in (sys.prefix, sys.base_prefix, PACKAGE.parent) for p in Path(place).resolve().parents]
    closed = [p for p in closed if not p.stat().st_mode & 0o001]
    script = 'exec setpriv --reuid "$0" --regid "$0" --clear-groups "$@"'
    if closed:
        outermost = min(closed, key=lambda p: len(p.parts))
        inner = [
            Path(p).resolve() for p in (sys.prefix, sys.base_prefix) if Path(p).resolve().is_relative_to(outermost)
        ]
        kept = "/run"  # a folder to keep what the cover hides, in a namespace of mounts that ends with the command
        lines = ["set -e", "mount --make-rprivate /", f"mount -t tmpfs none {kept}"]
        lines += [f"mkdir {kept}/{i}; mount --bind '{p}' {kept}/{i}" for i, p in enumerate(inner)]
        lines += [f"mount -t tmpfs -o mode=755 none '{outermost}'"]
        lines += [f"mkdir -p '{p}'; mount --bind {kept}/{i} '{p}'" for i, p in enumerate(inner)]
        script = "\n".join([*lines, script])
    return ["unshare", "--mount", "bash", "-c", script, str(user)]


USERS = {"root": 0, "ordinary": NOBODY} if IS_ROOT else {"ordinary": os.getuid()}


@pytest.fixture(scope="module")
def outcome():
    """Run all cheats in a mode as a user, once; returns what each came to, what the host saw, and the log."""
    import conftest

    small = conftest.make_small()
    machines = {}

    def machine(user):
        if user not in machines:
            machines[user] = Machine(small, USERS[user])
        return machines[user]

    @cache
    def once(user, kind, container):
        try:
            return machine(user).run(kind, container)
        except Exception as e:  # which is not to be tried again for each test
            return e

    def outcome(user, kind, container):
        result = once(user, kind, container)
        if isinstance(result, Exception):
            raise result
        return result

    outcome.machine = machine
    yield outcome
    for made in machines.values():
        made.end()


ALL = [c.__name__ for c in [*cheats.SEES, *cheats.CHANGES, *cheats.AS_ROOT, *cheats.OF_THE_KERNEL]]
ROOTS_ALONE = [*(c.__name__ for c in cheats.AS_ROOT), "scorer", "cache_of_compiled_loops", "path_file_of_python"]
"""What an ordinary user cannot do anywhere, at least where root installed the package."""

NOWHERE = ["inherited_files", *(c.__name__ for c in cheats.OF_THE_KERNEL)]
"""What works in no mode, or only where the system allows it."""

MODES = [("folder", "bubblewrap"), ("python", "bubblewrap"), *(("folder", engine) for engine in engines())]


def need_mode(user, container):
    """Skip the test where a user cannot run the container."""
    if container == "bubblewrap":
        need_bubblewrap()
    elif container != "none" and USERS[user] != os.getuid():
        pytest.skip("an ordinary user's engine is not set up here")


@pytest.mark.parametrize(
    ("user", "cheat"),
    [(u, c) for u in USERS for c in ALL if c not in NOWHERE and (u == "root" or c not in ROOTS_ALONE)],
)
def test_without_isolation_it_works(outcome, user, cheat):
    """So it would be seen if it worked inside."""
    worked, _, said = outcome(user, "folder", "none")
    assert worked[cheat], said


@pytest.mark.parametrize("user", USERS)
def test_without_isolation_the_host_sees_what_was_changed(outcome, user):
    _, seen, _ = outcome(user, "folder", "none")
    folders_ = {str(Path(place).parent) for place in seen}
    everyone = {"/dev/shm", str(outcome.machine(user).top), str(outcome.machine(user).others.parent)}
    roots = {str(PACKAGE / "metrics"), str(PACKAGE / "__pycache__"), str(SITE), "/", "/dev"}
    assert folders_ == (everyone | roots if user == "root" else everyone)


def test_an_inherited_file_would_be_found(tmp_path):
    (tmp_path / "secret").write_text(SECRET)
    cheats.WORLD["terces"] = SECRET[::-1]
    assert not cheats.inherited_files()
    with (tmp_path / "secret").open():
        assert cheats.inherited_files()


@pytest.mark.parametrize(("kind", "container"), [("folder", "none"), *MODES])
@pytest.mark.parametrize("user", USERS)
def test_nothing_that_was_started_is_left(outcome, user, kind, container):
    """A process that forked twice, opened a session of its own and forgot its environment, too."""
    need_mode(user, container)
    worked, seen, said = outcome(user, kind, container)
    assert worked["outlive"], said
    assert not [place for place in seen if place.startswith("sleep")]


def test_such_a_process_would_be_found():
    seconds = f"8{os.getpid()}.5"
    code = "import sys, cheats; cheats.WORLD['sleep'] = sys.argv[1]; cheats.outlive()"
    subprocess.run([sys.executable, "-c", code, seconds], check=True, cwd=HERE)
    deadline = time.monotonic() + 5
    while not (left := sleepers(seconds)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left
    for process in left:
        process.kill()


@pytest.mark.parametrize(("kind", "container"), MODES)
@pytest.mark.parametrize("user", USERS)
@pytest.mark.parametrize("cheat", ALL)
def test_isolated_it_does_not(outcome, user, kind, container, cheat):
    need_mode(user, container)
    worked, _, said = outcome(user, kind, container)
    assert cheat in worked, said
    harmless = [*cheats.ON_ITS_OWN, *(cheats.IN_ITS_IMAGE + cheats.OF_THE_ENGINE if container in engines() else [])]
    assert not worked[cheat] or cheat in [c.__name__ for c in harmless], said


@pytest.mark.parametrize(("kind", "container"), MODES)
@pytest.mark.parametrize("user", USERS)
def test_isolated_the_host_sees_nothing_changed(outcome, user, kind, container):
    need_mode(user, container)
    _, seen, _ = outcome(user, kind, container)
    assert not seen
