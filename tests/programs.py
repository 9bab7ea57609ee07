"""Programs that some tests need, and that not every machine has."""

import os
import shutil
from functools import cache

import pytest

from qsmbench import sandbox
from qsmbench.errors import QsmbenchError


def need(program: str, reason: str = "") -> None:
    """Skip the test where a program is missing; where QSMBENCH_TEST_ALL is set, that is a failure."""
    missing = reason or ("" if shutil.which(program) else f"there is no program {program}")
    if missing and os.environ.get("QSMBENCH_TEST_ALL"):
        pytest.fail(f"{missing}; unset QSMBENCH_TEST_ALL to skip the test")
    if missing:
        pytest.skip(missing)


@cache
def why_no_bubblewrap() -> str:
    """Why nothing can be isolated here; empty if it can."""
    try:
        sandbox.check_available()
    except QsmbenchError as e:
        return str(e)
    return ""


def need_bubblewrap() -> None:
    """Skip the test, or fail, where nothing can be isolated."""
    need("bwrap", why_no_bubblewrap())


def engines() -> dict[str, str]:
    """Images with Python, NumPy and NiBabel by the engine that runs them, such as docker or podman.

    QSMBENCH_TEST_CONTAINER names them, such as `docker:python:1 podman:localhost/python`.
    """
    return dict(named.split(":", 1) for named in os.environ.get("QSMBENCH_TEST_CONTAINER", "").split())
