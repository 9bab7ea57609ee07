"""The pages docs/board-….md: the standing tables of the boards in results/board.

make board          or: python docs/board.py [NAME …]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from qsmbench.analysis.columns import column
from qsmbench.analysis.overview import overview
from qsmbench.analysis.results import Study, read_study
from qsmbench.analysis.subjects import Sample
from qsmbench.run import registry

DOCS = Path(__file__).parent
BOARDS = DOCS.parent / "results" / "board"
NRMSE = column("nrmse", "%")


TABLES = (
    ("chi", "From the scan to χ", False, ()),
    ("chi", "Inversion alone, of the true local field with the scan's noise", True, ("inversion", "separation")),
    ("chi", "Background removal and inversion at once, of the true total field with its noise", True, ("joint",)),
    ("local_field", "From the scan to the local field", False, ()),
    ("local_field", "Background removal alone, of the true total field with the scan's noise", True, ("background",)),
    ("total_field", "From the scan to the total field", False, ()),
    ("signal_fat_fraction", "From the scan to the fat fraction of the signal", False, ()),
    ("r2star", "From the scan to R2*", False, ()),
)
"""Artifact, heading, whether the chains are isolated, and the stages of their last step; () for all. A table without
chains is left out."""

PAGES = {
    "head": ("romeo.fit.vsharp.mine", "All settings are defaults."),
    "abdomen": ("water_fat.erode.pdf.mine", "Settings are defaults, but for the radius of `erode`, 4 mm."),
}
"""Of each board, an example of a chain with a method of one's own, and which settings are no defaults."""

INTRODUCTION = """# The reference board of the {anatomy}

Scores of the built-in methods on the suite `configs/board-{anatomy}.yaml`: {subjects} subjects under one protocol
({protocol}), and {others} further scans of some of them. A method is compared
with all of these by running it alone:

```
qsmbench run configs/board-{anatomy}.yaml --chain {chain} --method mine=mine.py --against results/board/{anatomy}
```

The scans are simulated again from their seeds; their fingerprints are compared with those of the board, and other scans
are refused. The scores of every scan are in `results/board/{anatomy}/scores.parquet`; the folder reads as a study, so
that `qsmbench report results/board/{anatomy} report` and `qsmbench compare results/board/{anatomy} A B` work on it.
`python benchmarks/board.py --board results/board/{anatomy}` recomputes three scans and compares their scores with those
of the board. Made with
qsmbench {qsmbench}, numpy {numpy} and scipy {scipy}; `runs.json` in that folder has the versions and the code of each
chain's rows.

After a change to a method, its chains alone are run again, and replace their rows:

```
python benchmarks/board.py --board results/board/{anatomy} --changed    # prints --chain … of those that have changed
qsmbench run configs/board-{anatomy}.yaml --chain …
qsmbench board results/board-{anatomy} results/board/{anatomy}
python docs/board.py {anatomy}
```

The board of a study that is not finished is refused, and so are rows that were computed on
other scans or under other settings than the rows that stay. If the code that scores has changed, also run a chain of
each kind of map whose method has not, such as `truth.noisy.tkd`: the other rows stay if its scores are the same.

Each table shows the geometric mean of the NRMSE [%] over the {subjects} subjects with its 95 % interval, the rank by
that mean with its 95 % interval (over resampled subjects), and the NRMSE on each further scan, a single one each.
**Bold**: not shown to be worse than the first (paired tests over subjects, Holm over all pairs). Errors are on the
whole study mask, where a voxel without a value counts as zero; see [statistics](statistics.md). {settings}
Other settings may rank differently.
"""


def main() -> None:
    """Write the pages of the boards that are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"board; choose from {', '.join(PAGES)} (default: all)"
    )
    for name in parser.parse_args().names or PAGES:
        if name not in PAGES:
            parser.error(f"{name!r} is unknown; choose from {', '.join(PAGES)}")
        if (BOARDS / name).is_dir():
            (DOCS / f"board-{name}.md").write_text(page(name, read_study(BOARDS / name)))


def page(name: str, board: Study) -> str:
    """Return the text of the page of a board."""
    sample = board.sample(NRMSE)
    within = sample.within(largest(sample))
    chain, settings = PAGES[name]
    about = {"anatomy": name, "chain": chain, "settings": settings, "protocol": protocol_of(board, within)}
    counts = {"subjects": within.n_subjects, "others": len(sample.conditions) - 1}
    parts = [INTRODUCTION.format(**about, **counts, **board.versions)]
    parts += [table(board, *which) for which in TABLES]
    return "\n".join(p for p in parts if p)


def protocol_of(board: Study, sample: Sample) -> str:
    """Return field strength, voxels and number of echoes of a condition as text."""
    keys = board.protocols[str(board.factors["group"][sample.values.index[0]])]
    voxels = board.factors["voxel_size"][sample.values.index[0]]
    return f"{keys['b0']:g} T, voxels of {voxels} mm, {len(keys['te'])} echoes"


def largest(sample: Sample) -> str:
    """Return the condition with most subjects."""
    return max(sample.conditions, key=lambda c: sample.within(c).n_subjects)


def table(board: Study, artifact: str, heading: str, isolated: bool, last: tuple[str, ...]) -> str:
    """Return a standing table as Markdown; empty if the board has no such chains."""
    sample = board.sample(NRMSE, artifact)
    chains = [c for c in sample.values.columns if not last or stage(c) in last]
    if not len(sample.values):
        return ""
    condition = largest(sample)
    names = set(sample.values.index[sample.condition == condition])
    scores = board.scores[board.scores["dataset"].isin(names) & board.scores["chain"].isin(chains)]
    factors = board.factors[board.factors.index.isin(names)]
    found = overview(replace(board, scores=scores, factors=factors), artifact, NRMSE, "study")
    rows = found.isolated if isolated else found.others
    if not rows:
        return ""
    others = [c for c in sample.conditions if c != condition]
    lines = [f"## {heading}", "", line(["rank", "chain", "NRMSE [%]", *others]), "|---" * (3 + len(others)) + "|"]
    for row in rows:
        cell = row.cells[0]
        mean = "–" if cell is None else f"{cell.estimate:.1f} ({cell.low:.1f}–{cell.high:.1f})"
        name = f"**{row.chain}**" if row.tied else row.chain
        rank = f"{row.rank:g} ({row.low:.0f}–{row.high:.0f})"
        lines.append(line([rank, name, mean, *(values(sample, row.chain, c) for c in others)]))
    said = [s for s in found.sentences if (rows[0].chain in s.split()[0:1]) or s.startswith("Without")]
    return "\n".join([*lines, "", *said, ""])


def line(cells: list[str]) -> str:
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def stage(chain: str) -> str:
    """Return the stage of the last step of a chain."""
    return registry.find(chain.rpartition(".")[2]).source.parent.name


def values(sample: Sample, chain: str, condition: str) -> str:
    """Return the mean of a chain in a condition as text."""
    known = sample.values[chain].to_numpy(float)[sample.condition == condition]
    return f"{np.exp(np.log(known).mean()):.1f}" if np.isfinite(known).all() and (known > 0).all() else "–"


if __name__ == "__main__":
    main()
