"""Run the experiments of claims and judge them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

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
    """What a review found.

    Attributes:
        outcomes: of each claim.
        cells: of the tables, those whose experiments were run.
    """

    outcomes: list[Outcome]
    cells: list[Cell]


def perform(
    review: Review,
    claims: Sequence[Claim],
    scale: str,
    results: Path,
    *,
    cores: int,
    note: Callable[[str], None] = lambda text: None,
) -> Findings:
    """Run the experiments of claims, reuse what is up to date, judge each claim, and measure the cells of the tables.

    An experiment that fails makes its claims fail, with the reason; the others are run.

    Args:
        review: the list.
        claims: those to judge.
        scale: quick or full.
        results: folder of the studies.
        cores: number of processors.
        note: called with a line about each experiment.
    """
    judged: dict[str, Outcome] = {}
    measured: list[Cell] = []
    names = experiments(claims)
    for number, name in enumerate(names, 1):
        mine = [c for c in claims if c.experiment == name]
        note(f"{name} ({number} of {len(names)}): {', '.join(c.id for c in mine)}")
        try:
            study = study_of(review, name, scale, results)
            missing = _run(study, cores)
            table = measurements(study, review.experiments[name].probes)
        except QsmbenchError as error:
            judged |= {c.id: Outcome(c, FAILED, reason=str(error)) for c in mine}
            continue
        measured += cells(review, name, table)
        for claim in mine:
            try:
                judged[claim.id] = judge(claim, table)
            except QsmbenchError as error:
                judged[claim.id] = Outcome(claim, FAILED, reason=str(error))
            found = judged[claim.id]
            if missing and all(p.n == 0 for p in found.parts):
                judged[claim.id] = Outcome(claim, FAILED, reason=missing)
    return Findings([judged.get(c.id) or Outcome(c, NOT_RUN, reason=c.cannot) for c in claims], measured)


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
