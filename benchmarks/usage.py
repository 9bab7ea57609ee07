"""What a command takes: its wall time, its processor time and its peak memory."""

import json
import subprocess
import sys
from dataclasses import dataclass

PROGRAM = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
u = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, time.perf_counter() - start, u.ru_utime + u.ru_stime, u.ru_maxrss / 1024]))
"""
"""Starts the command from a small process: the peak memory of a child counts that of the process which starts it."""


@dataclass(frozen=True)
class Usage:
    """What a command took, with its children.

    Attributes:
        wall: from the start of the interpreter to its end [s].
        processor: time of all threads [s].
        memory: most that one of its processes took [MiB].
    """

    wall: float
    processor: float
    memory: float


def usage(command: list[str]) -> Usage:
    """Run a command and return what it took; end this program, with its messages, if it fails."""
    program = [sys.executable, "-c", PROGRAM, *command]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    code, *took = json.loads(done.stdout)
    if code:
        raise SystemExit(f"{done.stderr}{' '.join(command)} ended with {code}")
    return Usage(*took)
