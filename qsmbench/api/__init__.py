"""The Python interface of `import qsmbench`: scans, chains, scores and pictures as objects and arrays.

It calls the same functions as the study's jobs and the command line, without intermediate files: results are
bit-identical.
"""

from qsmbench.api.compare import score, show
from qsmbench.api.make import catalogue, render, simulate
from qsmbench.api.result import Result, reconstruct
from qsmbench.api.scan import Scan, Truth, load_scan
from qsmbench.grid import Grid

__all__ = [
    "Grid",
    "Result",
    "Scan",
    "Truth",
    "catalogue",
    "load_scan",
    "reconstruct",
    "render",
    "score",
    "show",
    "simulate",
]
