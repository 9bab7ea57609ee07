"""Compiled separable filters of volumes.

Sums have the order of `scipy.ndimage.correlate1d` and `uniform_filter`, so that the results are bit-identical.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled


def correlate(volume: np.ndarray, kernel: np.ndarray, axis: int, *, replicated: bool = False) -> np.ndarray:
    """Correlate with a symmetric kernel along one axis.

    Args:
        volume: (nx, ny, nz) float64.
        kernel: (2·reach + 1,) float64, symmetric.
        axis: 0, 1 or 2.
        replicated: extend the volume by its edge values; by default by zeros.

    Returns:
        (nx, ny, nz) float64.
    """
    result = np.empty(volume.shape)
    _correlate(_own(volume), kernel[kernel.size // 2 :].copy(), axis, replicated, result)
    return result


def box_mean(volume: np.ndarray, reach: int) -> np.ndarray:
    """Compute the mean over (2·reach + 1)³ voxels, with zeros around the volume.

    Args:
        volume: (nx, ny, nz) float64.
        reach: voxels to either side.

    Returns:
        (nx, ny, nz) float64.
    """
    result = _own(volume)
    for axis in range(3):
        volume, result = result, np.empty(volume.shape)
        _running_sum(volume, reach, axis, result)
        result /= 2 * reach + 1
    return result


def _own(volume: np.ndarray) -> np.ndarray:
    """Return the volume as a contiguous float64 array, so that the loops are compiled once."""
    plain = volume.dtype == np.float64 and volume.flags.c_contiguous and volume.flags.writeable
    return volume if plain else np.array(volume, np.float64, order="C")


@compiled()
def _correlate(volume, half, axis, replicated, result):
    nx, ny, nz = volume.shape
    reach = half.size - 1
    nothing, line = np.zeros(nz), np.zeros(nz + 2 * reach)
    for i in range(nx):
        for j in range(ny):
            row, centre = result[i, j], volume[i, j]
            for k in range(nz):
                row[k] = centre[k] * half[0]
            if axis == 2:
                for k in range(nz):
                    line[reach + k] = centre[k]
                if replicated:
                    for k in range(reach):
                        line[k], line[reach + nz + k] = centre[0], centre[nz - 1]
            for n in range(reach, 0, -1):
                if axis == 2:
                    _add(row, line[reach - n : reach - n + nz], line[reach + n : reach + n + nz], half[n])
                    continue
                at, last = (j, ny - 1) if axis == 1 else (i, nx - 1)
                before, after = at - n, at + n
                if replicated:
                    before, after = max(before, 0), min(after, last)
                lower = upper = nothing
                if before >= 0:
                    lower = volume[i, before] if axis == 1 else volume[before, j]
                if after <= last:
                    upper = volume[i, after] if axis == 1 else volume[after, j]
                _add(row, lower, upper, half[n])


@compiled()
def _add(row, lower, upper, weight):
    for k in range(row.size):
        row[k] += (lower[k] + upper[k]) * weight


@compiled()
def _running_sum(volume, reach, axis, result):
    nx, ny, nz = volume.shape
    nothing = np.zeros(nz)
    for i in range(nx):
        for j in range(ny):
            row = result[i, j]
            if axis == 2:
                _running_sum_of_line(volume[i, j], reach, row)
                continue
            at, n = (j, ny) if axis == 1 else (i, nx)
            if at == 0:
                row[:] = 0.0
                for m in range(min(reach + 1, n)):
                    first = volume[i, m] if axis == 1 else volume[m, j]
                    for k in range(nz):
                        row[k] += first[k]
                continue
            enters = leaves = nothing
            if at + reach < n:
                enters = volume[i, at + reach] if axis == 1 else volume[at + reach, j]
            if at > reach:
                leaves = volume[i, at - reach - 1] if axis == 1 else volume[at - reach - 1, j]
            former = result[i, j - 1] if axis == 1 else result[i - 1, j]
            for k in range(nz):
                row[k] = former[k] + (enters[k] - leaves[k])


@compiled()
def _running_sum_of_line(line, reach, result):
    total = 0.0
    for k in range(min(reach + 1, line.size)):
        total += line[k]
    result[0] = total
    for k in range(1, line.size):
        enters = line[k + reach] if k + reach < line.size else 0.0
        leaves = line[k - reach - 1] if k > reach else 0.0
        total += enters - leaves
        result[k] = total
