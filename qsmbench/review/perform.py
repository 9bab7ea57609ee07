"""Run the experiments of claims and judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from qsmbench.errors import QsmbenchError
from qsmbench.review.claims import Claim, Review
from qsmbench.review.evaluate import FAILED, NOT_RUN, Outcome, judge
from qsmbench.review.measure import measurements
from qsmbench.review.studies import study_of
from qsmbench.review.tables import Cell, cells
from qsmbench.study import workflow
from qsmbench.study.config import Study
from qsmbench.study.estimate import Estimate, estimate
from qsmbench.study.plan import Plan

if TYPE_CHECKING:
    import pandas as pd


def experiments(claims: Sequence[Claim]) -> list[str]:
    """Return the names of the experiments of claims, each once."""
    return list(dict.fromkeys(c.experiment for c in claims if c.experiment))


def estimates(
    review: Review, claims: Sequence[Claim], scale: str, results: Path, cores: int
) -> Iterator[tuple[str, Estimate]]:
    """Yield what each experiment of the claims will take.

    Raises:
        QsmbenchError: an experiment is not a valid study.
    """
    for name in experiments(claims):
        yield name, estimate(Plan(study_of(review, name, scale, results)), cores)


@dataclass(frozen=True)
class Findings:
    """What a review has found so far.

    Attributes:
        outcomes: of each claim; of those whose study has yet to run, `NOT_RUN`.
        cells: of the tables, those whose experiments were run.
        new: the outcomes of the last study.
        complete: whether all studies have run.
    """

    outcomes: list[Outcome]
    cells: list[Cell]
    new: list[Outcome]
    complete: bool


def perform(
    review: Review,
    claims: Sequence[Claim],
    scale: str,
    results: Path,
    *,
    cores: int,
    note: Callable[[str], None] = lambda text: None,
) -> Iterator[Findings]:
    """Run the experiments of claims, reuse what is up to date, and yield what is found after each of them.

    An experiment that fails makes its claims fail, with the reason; the others are run.

    Args:
        review: the list.
        claims: those to judge.
        scale: quick or full.
        results: folder of the studies.
        cores: number of processors.
        note: called with a line about each experiment.
    """
    judged = {c.id: Outcome(c, NOT_RUN, reason=c.cannot or "its study has yet to run") for c in claims}
    measured: list[Cell] = []
    names = experiments(claims)
    if not names:
        yield Findings(list(judged.values()), [], [], complete=True)
    for number, name in enumerate(names, 1):
        mine = [c for c in claims if c.experiment == name]
        note(f"{name} ({number} of {len(names)}): {', '.join(c.id for c in mine)}")
        try:
            study = study_of(review, name, scale, results)
            missing = _run(study, cores)
            table = measurements(study, review.experiments[name].probes)
        except QsmbenchError as error:
            new = [Outcome(c, FAILED, reason=str(error)) for c in mine]
        else:
            new = [_judge(c, table, missing) for c in mine]
            measured += cells(review, name, table)
        judged |= {o.claim.id: o for o in new}
        yield Findings(list(judged.values()), list(measured), new, complete=number == len(names))


def _judge(claim: Claim, table: pd.DataFrame, missing: str) -> Outcome:
    """Judge a claim; it failed if nothing could be measured for the reason `missing`."""
    try:
        found = judge(claim, table)
    except QsmbenchError as error:
        return Outcome(claim, FAILED, reason=str(error))
    return Outcome(claim, FAILED, reason=missing) if missing and all(p.n == 0 for p in found.parts) else found


def _run(study: Study, cores: int) -> str:
    """Run a study; return the first reason why something of it is missing, if anything is."""
    outcome = workflow.run(study, cores=cores)
    for failed in (outcome.datasets, outcome.chains, outcome.broken):
        for where, reason in failed.items():
            return f"{' on '.join(reversed(where)) if isinstance(where, tuple) else where}: {reason}"
    return ""


def picture(results: Path, outcome: Outcome) -> Path | None:
    """Return the picture of the map that decided a claim: of the first subject of the last arm that it compares."""
    claim = outcome.claim
    if not claim.experiment:
        return None
    folder = results / claim.experiment
    arms = [p.arm for p in claim.picks() if p.arm]
    for arm in [*arms, ""]:
        for file in sorted(
            folder.glob(f"{arm}_*/pictures/{claim.chains[0]}.webp" if arm else f"*/pictures/{claim.chains[0]}.webp")
        ):
            return file
    return None
