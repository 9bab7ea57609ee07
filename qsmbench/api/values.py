"""Validation of user input: arrays must be real, finite and of the right shape; NumPy numbers become Python numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import as_read
from qsmbench.data.phase_units import Evidence, to_radians
from qsmbench.data.read_mask import to_mask
from qsmbench.data.volumes import check_finite, without_unit_axes
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


def volume(
    name: str,
    values: Any,
    shape: tuple[int, ...] | None = None,
    echoes: int | None = None,
    *,
    mask: np.ndarray | None = None,
    evidence: Evidence | None = None,
    notes: list[str] | None = None,
) -> np.ndarray:
    """Validate an array, and return it with the type of an artifact.

    Args:
        name: of the artifact.
        values: (nx, ny, nz), with an axis of echoes if the artifact has one; without it, a single echo.
        shape: required shape of the first three axes; by default any.
        echoes: required number of echoes; by default any.
        mask: (nx, ny, nz) bool, outside of which values need not be finite; they are set to 0.
        evidence: what is known of a phase; by default that it is in rad if nothing speaks against it.
        notes: receives what was converted.

    Raises:
        QsmbenchError: it is not numeric, complex, not finite in the mask, of another shape, not a mask, an empty one,
            or a phase of no clear unit.
    """
    artifact, array = ARTIFACTS[name], np.asarray(values)
    if array.dtype.kind == "c":
        raise QsmbenchError(f"{name} is complex; give np.angle(data) as phase, and np.abs(data) as magnitude")
    if array.dtype.kind not in "fbiu":
        raise QsmbenchError(f"{name} is of type {array.dtype}; it must be an array of real numbers")
    notes = [] if notes is None else notes
    array = array if artifact.is_mask else without_unit_axes(array, 3 + artifact.echoes)
    if artifact.is_mask and array.ndim >= 3:
        array, more = to_mask(array, name)
        notes += more
    if artifact.echoes and array.ndim == 3:
        array = array[..., None]
    if array.ndim != 3 + artifact.echoes:
        axes = "(nx, ny, nz, n_echoes)" if artifact.echoes else "(nx, ny, nz)"
        raise QsmbenchError(f"{name} has shape {np.shape(values)}; it must be {axes}")
    if shape is not None and array.shape[:3] != tuple(shape):
        raise QsmbenchError(f"{name} has shape {array.shape}; the scan has {tuple(shape)}")
    if echoes is not None and artifact.echoes and array.shape[3] != echoes:
        raise QsmbenchError(f"{name} has shape {array.shape}, {array.shape[3]} echoes; te has {echoes} echo times")
    if count := check_finite(name, array, mask):
        array = np.nan_to_num(array, nan=0.0, posinf=0.0, neginf=0.0)
        notes.append(f"{name}: {count} voxels outside the mask are NaN or infinite; set to 0")
    if name == "phase":
        array, more = to_radians(array, name, evidence or Evidence(by_convention="rad"))
        notes += more
    return as_read(name, array)


def known(name: str) -> str:
    """Return the name of an artifact.

    Raises:
        QsmbenchError: there is none of that name.
    """
    if name not in ARTIFACTS:
        raise QsmbenchError(f"unknown artifact {name!r}; choose from {', '.join(ARTIFACTS)}")
    return name
