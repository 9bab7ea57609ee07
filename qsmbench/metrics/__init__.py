"""The metrics: declarations and pure functions, one per file.

To add one, put a function decorated with `@metric` into a file of its own name in this folder.
"""

from qsmbench.metrics._declaration import Metric, files, find, metric, modules, names
from qsmbench.metrics._score import COLUMNS, Reference, as_table, not_scored, score

__all__ = [
    "COLUMNS",
    "Metric",
    "Reference",
    "as_table",
    "files",
    "find",
    "metric",
    "modules",
    "names",
    "not_scored",
    "score",
]
