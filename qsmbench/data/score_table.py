"""The table of scores of a study: its columns and special names."""

from __future__ import annotations

METRIC_COLUMNS = ("metric", "region", "support", "value", "unit", "reason")
"""Columns of the scores of one map; `region` is empty for the whole mask, `reason` if there is a value. A score of a
source has `source` and its index as its region."""

_SOURCE = "source "


def source_name(index: int) -> str:
    """Return what the column `region` holds for the source with an index."""
    return f"{_SOURCE}{index}"


def source_index(region: str) -> int | None:
    """Return the index of the source that `region` stands for; None if it is the name of a region, or empty."""
    number = region.removeprefix(_SOURCE)
    return int(number) if number != region and number.isdecimal() else None


COLUMNS = ("dataset", "chain", "artifact", *METRIC_COLUMNS)
"""Columns of the scores of a study. `support` is study, common, or run (see `RUN_ROWS`)."""

FACTORS = ("dataset", "group", "phantom", "scenario", "case", "subject", "protocol", "seed", "orientation")
"""Columns that describe a dataset, followed by overridden keys. Datasets of one `group` differ only in their `seed`."""

SUPPORTS = {"study": "the study mask", "common": "the voxels that all methods reconstructed"}
"""Supports of the scores, and their names."""

CONTROLS = ("truth", "zero")
"""Control chains, which are not methods: they bound every table."""

FED = ("truth", "true_mask", "true_total_field", "true_local_field")
"""Controls within a chain that feed it a true map."""


def is_isolated(chain: str) -> bool:
    """Whether an input of a chain is a true map, so that it does not compete with chains that start from the phase."""
    return chain not in CONTROLS and any(step in FED for step in chain.split("."))


def is_fed(chain: str) -> bool:
    """Whether a chain is fed a true map after its beginning, as those of an attribution; it is not ranked."""
    return any(step in FED[1:] for step in chain.split("."))


COSTS = ("time", "peak_memory")
"""Metrics of the cost of a chain."""

STATUS = "status"
"""Metric of a failed chain, or (if `chain` is empty) of a failed dataset: NaN with its reason.
The reason begins with one of `KINDS` and a colon."""

KINDS = ("failed", "timeout", "memory", "skipped", "missing")
"""Kinds of failure of a chain or a dataset."""

NOT_SCORED = "not_scored"
"""Metric of a chain whose result cannot be scored: NaN with its reason. Not a failure."""

RUN_ROWS = (*COSTS, STATUS, NOT_SCORED)
"""Metrics that describe the run of a chain, not the quality of its result."""
