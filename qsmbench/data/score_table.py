"""The table of scores of a study: its columns, and the names in it that have a meaning of their own."""

from __future__ import annotations

METRIC_COLUMNS = ("metric", "region", "support", "value", "unit", "reason")
"""Columns of the scores of one map; `region` is empty for the whole mask, `reason` where there is a value."""

COLUMNS = ("dataset", "chain", "artifact", *METRIC_COLUMNS)
"""Columns of the scores of a study. `support` is study, common, or run (see `RUN_ROWS`)."""

FACTORS = ("dataset", "group", "phantom", "scenario", "case", "subject", "protocol", "seed", "orientation")
"""Columns that say what a dataset is; crossed keys follow. Datasets of one `group` differ by their `seed` alone."""

SUPPORTS = {"study": "the study mask", "common": "the voxels that all methods share"}
"""Supports of the scores, and what they are called."""

CONTROLS = ("truth", "zero")
"""Chains that are no method: they bound every table."""

COSTS = ("time", "peak_memory")
"""Metrics of what a chain costs."""

STATUS = "status"
"""Metric of a chain that failed, or (where `chain` is empty) of a dataset that could not be made: NaN with its reason.
The reason begins with one of `KINDS` and a colon."""

KINDS = ("failed", "timeout", "memory", "skipped", "missing")
"""How a chain or a dataset can fail."""

NOT_SCORED = "not_scored"
"""Metric of a chain whose result no metric applies to: NaN with its reason. It is no failure."""

RUN_ROWS = (*COSTS, STATUS, NOT_SCORED)
"""Metrics that describe the run of a chain, not the quality of its result."""
