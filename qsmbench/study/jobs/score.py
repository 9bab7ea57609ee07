"""Job: the result of a chain → its scores on the study mask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qsmbench.metrics import Reference, not_scored
from qsmbench.run.specs import ScoreSpec
from qsmbench.study.scoring import Scan, named, write_table


def run(spec: ScoreSpec, out: Path) -> None:
    """Write the table below `out`."""
    write_table(out / f"{spec.chain}.parquet", scored(spec))


def scored(spec: ScoreSpec) -> list[dict[str, Any]]:
    """Return the scores of a chain's artifacts on the study mask, if they can be scored."""
    scan, rows = Scan(spec), []
    for artifact in spec.artifacts:
        if not not_scored(artifact):
            given = scan.reconstruction(spec, artifact)
            rows += named(spec, artifact, Reference(**scan.reference(artifact)).rows(**given, supports=("study",)))
    return rows
