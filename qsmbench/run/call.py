"""A method called on arrays: what it consumes, gathered by name, and its products, checked.

The wrapper validates, the method computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params
from qsmbench.data.label_scheme import renumbered, scheme
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Method, Orientation, note
from qsmbench.ops.arrays.array import to_device, to_numpy

CONTROL = "control"
"""The reference of a method that bounds the tables, and reconstructs nothing."""


@dataclass(frozen=True)
class Inputs:
    """What one orientation of a scan offers to a method.

    Attributes:
        params: of the scan.
        volumes: for each artifact that is to be had, what reads it (or copies it: a method may write to its inputs).
        regions: what returns index, name and group of the labels; None if they are not known.
    """

    params: Params
    volumes: Mapping[str, Callable[[], np.ndarray]]
    regions: Callable[[], list[tuple[int, str, str]]] | None = None


def apply(
    method: Method, settings: Mapping[str, Any], own: Inputs, further: Sequence[Inputs] = (), device: str = "numpy"
) -> tuple[dict[str, np.ndarray], float]:
    """Run a method on one orientation of a scan.

    Args:
        method: the method.
        settings: by name; the others have their defaults.
        own: what the orientation offers.
        further: what the further orientations offer, for a method that takes them all.
        device: where a portable method computes.

    Returns:
        the products by name, and how long the method alone took [s].

    Raises:
        NotApplicable: an artifact is not to be had, or the method says so.
        QsmbenchError: an artifact cannot be read, or there is no such device.
        ValueError: a product is not what it should be.
        Exception: whatever else the method raises.
    """
    arguments = gather(method, own, further)
    moved = on_device(method, arguments, device)
    start = time.perf_counter()
    products = checked(method, method(**moved, **settings), own.params.grid)
    seconds = time.perf_counter() - start  # a device has done its work when the products are here
    refuse_constant(method, products, arguments)
    return products, seconds


def gather(method: Method, own: Inputs, further: Sequence[Inputs] = ()) -> dict[str, Any]:
    """Return by name what `method` consumes.

    Raises:
        NotApplicable: an artifact is not to be had.
        QsmbenchError: an artifact cannot be read.
    """
    params = own.params
    values: dict[str, Any] = {"grid": params.grid, "te": params.te.copy(), "b0": params.b0}
    for name in method.consumes:
        if name == "orientations":
            values[name] = tuple(_orientation(inputs) for inputs in (own, *further))
        elif name not in values:
            if name in own.volumes:
                values[name] = _labels(method.label_scheme, own) if name == "labels" else own.volumes[name]()
            elif name not in method.optional:
                raise NotApplicable(f"this dataset has no {name}")
    return {name: values[name] for name in method.consumes if name in values}


def _labels(to: str, inputs: Inputs) -> np.ndarray:
    """Return the labels by the numbers of a scheme; with no name, those of the phantom.

    Raises:
        NotApplicable: it is not known which regions they are.
    """
    labels = inputs.volumes["labels"]()
    if not to:
        return labels
    if inputs.regions is None:
        raise NotApplicable(f"this dataset has no table of its regions, whose labels are to be those of {to}")
    labels, left_out = renumbered(labels, inputs.regions(), scheme(to))
    if left_out:
        note("labels", f"0, since the scheme {to} has no number for them: {', '.join(left_out)}")
    return labels


def _orientation(inputs: Inputs) -> Orientation:
    """Gather the local field of one orientation, where it is known, and the magnitude if there is one."""
    if "local_field" not in inputs.volumes or "mask" not in inputs.volumes:
        raise NotApplicable("an orientation of this dataset has no local_field")
    read = {n: inputs.volumes[n]() for n in ("local_field", "mask", "magnitude") if n in inputs.volumes}
    te = inputs.params.te.copy()
    return Orientation(read["local_field"], read["mask"], inputs.params.grid, read.get("magnitude"), te)


def on_device(method: Method, arguments: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The volumes among a method's arguments on `device`, if it is portable; as they are, otherwise.

    Raises:
        QsmbenchError: there is no such device.
    """
    if not method.portable:
        return dict(arguments)
    return {n: to_device(v, device) if n in ARTIFACTS else v for n, v in arguments.items()}


def checked(method: Method, result: Any, grid: Grid) -> dict[str, np.ndarray]:
    """The products of `method` by name, refused unless of the right kind, shape and finite.

    Raises:
        ValueError: with what is wrong.
    """
    if result is None:
        raise ValueError(f"returned nothing instead of {' and '.join(method.produces)}")
    results = result if isinstance(result, tuple) else (result,)
    if len(results) != len(method.produces):
        raise ValueError(f"returned {len(results)} arrays instead of {len(method.produces)}: {method.produces}")
    products = {}
    for name, value in zip(method.produces, results, strict=True):
        array = to_numpy(value)
        if array.dtype.kind not in "fbiu":
            raise ValueError(f"{name} is of type {array.dtype}; it must be real numbers")
        if array.shape[:3] != grid.shape or array.ndim != 3 + ARTIFACTS[name].echoes:
            raise ValueError(f"{name} has shape {array.shape}; the scan has {grid.shape}")
        if not np.isfinite(array).all():
            count = int(np.count_nonzero(~np.isfinite(array)))
            raise ValueError(f"{name} has {count} NaN or infinite voxels")
        products[name] = array != 0 if name == "mask" else array
    if "mask" in products and not products["mask"].any():
        raise ValueError("its mask is empty")
    return products


def refuse_constant(method: Method, products: Mapping[str, np.ndarray], arguments: Mapping[str, Any]) -> None:
    """Refuse maps that are the same everywhere in the mask, though what they were made of is not.

    Raises:
        ValueError: with what is wrong.
    """
    if method.reference == CONTROL:
        return
    mask = products.get("mask", arguments.get("mask", ...))

    def varies(volumes: Mapping[str, Any]) -> bool:
        maps = (v[mask] for name, v in volumes.items() if name in ARTIFACTS and name != "mask")
        return any(m.min() != m.max() for m in maps if m.size)  # also of bool

    if any(name != "mask" for name in products) and varies(arguments) and not varies(products):
        value = float(next(v for name, v in products.items() if name != "mask")[mask].flat[0])
        raise ValueError(f"{' and '.join(products)}: constant within the mask ({value:.3g})")


def failure(error: Exception) -> tuple[str, str]:
    """Return the status of a step whose method raised `error`, and the reason."""
    if isinstance(error, NotApplicable):
        return "skipped", str(error)
    if isinstance(error, MemoryError):
        return "memory", str(error) or "there is not enough"
    kind = "" if isinstance(error, QsmbenchError) else f"{type(error).__name__}: "
    return "failed", f"{kind}{error}"
