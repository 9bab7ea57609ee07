"""Which scores of a study are still to be computed, from its folder."""

from __future__ import annotations

from pathlib import Path

from qsmbench.study.config import parse
from qsmbench.study.plan import JOBS, Plan
from qsmbench.typed_yaml import read_yaml


def unfinished(folder: Path) -> dict[str, list[str]]:
    """Return the chains that have no record of their scores yet, by dataset; none of a study that was never run.

    Args:
        folder: of the study.
    """
    config = folder / JOBS / "config.yaml"
    if not config.is_file():
        return {}
    plan = Plan(parse(read_yaml(config), str(config)))
    plan.folder = folder  # where it is now
    missing = {d: [c for c in plan.study.chains if not plan.score(d, c).is_file()] for d in plan.datasets}
    return {d: chains for d, chains in missing.items() if chains}
