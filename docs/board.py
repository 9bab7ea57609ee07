"""The page docs/board.md: the standing table of the reference board in results/board/head.

make board          or: python docs/board.py [BOARD]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from qsmbench.analysis.columns import column
from qsmbench.analysis.overview import overview
from qsmbench.analysis.results import Study, read_study
from qsmbench.analysis.subjects import Sample

DOCS = Path(__file__).parent
BOARD = DOCS.parent / "results" / "board" / "head"

TABLES = (
    ("chi", "nrmse", "From the phase to χ", False),
    ("chi", "nrmse", "Inversion alone, of the true local field with the scan's noise", True),
    ("local_field", "nrmse", "From the phase to the local field", False),
    ("local_field", "nrmse", "Background removal alone, of the true total field with the scan's noise", True),
)
"""Artifact, metric, heading, and whether the chains are isolated."""

INTRODUCTION = """# The reference board of the head

Scores of all built-in methods on the suite `configs/board-head.yaml`: {subjects} subjects under one protocol (3 T,
2 mm, eight echoes), and {others} further scans of some of them. A method is compared with all
of these by running it alone:

```
qsmbench run configs/board-head.yaml --chain romeo.fit.vsharp.mine --method mine=mine.py --against results/board/head
```

The scans are simulated again from their seeds; their fingerprints are compared with those of the board, and other scans
are refused. The scores of every scan are in `results/board/head/scores.parquet`; the folder reads as a study, so that
`qsmbench report results/board/head report` and `qsmbench compare results/board/head A B` work on it.
`python benchmarks/board.py` recomputes three scans and compares their scores with the board's. Made with
qsmbench {qsmbench}, numpy {numpy} and scipy {scipy}.

Each table shows the geometric mean over the {subjects} subjects with its 95 % interval, the rank with its 95 % interval
(over resampled subjects), and the value on each further scan. **Bold**: not shown to be worse than the first (paired
tests over subjects, Holm over all pairs). Errors are on the whole study mask, where a voxel without a value counts as
zero; see [statistics](statistics.md). All settings are defaults; other settings may rank differently.
"""


def main() -> None:
    """Write docs/board.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("board", nargs="?", type=Path, default=BOARD)
    (DOCS / "board.md").write_text(page(read_study(parser.parse_args().board)))


def page(board: Study) -> str:
    """Return the text of the page."""
    sample = board.sample(column("nrmse", "%"))
    main_one = largest(sample)
    subjects = sample.within(main_one).n_subjects
    parts = [INTRODUCTION.format(subjects=subjects, others=len(sample.conditions) - 1, **board.versions)]
    parts += [table(board, *which) for which in TABLES]
    return "\n".join(p for p in parts if p)


def largest(sample: Sample) -> str:
    """Return the condition with most subjects."""
    return max(sample.conditions, key=lambda c: sample.within(c).n_subjects)


def table(board: Study, artifact: str, metric: str, heading: str, isolated: bool) -> str:
    """Return a standing table as Markdown; empty if the board has no such chains."""
    unit = "%"
    shown = column(metric, unit)
    sample = board.sample(shown, artifact)
    if not len(sample.values):
        return ""
    condition = largest(sample)
    names = set(sample.values.index[sample.condition == condition])
    within = Study(
        board.name,
        board.phrase,
        board.scores[board.scores["dataset"].isin(names)],
        board.unmade,
        board.factors[board.factors.index.isin(names)],
        board.folder,
    )
    found = overview(within, artifact, shown, "study")
    rows = found.isolated if isolated else found.others
    if not rows:
        return ""
    others = [c for c in sample.conditions if c != condition]
    head = ["rank", "chain", f"{shown.label} [{unit}]", *others]
    lines = [f"## {heading}", "", f"| {' | '.join(head)} |", "|---|---|---|" + "---|" * len(others)]
    for row in rows:
        cell = row.cells[0]
        mean = "" if cell is None else f"{cell.estimate:.1f} ({cell.low:.1f}–{cell.high:.1f})"
        name = f"**{row.chain}**" if row.tied else row.chain
        rank = f"{row.rank:g} ({row.low:.0f}–{row.high:.0f})"
        rest = [values(sample, row.chain, c) for c in others]
        lines.append(f"| {rank} | {name} | {mean} | {' | '.join(rest)} |")
    said = [s for s in found.sentences if (rows[0].chain in s.split()[0:1]) or s.startswith("Without")]
    return "\n".join([*lines, "", *said, ""])


def values(sample: Sample, chain: str, condition: str) -> str:
    """Return the mean of a chain in a condition as text."""
    known = sample.values[chain].to_numpy(float)[sample.condition == condition]
    return f"{np.exp(np.log(known).mean()):.1f}" if np.isfinite(known).all() and (known > 0).all() else "–"


if __name__ == "__main__":
    main()
