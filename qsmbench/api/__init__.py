"""What `import qsmbench` offers to Python: scans, chains, scores and pictures as objects and arrays.

It calls what the study's jobs and the command line call, without files in between: the numbers are the same to the bit.
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
