"""Run the job that writes a record of a study: `python -I -S ask.py STUDY RECORD`.

It sends the job to the warm process of the study (`warm.py`), and waits for its end. If there is none, as on another
machine of a cluster, it runs the job itself. It runs once per job, so it imports nothing of this package.
"""

from __future__ import annotations

import array
import os
import socket
import sys

ADDRESS = "QSMBENCH_WARM"
"""Environment variable with the id of the process that runs the study, and the address of its warm process."""

JOBS = ".jobs"
"""Folder of a study with the jobs' specifications, with the same relative paths as their records."""

LENGTH = 8
"""Size of the length field that precedes a request [bytes]."""

STREAMS = (1, 2)
"""Standard streams passed to the job."""


def job_file(study: str, record: str) -> str:
    """Return the path of the specification of the job that writes a record, given from any place or from the study."""
    return os.path.join(study, JOBS, os.path.relpath(os.path.join(study, record), study))  # noqa: PTH118


def main(job: str) -> int:
    """Run a job and return its exit code."""
    connection = _connect()
    if connection is not None:
        code = _ask(connection, job)
        if code is not None:
            return code
    os.execv(sys.executable, [sys.executable, "-P", "-m", "qsmbench.study.jobs", job])


def _connect() -> socket.socket | None:
    """Return a connection to the warm process of this study; None if there is none."""
    study, _, address = os.environ.get(ADDRESS, "").partition(":")
    if study != str(os.getppid()):  # a cluster may hand the variable to a job of its own
        return None
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(address)
    except OSError:
        return None
    return connection


def _ask(connection: socket.socket, job: str) -> int | None:
    """Return the exit code of the job; None if the warm process ended first.

    The request is the job, the working directory and the environment.
    """
    words = [job, os.getcwd(), *(f"{key}={value}" for key, value in os.environ.items())]  # noqa: PTH109
    content = os.fsencode("\0".join(words))
    length = len(content).to_bytes(LENGTH)
    try:
        connection.sendmsg([length], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", STREAMS))])
        connection.sendall(content)
        answer = connection.recv(1)
    except OSError:
        return None
    return answer[0] if answer else None


if __name__ == "__main__":
    sys.exit(main(job_file(sys.argv[1], sys.argv[2])))
