"""Conformance: whether a method follows the conventions, independently of its accuracy."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qsmbench.conform.checks import CHECKS, Picture, Verdict
from qsmbench.conform.trial import Failed, OutOfTime, Trial
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import Method
from qsmbench.run import registry
from qsmbench.run.settings import check_settings

__all__ = ["FAIL", "NOT_APPLICABLE", "PASS", "Check", "Picture", "conform"]

PASS, FAIL, NOT_APPLICABLE = "pass", "fail", "not applicable"

TIME_LIMIT = 300.0
"""Time for all checks together [s]."""


@dataclass(frozen=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: of the check.
        question: expected behaviour of the method.
        status: `pass`, `fail` or `not applicable`.
        reason: the measured figures, or why the check does not apply.
        seconds: duration of the check.
        pictures: expected and actual result, if they can be drawn.
    """

    name: str
    question: str
    status: str
    reason: str
    seconds: float
    pictures: tuple[Picture, ...] = ()


def conform(
    method: Method | str, settings: Mapping[str, Any] | None = None, *, time_limit: float = TIME_LIMIT
) -> list[Check]:
    """Check a method on small objects whose truth is known in closed form.

    Args:
        method: the method, or what `registry.find` takes (a name, or the path of a Python file).
        settings: of the method; the others have their defaults.
        time_limit: s for all checks together; the check that exceeds it fails, and so do all later ones.

    Returns:
        all checks, in the order in which they ran; only the first if the method does not run at all.

    Raises:
        QsmbenchError: there is no such method or setting, or its value is invalid.
    """
    found = registry.find(method) if isinstance(method, str) else method
    check_settings(found.name, found, settings or {})
    trial = Trial(found, settings or {}, time_limit)
    checks: list[Check] = []
    for check in CHECKS:
        start = time.perf_counter()
        status, verdict = _tried(check, trial, time_limit)
        question = " ".join((check.__doc__ or "").split())
        name = check.__name__.replace("_", " ")
        seconds = time.perf_counter() - start
        checks.append(Check(name, question, status, verdict.reason, seconds, verdict.pictures))
        if len(checks) == 1 and status == FAIL:
            break
    return checks


def _tried(check: Any, trial: Trial, time_limit: float) -> tuple[str, Verdict]:
    """Return the status and verdict of one check, whatever the method raises."""
    try:
        verdict = check(trial)
    except NotApplicable as reason:
        return NOT_APPLICABLE, Verdict(True, str(reason))
    except (Failed, QsmbenchError) as reason:
        return FAIL, Verdict(False, str(reason))
    except OutOfTime:
        return FAIL, Verdict(False, f"the time limit of {time_limit:g} s for all checks was reached")
    return (PASS if verdict.passed else FAIL), verdict
