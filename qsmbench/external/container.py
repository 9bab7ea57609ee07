"""The command lines that run a folder natively or in its container. Nothing is started here."""

from __future__ import annotations

import csv
import io
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qsmbench.sandbox import MAX_DISK, MAX_PROCESSES, Sandbox, covers

CID_FILE = "container.cid"
"""Where docker and podman write which container they run, so that whoever ends the step can end it."""

ON_THIS_MACHINE = ("none", "bubblewrap")
"""Where a folder runs with this machine's programs; the other engines run an image."""

_ALGORITHM, _INPUT, _OUTPUT = "/algo", "/input", "/output"


@dataclass(frozen=True)
class Call:
    """What is run, on which folders.

    Attributes:
        folder: of the algorithm.
        run: the command that its author states, such as `bash run.sh`.
        inputs: folder of artifacts, read only.
        outputs: empty folder to write.
        scratch: empty folder for temporary files.
        environment: variables to set.
        hidden: folders that must not be seen, even where they lie below the algorithm's.
    """

    folder: Path
    run: str
    inputs: Path
    outputs: Path
    scratch: Path
    environment: Mapping[str, str]
    hidden: Sequence[Path] = ()


def native(call: Call) -> list[str]:
    """Return the command that runs a folder on this machine, as `run.sh IN OUT`."""
    return [*_command(call, str(call.folder)), str(call.inputs), str(call.outputs)]


def contained(call: Call, engine: str, image: str, memory_limit: float | None = None) -> list[str]:
    """Return the command that runs a folder in its container: no network, read-only inputs, no other folder.

    Args:
        call: what is run.
        engine: docker, podman, apptainer, or bubblewrap, which needs no image: it shows this machine's programs.
        image: reference of the container's image.
        memory_limit: MiB.
    """
    command = [*_command(call, _ALGORITHM), _INPUT, _OUTPUT]
    if engine == "bubblewrap":
        shown, written = {_ALGORITHM: call.folder, _INPUT: call.inputs}, {_OUTPUT: call.outputs}
        return Sandbox(call.scratch, shown, written, call.hidden, call.environment).command(command)
    start = _apptainer(call, image) if engine == "apptainer" else _oci(call, engine, image, memory_limit)
    return [*start, *command]


def _oci(call: Call, engine: str, image: str, memory_limit: float | None) -> list[str]:
    rootless = engine == "podman" and os.getuid() != 0
    user = ["--userns=keep-id"] if rootless else ["--user", f"{os.getuid()}:{os.getgid()}"]
    command = [engine, "run", "--rm", "--network", "none", "--cidfile", str(call.scratch / CID_FILE), *user]
    command += ["--security-opt", "no-new-privileges", "--cap-drop", "ALL", "--pids-limit", str(MAX_PROCESSES)]
    command += ["--ulimit", f"fsize={MAX_DISK * 2**20}", "--ulimit", "core=0"]
    if memory_limit is not None:  # swap as well, or it would take twice as much
        command += ["--memory", f"{memory_limit:.0f}m", "--memory-swap", f"{memory_limit:.0f}m"]
    command += [part for name, value in call.environment.items() for part in ("--env", f"{name}={value}")]
    return [*command, *_mounts(call), image]


def _apptainer(call: Call, image: str) -> list[str]:
    # Variables come through its own prefix, which takes any value. By default it would show the home folder, the
    # working folder and /tmp; and the /tmp that --containall puts there instead holds 64 MiB without --workdir.
    variables = [f"APPTAINERENV_{name}={value}" for name, value in call.environment.items()]
    command = ["env", *variables, "apptainer", "exec", "--containall", "--no-eval", "--workdir", str(call.scratch)]
    local = "://" in image or image.endswith(".sif") or Path(image).exists()
    return [*command, "--net", "--network", "none", *_mounts(call), image if local else f"docker://{image}"]


def _mounts(call: Call) -> list[str]:
    shown = {_ALGORITHM: call.folder, _INPUT: call.inputs}
    bound = [(source, target, ["readonly"]) for target, source in shown.items()] + [(call.outputs, _OUTPUT, [])]
    covered = [cover for target, source in shown.items() for cover in covers(source, target, call.hidden)]
    if covered:  # by an empty folder, which is a mount that every engine knows
        (nothing := call.scratch / "nothing").mkdir(exist_ok=True)
        bound += [(nothing, cover, ["readonly"]) for cover in covered]
    lines = [_csv(["type=bind", f"source={source}", f"target={target}", *more]) for source, target, more in bound]
    return [part for line in lines for part in ("--mount", line)]


def _csv(fields: Sequence[str]) -> str:
    """Return a line of comma-separated values, quoted so that a path may hold any character."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()


def _command(call: Call, place: str) -> list[str]:
    """Return the author's command, with the files of the folder named by their path in `place`."""
    words = shlex.split(call.run)
    if words and words[0].endswith(".sh") and (call.folder / words[0]).is_file():
        words = ["bash", *words]  # whether or not the script may be executed
    return [f"{place}/{Path(w)}" if (call.folder / w).is_file() and not Path(w).is_absolute() else w for w in words]
