"""qsmbench: susceptibility phantoms with known truth, and a benchmark of QSM reconstructions against it."""

__version__ = "0.1.0"
