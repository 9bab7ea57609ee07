"""qsmbench: susceptibility phantoms with known truth, and a benchmark of QSM reconstructions against it."""

from importlib.metadata import version

__version__ = version("qsmbench")
