"""A closed room for others' code: the command line of bubblewrap, which shows a process what it needs and no more.

Inside there is no network, no other process, no device but `/dev/null` and its like, no capability, no way to new user
namespaces, and no system call that reaches beyond (`syscall_filter`). Nothing can be written but `/tmp`, `/dev/shm` and
the folders that the caller names, which all lie on disk, below a folder of the caller's that it can watch.
`docs/security.md` says what is promised.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from qsmbench.errors import QsmbenchError
from qsmbench.syscall_filter import syscall_filter

MAX_PROCESSES = 1000
"""Processes and threads that a step may have at a time; assumed, libraries start one thread per processor."""

MAX_DISK = 20_000
"""MiB that a step may have on disk, temporary files included, and that a file may hold; assumed."""

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
"""Where a machine keeps its programs."""

_SETTINGS = (
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "nsswitch.conf", "fonts", "octave"),
    *("octave.conf", "R", "java", "OpenCL", "matplotlibrc", "mime.types", "locale.conf", "pki/tls/certs", "ssl/certs"),
)
"""What programs read below /etc; nothing there is secret."""

_OF_PYTHON = ("bin", "lib", "lib64", "libexec", "include", "share", "etc", "ssl", "pyvenv.cfg")
"""What an environment of Python consists of; anything else in its folder is not shown."""

_PASSED_ON = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "OMP_NUM_THREADS", "QSMBENCH_THREADS")
"""Variables of ours that hold no secret."""

_USER = 1000
"""Id of the user inside, whoever it is outside."""

_LIMITED = f"ulimit -c 0; ulimit -f {MAX_DISK * 2048}; ulimit -u {{0}} 2> /dev/null || ulimit -p {{0}}; " + 'exec "$@"'
"""A shell's way to start a command within limits; Dash calls `-p` what others call `-u`."""

_START = 'exec "$@" < "$0/empty" 9< "$0/filter"'
"""A shell's way to start bubblewrap. Standard input is not the machine's `/dev/null`, which root may change."""

_AS_ROOT = f"""
for device in null zero full random urandom tty; do
    mount --bind /dev/$device /dev/$device && mount -o remount,bind,ro,nosuid /dev/$device || exit 1
done
{_START}
"""
"""The same where root starts it. What is root's is root's inside, too: the rights and times of the machine's devices,
which bubblewrap shows, could be changed. Here they are read-only, which does not keep anyone from using them."""

_LOOK = """
case "$(grep CapBnd: /proc/self/status)" in *0000000000000000) ;; *) exit 1 ;; esac
test "$(ls -d /proc/[0-9]* | wc -l)" -lt 10 || exit 1
for place in / /usr /proc /dev; do if (: > $place/qsmbench-trial) 2> /dev/null; then exit 1; fi; done
if chmod 666 /dev/null 2> /dev/null; then exit 1; fi
case "$(grep Seccomp: /proc/self/status)" in *2) ;; *) exit 1 ;; esac
if unshare --user true 2> /dev/null; then exit 1; fi
"""
"""A script that fails where the room is open."""


@dataclass(frozen=True)
class Sandbox:
    """A room.

    Attributes:
        work: empty folder of the caller's, for what is written to `/tmp` and `/dev/shm`.
        shown: path inside → file or folder that it shows, read-only.
        writable: path inside → folder that it shows, writable.
        hidden: folders that must not be seen, even where they lie below one that is shown.
        environment: variables to set.
    """

    work: Path
    shown: Mapping[str, Path] = field(default_factory=dict)
    writable: Mapping[str, Path] = field(default_factory=dict)
    hidden: Sequence[Path] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def command(self, words: Sequence[str]) -> list[str]:
        """Return the command that runs `words` inside, with `/tmp` as its home and its working folder.

        It must be started with the variables of `launch_environment`: process 1 inside shows those.

        Raises:
            QsmbenchError: a folder that must be hidden is one that must be shown.
        """
        for name in ("tmp", "shm", "etc"):
            (self.work / name).mkdir(exist_ok=True)
        (self.work / "etc" / "passwd").write_text(f"method:x:{_USER}:{_USER}::/tmp:/bin/sh\n")
        (self.work / "etc" / "group").write_text(f"method:x:{_USER}:\n")
        (self.work / "etc" / "empty").touch()
        (self.work / "etc" / "filter").write_bytes(syscall_filter())
        alone = ["unshare", "--mount", "--propagation", "private"] if os.geteuid() == 0 else []
        start = [*alone, "/bin/sh", "-c", _AS_ROOT if alone else _START, str(self.work.absolute() / "etc")]
        command = [*start, "bwrap", "--seccomp", "9"]
        command += ["--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent", "--new-session"]
        command += ["--cap-drop", "ALL", "--uid", str(_USER), "--gid", str(_USER), "--hostname", "method", "--clearenv"]
        command += ["--proc", "/proc", "--dev", "/dev", *self._system()]
        written = {"/tmp": self.work / "tmp", "/dev/shm": self.work / "shm", **self.writable}
        command += [word for place, source in written.items() for word in ("--bind", str(source), place)]
        shown = [(place, str(place)) for place in [*_of_python(), *_of_path()]]  # they may lie in /tmp
        shown += [(source, place) for place, source in self.shown.items()]
        command += [word for source, place in shown for word in self._show(source, place)]
        for place in ("/proc", "/dev", "/"):  # a root's files in /proc are root's inside, too
            command += ["--remount-ro", place]
        for name, value in self._variables().items():
            command += ["--setenv", name, value]
        return [*command, "--chdir", "/tmp", "--", "/bin/sh", "-c", _LIMITED.format(MAX_PROCESSES), "sh", *words]

    def _system(self) -> Iterator[str]:
        for place in map(Path, _SYSTEM):
            if place.is_symlink():
                yield from ("--symlink", str(place.readlink()), str(place))
            elif place.is_dir():
                yield from self._show(place, str(place))
        for place in (Path("/etc", name) for name in _SETTINGS):
            if place.exists():
                yield from self._show(place.resolve(), str(place))
        for name in ("passwd", "group"):
            yield from ("--ro-bind", str(self.work / "etc" / name), f"/etc/{name}")

    def _show(self, source: Path, place: str) -> Iterator[str]:
        """Show a file or folder, and cover what must not be seen in it; a cover cannot be taken away inside."""
        yield from ("--ro-bind", str(source.resolve()), place)
        for cover in covers(source, place, self.hidden):
            yield from ("--size", "4096", "--tmpfs", cover, "--remount-ro", cover)

    def _variables(self) -> dict[str, str]:
        visible = (*_SYSTEM, *map(str, [*_of_python(), *_of_path()]))
        path = [Path(sys.executable).parent, *map(Path, os.environ.get("PATH", os.defpath).split(os.pathsep))]
        path = [p for p in path if any(p.is_relative_to(v) for v in visible)]
        variables = {"PATH": os.pathsep.join(map(str, dict.fromkeys(path))), "HOME": "/tmp", "TMPDIR": "/tmp"}
        variables |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {**variables, "USER": "method", "PYTHONDONTWRITEBYTECODE": "1", **self.environment}


def covers(source: Path, place: str, hidden: Sequence[Path]) -> Iterator[str]:
    """Return the paths inside of what must be covered where a file or folder is shown at `place`.

    Args:
        source: file or folder that is shown.
        place: its path inside.
        hidden: folders that must not be seen.

    Raises:
        QsmbenchError: a folder that must be hidden is the one that is shown.
    """
    real = source.resolve()
    for secret in dict.fromkeys(h.resolve() for h in hidden):
        if secret == real:
            raise QsmbenchError(f"{source}: would be shown to the method, but holds results; put them elsewhere")
        if secret.is_relative_to(real) and secret.is_dir():
            yield f"{place}/{secret.relative_to(real)}"


def launch_environment() -> dict[str, str]:
    """Return the variables with which bubblewrap itself is to be started."""
    return {"PATH": os.environ.get("PATH", os.defpath)}


def _of_python() -> list[Path]:
    prefixes = [Path(p) for p in dict.fromkeys([sys.base_prefix, sys.prefix])]
    inner = [p / name for p in prefixes if not p.is_relative_to("/usr") for name in _OF_PYTHON]
    return [p for p in inner if p.exists()]


def _of_path() -> list[Path]:
    """Packages below /opt that are in PATH; not /opt, which may hold anything."""
    parts = [Path(p).parts for p in os.environ.get("PATH", "").split(os.pathsep) if p.startswith("/opt/")]
    found = dict.fromkeys(Path("/opt", p[2]) for p in parts if len(p) > 2)
    return [p for p in found if p.is_dir()]


@cache
def check_available() -> None:
    """Try whether code can be shut in on this machine.

    Raises:
        QsmbenchError: there is no bubblewrap, it is too old, or the system forbids what it needs.
    """
    if shutil.which("bwrap") is None:
        raise QsmbenchError("container is bubblewrap, but there is no program bwrap; install bubblewrap 0.8 or newer")
    with tempfile.TemporaryDirectory(prefix="qsmbench-") as work:
        trial = Sandbox(Path(work)).command(["sh", "-c", _LOOK])
        try:
            done = subprocess.run(trial, capture_output=True, text=True, timeout=20, env=launch_environment())
        except subprocess.TimeoutExpired:
            raise QsmbenchError("container is bubblewrap, but bwrap does not answer on this machine") from None
    if done.returncode != 0:
        said = " ".join((done.stderr.strip().splitlines() or ["what it runs can get out"])[-1].split())
        raise QsmbenchError(
            f"container is bubblewrap, but it cannot isolate on this machine ({said}); "
            "it must be version 0.8 or newer, and the system must allow user namespaces"
        )


def take_plain(file: Path, to: Path, limit: float) -> None:
    """Copy a file that others wrote to where they cannot write, and only if it is a file.

    A process that is about to end may still put a link in the place of a file that has been looked at.

    Raises:
        OSError: it is missing, no plain file, or holds more than `limit` bytes.
    """
    with _opened_plain(file, limit) as content, to.open("wb") as copy:
        shutil.copyfileobj(content, copy)


def read_plain(file: Path, limit: int = 2**24) -> bytes:
    """Return the content of a file that others wrote, who may have put something else in its place.

    Raises:
        OSError: there is none, it is no plain file, or it holds more than `limit` bytes.
    """
    with _opened_plain(file, limit) as content:
        return content.read(limit)


def _opened_plain(file: Path, limit: float) -> IO[bytes]:
    opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would keep us waiting
    status = os.fstat(opened)
    if not stat.S_ISREG(status.st_mode) or status.st_size > limit:
        os.close(opened)
        raise OSError(f"{file.name} is no plain file, or holds more than {limit:.0f} bytes")
    return os.fdopen(opened, "rb")
