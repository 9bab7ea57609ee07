"""What a simulation needs of memory, estimated before anything is allocated."""

from __future__ import annotations

import contextlib
import math
import resource
from pathlib import Path

import numpy as np
import psutil

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.base import Phantom
from qsmbench.scan.geometry import scan_geometry
from qsmbench.scan.protocol import Protocol

BYTES_OF_SUBVOXEL = 42
"""Measured as the growth of the peak between grids: 42 for a head, 64 for a sphere. The lesser, so that nothing is
refused that would fit."""

BYTES_OF_VALUE = 8
"""complex64, of each echo of each voxel."""

_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where a container or a scheduler says how much memory there is; version 2 and 1 of control groups."""


def memory_needed(phantom: Phantom, protocol: Protocol) -> float:
    """Return at least what a simulation of one orientation takes [MiB].

    Raises:
        QsmbenchError: the voxels are so small that they cannot be counted.
    """
    try:
        gap = protocol.slices.gap if protocol.slices else 0
        with np.errstate(over="raise", divide="raise", invalid="raise"):
            geometry = scan_geometry(phantom.grid(), phantom.supersampling, protocol.grid, gap=gap)
        voxels, parts = math.prod(geometry.grid.shape), math.prod(geometry.factor)
        return voxels * (parts * BYTES_OF_SUBVOXEL + len(protocol.te) * BYTES_OF_VALUE) / 2**20
    except (OverflowError, ValueError, FloatingPointError, np.linalg.LinAlgError) as e:
        raise QsmbenchError(
            f"phantom {phantom.name}: voxel_size, supersampling or field of view is out of range ({e})"
        ) from e


def memory_there() -> float:
    """Return the memory of this machine, or the part of it that this process may take [MiB]."""
    limits = [psutil.virtual_memory().total]
    for file in _LIMITS:
        with contextlib.suppress(OSError, ValueError):
            limits.append(int(Path(file).read_text()))
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    limits += [own] if own != resource.RLIM_INFINITY else []
    return min(limits) / 2**20


def check_memory(phantom: Phantom, protocol: Protocol) -> None:
    """Refuse a simulation for which there is not enough memory.

    Raises:
        QsmbenchError: it needs more than this machine has.
    """
    needed, there = memory_needed(phantom, protocol), memory_there()
    if needed > there:
        raise QsmbenchError(
            f"phantom {phantom.name}: its simulation takes at least {needed:.3g} MiB of memory, of which there are "
            f"{there:.0f}; use larger voxels, a smaller field of view or less supersampling"
        )
