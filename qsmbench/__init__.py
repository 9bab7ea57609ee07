"""qsmbench: susceptibility phantoms with known truth, and a benchmark of QSM reconstructions against it.

    import qsmbench as qb

    scan = qb.simulate("head", "brain-3t", voxel_size=2)
    chi = qb.reconstruct("romeo.fit.vsharp.tv", scan)
    qb.score(chi, scan.truth)
    qb.show(chi, scan.truth)

The names in `__all__` are loaded on first use; see `qsmbench.api`.
"""

import importlib

__version__ = "0.1.0"

__all__ = ["Grid", "Scan", "catalogue", "load_scan", "methods", "reconstruct", "render", "score", "show", "simulate"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; choose from {', '.join(__all__)}")
    if name == "methods":
        return importlib.import_module("qsmbench.methods")
    return getattr(importlib.import_module("qsmbench.api"), name)  # by its name: everything imports this file


def __dir__() -> list[str]:
    return [*__all__, "__version__", "__doc__"]
