"""Methods whose regularisation is chosen from the data: `tv+lcurve`, `tv+inflection`, `tv+discrepancy`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.choice.curve import corner, inflection
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import Method, note
from qsmbench.ops.arrays.algebra import norm
from qsmbench.ops.arrays.array import masked
from qsmbench.ops.solvers.solution import Terms, record_solution

_DOC = """{summary}; {how}

Args:
    choose: the setting to choose.
    span: ratio of the largest to the smallest value that is tried, about the default.
    steps: number of values that are tried.
"""


def with_parameter_choice(inner: Method, how: str) -> Method:
    """Wrap a method so that it runs with several strengths of regularisation and keeps one.

    The settings are those of `inner` and of the choice: `choose` (which setting), `span` (ratio of the largest to the
    smallest strength, around the default), and for the curves `steps` (number of strengths tried).

    Args:
        inner: a method that turns a local field into χ.
        how: lcurve, inflection or discrepancy.

    Raises:
        QsmbenchError: there is no such choice, or the method has no setting to choose.
    """
    if how not in CHOICES:
        raise QsmbenchError(f"method {inner.name}+{how}: unknown choice {how!r}; choose from {', '.join(CHOICES)}")
    if inner.produces[0] != "chi" or "local_field" not in inner.consumes:
        raise QsmbenchError(f"method {inner.name}+{how}: {inner.name} does not compute chi from local_field")
    strengths = [n for n in ("regularisation", "threshold") if n in inner.settings]
    if not strengths:
        raise QsmbenchError(f"method {inner.name}+{how}: {inner.name} has no setting regularisation to choose")
    choice, own, summary = CHOICES[how]
    own = {"choose": strengths[0], **own}
    consumes = list(dict.fromkeys([*inner.consumes, *(["field_noise", "mask"] if how == "discrepancy" else [])]))

    def run(*arguments: Any, **settings: Any) -> Any:
        inputs = dict(zip(consumes, arguments, strict=False)) | {n: v for n, v in settings.items() if n in consumes}
        chosen = {n: settings.get(n, default) for n, default in own.items()}
        fixed = {n: v for n, v in settings.items() if n in inner.settings}
        return _Trial(inner, inputs, fixed, **chosen).choose(choice, how)

    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_OR_KEYWORD) for n in consumes]
    defaults = {**inner.settings, **own}
    parameters += [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY, default=d) for n, d in defaults.items()]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__doc__ = _DOC.format(summary=inner.summary.rstrip("."), how=summary)
    return replace(inner, name=f"{inner.name}+{how}", function=run, inner=inner, files=(*inner.files, Path(__file__)))


class _Trial:
    """One method on one dataset, run with several strengths."""

    def __init__(
        self, inner: Method, inputs: dict[str, Any], fixed: dict[str, Any], choose: str, span: float, steps: int = 0
    ) -> None:
        if choose not in inner.settings:
            raise QsmbenchError(f"choose is {choose!r}; {inner.name} has {', '.join(inner.settings)}")
        self.inner, self.inputs, self.fixed, self.setting = inner, inputs, fixed, choose
        middle = fixed.get(choose, inner.settings[choose])
        self.lowest, self.highest, self.steps = middle / span**0.5, middle * span**0.5, steps

    def choose(self, choice: Callable[..., tuple[float, Any]], how: str) -> Any:
        """Return the products at the strength that `choice` finds, and note it in the record of the run."""
        strength, result = choice(self)
        at_end = strength <= 1.01 * self.lowest or strength >= self.highest / 1.01
        default = float(self.inner.settings[self.setting])
        note("chosen", {"setting": self.setting, "value": strength, "by": how, "default": default, "at_end": at_end})
        return result

    def run(self, strength: float) -> tuple[Any, Terms]:
        """Run the method with one strength and return its products and the terms of its solution."""
        arguments = [self.inputs[n] for n in self.inner.consumes]
        with record_solution() as terms:
            result = self.inner(*arguments, **{**self.fixed, self.setting: float(strength)})
        if np.isnan(terms.misfit):
            raise NotApplicable(
                f"{self.inner.name} does not report its solution, which the choice requires (see ops.solvers.solution)"
            )
        return result, terms

    def curve(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return strengths, misfits and roughnesses."""
        strengths = np.geomspace(self.lowest, self.highest, self.steps)
        terms = [self.run(strength)[1] for strength in strengths]
        if not all(t.misfit > 0 and t.roughness > 0 for t in terms):
            raise NotApplicable("the field or χ is zero, so the logarithmic L-curve is undefined")
        return strengths, np.array([t.misfit for t in terms]), np.array([t.roughness for t in terms])


def _lcurve(trial: _Trial) -> tuple[float, Any]:
    """Choose the corner of the L-curve."""
    strength = corner(*trial.curve())
    return strength, trial.run(strength)[0]


def _inflection(trial: _Trial) -> tuple[float, Any]:
    """Choose the inflection of the L-curve."""
    strength = inflection(*trial.curve())
    return strength, trial.run(strength)[0]


def _discrepancy(trial: _Trial) -> tuple[float, Any]:
    """Choose the strength at which the misfit of the field equals its noise.

    The misfit grows with the strength; the root of its logarithm is found by regula falsi to within 2 %.

    Reference:
        Morozov's principle: Engl 1996, doi:10.1007/978-94-009-1740-8.
    """
    noise = norm(masked(trial.inputs["field_noise"], trial.inputs["mask"]))
    if noise == 0:
        raise NotApplicable("the noise of the field is zero everywhere; discrepancy needs it")
    goal = np.log(noise)
    ends = []
    for strength in (trial.lowest, trial.highest):
        result, terms = trial.run(strength)
        if terms.misfit == 0:
            raise NotApplicable("the field is fitted exactly: there is no misfit to compare with its noise")
        ends.append((np.log(strength), np.log(terms.misfit) - goal, result))
    low, high = ends
    if low[1] > 0 or high[1] < 0:  # no root in the range: the nearest end
        strength, _, result = low if low[1] > 0 else high
        return float(np.exp(strength)), result
    for _ in range(12):
        share = np.clip(low[1] / (low[1] - high[1]), 0.1, 0.9)
        middle = low[0] + share * (high[0] - low[0])
        result, terms = trial.run(np.exp(middle))
        excess = np.log(terms.misfit) - goal
        if abs(excess) < 0.02:
            break
        if excess > 0:
            high = (middle, excess, result)
        else:
            low = (middle, excess, result)
    return float(np.exp(middle)), result


CHOICES: dict[str, tuple[Callable[[_Trial], tuple[float, Any]], dict[str, Any], str]] = {
    "lcurve": (_lcurve, {"span": 1e4, "steps": 13}, "regularised as the corner of the L-curve says."),
    "inflection": (_inflection, {"span": 1e4, "steps": 13}, "regularised as the inflection of the L-curve says."),
    "discrepancy": (_discrepancy, {"span": 1e4}, "regularised so that the misfit of the field equals its noise."),
}
"""The choices by name: function, its settings with their defaults, and the end of the summary."""
