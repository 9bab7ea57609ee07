"""Arrays of NumPy, PyTorch, CuPy or any other library that follows the array API standard.

Portable methods take and return arrays of the same library. Only NumPy has special code here: expressions run block by
block on threads, and stencils are compiled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.ops.arrays.device import split_device
from qsmbench.threads import over_planes

_BLOCK = 1 << 17  # voxels of a block: a few blocks of float32 fit into the cache of a core


def namespace(*arrays: Any) -> Any:
    """Return the array API namespace of arrays; numbers and None are skipped."""
    return array_api_compat.array_namespace(*(a for a in arrays if a is not None), use_compat=None)


def is_numpy(array: Any) -> bool:
    """Return whether an array is a NumPy array."""
    return isinstance(array, np.ndarray)


def like(values: np.ndarray, other: Any) -> Any:
    """Return NumPy `values` as an array of the same library and on the same device as `other`."""
    if is_numpy(other):
        return values
    if not values.flags.writeable:  # PyTorch would share it
        values = values.copy()
    return namespace(other).asarray(values, device=array_api_compat.device(other))


def to_numpy(array: Any) -> np.ndarray:
    """Return an array of any library (or array-like) as a NumPy array, copied from its device if necessary."""
    if is_numpy(array) or not array_api_compat.is_array_api_obj(array):
        return np.asarray(array)
    return np.from_dlpack(array, device="cpu")  # copies what is on another device


def to_device(values: np.ndarray, device: str) -> Any:
    """Move NumPy `values` to a `device`: `numpy`, `cupy`, `torch`, or `torch:` and a PyTorch device such as `cuda`.

    Raises:
        QsmbenchError: there is no such device, or its library is not installed.
    """
    library, place = split_device(device)
    if library == "numpy":
        return values
    try:
        xp = __import__(library)
    except ImportError as e:
        raise QsmbenchError(f"device is {device!r}, but {library} is not installed; pip install {library}") from e
    try:
        if library == "cupy":
            return xp.asarray(values)
        return xp.asarray(values.copy(), device=place or "cpu")
    except Exception as e:  # a library's own error: no such device, no driver
        raise QsmbenchError(f"device is {device!r}: {' '.join(str(e).split())[:200]}") from e


def masked(volume: Any, mask: Any) -> Any:
    """Return `volume` where `mask` is true, zero elsewhere, as a new float32 array."""
    if is_numpy(volume):
        return np.multiply(volume, mask, dtype=np.float32)
    xp = namespace(volume)
    volume = xp.astype(volume, xp.float32)
    return xp.where(mask, volume, xp.zeros_like(volume))


def compute(expression: Callable[..., Any], *arrays: Any, out: Any = None, **constants: Any) -> Any:
    """Evaluate an expression voxel by voxel.

    With NumPy it runs on blocks of planes that fit into the cache, on all threads, so that even a long expression takes
    one pass over memory.

    Args:
        expression: called as expression(xp, *blocks, **constants), xp being the namespace; it must treat each voxel
            independently, and return one array, or a tuple of as many as `out` has.
        arrays: of the same shape.
        out: array to write to, or a tuple of arrays (which may be among `arrays`); by default a new array of the type
            of the first of `arrays`.
        constants: numbers, passed on.

    Returns:
        `out`.
    """
    first = arrays[0]
    if not is_numpy(first):
        result = expression(namespace(first), *arrays, **constants)
        if out is None:
            return result
        _assign(out, result, ...)
        return out
    out = np.empty_like(first) if out is None else out
    blocks = _block_edges(first.shape)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            part = slice(blocks[i], blocks[i + 1])
            _assign(out, expression(np, *(a[part] for a in arrays), **constants), part)

    over_planes(work, len(blocks) - 1)
    return out


def _assign(out: Any, result: Any, part: Any) -> None:
    if isinstance(out, tuple):
        for array, values in zip(out, result, strict=True):
            array[part] = values
    else:
        out[part] = result


def total(expression: Callable[..., Any], *arrays: Any, **constants: Any) -> float:
    """Sum an expression over all voxels in double precision, independently of the number of threads.

    Args:
        expression: as for `compute`.
        arrays: of the same shape.
        constants: numbers, passed on.
    """
    first = arrays[0]
    xp = namespace(first)
    if not is_numpy(first):
        values = expression(xp, *arrays, **constants)
        return float(xp.sum(values, dtype=xp.float64))
    blocks = _block_edges(first.shape)
    sums = np.zeros(len(blocks) - 1)

    def work(start: int, stop: int) -> None:
        for i in range(start, stop):
            part = slice(blocks[i], blocks[i + 1])
            sums[i] = np.sum(expression(np, *(a[part] for a in arrays), **constants))  # pairwise: precise enough

    over_planes(work, len(sums))
    return float(sums.sum())


def _block_edges(shape: tuple[int, ...]) -> list[int]:
    """Return the first and last planes of the blocks, which depend only on the shape."""
    planes = max(1, _BLOCK // max(1, int(np.prod(shape[1:]))))
    return [*range(0, shape[0], planes), shape[0]]
