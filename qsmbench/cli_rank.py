"""The verb `qsmbench rank`: ranks by every rule, and whether they carry over."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table

from qsmbench.analysis import standings
from qsmbench.analysis.rankings import RULES, Ranking
from qsmbench.analysis.results import read_study
from qsmbench.analysis.verdict import sample_of
from qsmbench.cli_show import console, plain
from qsmbench.data.score_table import SUPPORTS
from qsmbench.errors import FailedError, QsmbenchError, suggest

HEADINGS = {
    "aggregate_then_rank": "rank by mean",
    "rank_then_aggregate": "rank by mean rank",
    "test_then_rank": "rank by wins",
}


def rank(
    results: Path, metric: str, artifact: str, support: str, between: str | None, to: Sequence[Path], csv: Path
) -> None:
    """Print a table for the chains that compete, and what carries over; write the ranks as CSV.

    Args:
        results: folder of the study.
        metric, artifact, support: of the scores.
        between: factor between whose values the rankings are compared.
        to: folders of further studies.
        csv: file to write.
    """
    if support not in SUPPORTS:
        raise QsmbenchError(f"--support {support}: {suggest(support, SUPPORTS)}")
    study = read_study(results)
    sample = sample_of(study, metric, artifact, support)
    levels = []
    if between is not None:
        told_apart = study.factors.columns[study.factors.astype(str).nunique() > 1]
        factors = [str(c) for c in told_apart if c not in ("group", "seed", "subject")]
        if between not in factors:
            same = "all scans of this study have the same factors"
            choice = suggest(between, factors) if factors else same
            raise QsmbenchError(f"--between {between}: {choice}")
        levels = study.factors[between].reindex(sample.values.index).fillna("").astype(str).tolist()
    parts = standings.ranked_together(sample)
    if not parts or pd.isna(sample.column.best):
        raise FailedError(f"{results}: no chain can be ranked by {metric} of {artifact}")
    tables = []
    for kind, chains in parts.items():
        found = standings.by_rules(sample, chains)
        tables.append(standings.table(found).assign(kind=kind))
        _print(found, f"{len(chains)} {kind} by {sample.column.label}, {found['test_then_rank'].subjects} subjects")
    pd.concat(tables).to_csv(csv, index=False)
    said = standings.between(sample, levels)
    for folder in to:
        other = sample_of(read_study(folder), metric, artifact, support)
        said += standings.carries_over(sample, other, (results.name, folder.name))
    for sentence in said:
        console.print(plain(sentence), soft_wrap=True)
    console.print(f"Table: {csv.resolve()}", soft_wrap=True)


def _print(found: dict[str, Ranking], title: str) -> None:
    shown = Table(title=title, title_justify="left")
    shown.add_column("chain", overflow="fold")
    for rule in RULES:
        shown.add_column(HEADINGS[rule], justify="right")
    places = {rule: {c: i for i, c in enumerate(r.chains)} for rule, r in found.items()}
    for chain in next(iter(found.values())).chains:
        shown.add_row(plain(chain), *(_text(r, places[rule][chain]) for rule, r in found.items()))
    console.print(shown)
    if why := standings.silent(found):
        console.print(why, soft_wrap=True)
    gone = next(iter(found.values())).incomplete
    if gone:
        console.print(plain(f"Without a score on some subject, where they count as the worst: {', '.join(gone)}."))


def _text(found: Ranking, place: int) -> str:
    rank = f"{found.rank[place]:g}"
    return rank if pd.isna(found.low[place]) else f"{rank} ({found.low[place]:.0f}–{found.high[place]:.0f})"
