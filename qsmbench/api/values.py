"""Validation of user input: arrays must be real, finite and of the right shape; NumPy numbers become Python numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import as_read
from qsmbench.data.phase_units import to_radians
from qsmbench.errors import QsmbenchError


def plain(value: Any) -> Any:
    """Return a value as in YAML: NumPy numbers as Python numbers, arrays and tuples as lists, paths as text."""
    if isinstance(value, Mapping):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    return str(value) if isinstance(value, Path) else value


def volume(name: str, values: Any, shape: tuple[int, ...] | None = None, echoes: int | None = None) -> np.ndarray:
    """Validate an array, and return it with the type of an artifact.

    Args:
        name: of the artifact.
        values: (nx, ny, nz), with an axis of echoes if the artifact has one; without it, a single echo.
        shape: required shape of the first three axes; by default any.
        echoes: required number of echoes; by default any.

    Raises:
        QsmbenchError: it is not numeric, complex, not finite, of another shape, an empty mask, or a phase not in rad.
    """
    artifact, array = ARTIFACTS[name], np.asarray(values)
    if array.dtype.kind == "c":
        raise QsmbenchError(f"{name} is complex; give np.angle(data) as phase, and np.abs(data) as magnitude")
    if array.dtype.kind not in "fbiu":
        raise QsmbenchError(f"{name} is of type {array.dtype}; it must be an array of real numbers")
    if artifact.echoes and array.ndim == 3:
        array = array[..., None]
    if array.ndim != 3 + artifact.echoes:
        axes = "(nx, ny, nz, n_echoes)" if artifact.echoes else "(nx, ny, nz)"
        raise QsmbenchError(f"{name} has shape {np.shape(values)}; it must be {axes}")
    if shape is not None and array.shape[:3] != tuple(shape):
        raise QsmbenchError(f"{name} has shape {array.shape}; the scan has {tuple(shape)}")
    if echoes is not None and artifact.echoes and array.shape[3] != echoes:
        raise QsmbenchError(f"{name} has shape {array.shape}, {array.shape[3]} echoes; te has {echoes} echo times")
    if not np.isfinite(array).all():
        count = int(np.count_nonzero(~np.isfinite(array)))
        raise QsmbenchError(f"{name}: {count} of {array.size} voxels are NaN or infinite; all must be finite")
    if artifact.is_mask and not array.any():
        raise QsmbenchError(f"{name} is empty; at least one voxel must be non-zero")
    if name == "phase":
        array = to_radians(array, name)[0]
    return as_read(name, array)


def known(name: str) -> str:
    """Return the name of an artifact.

    Raises:
        QsmbenchError: there is none of that name.
    """
    if name not in ARTIFACTS:
        raise QsmbenchError(f"unknown artifact {name!r}; choose from {', '.join(ARTIFACTS)}")
    return name
