"""The methods: one algorithm per file, `<stage>/<name>.py`, named after the method.

Each method is also an attribute of this package, loaded on first use: `qsmbench.methods.tv` (see `run.registry.find`).
Call it on arrays: `tv(local_field, mask, grid, regularisation=3e-4)`.
"""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    registry = importlib.import_module("qsmbench.run.registry")  # by its name: no method's result rests on it
    if name.partition("+")[0] not in registry.names():
        raise AttributeError(f"unknown method {name!r}; {registry.suggest(name, registry.names())}")
    return registry.find(name)


def __dir__() -> list[str]:
    return importlib.import_module("qsmbench.run.registry").names()
