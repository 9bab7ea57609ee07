"""The process in which a method runs: read what it consumes, call it, check and write what it gives.

The wrapper validates, the method computes.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params, read_of, read_params, write
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Method, Orientation, collected
from qsmbench.ops.arrays.array import to_device, to_numpy
from qsmbench.run import registry
from qsmbench.run.specs import StepSpec
from qsmbench.run.step import OUTCOME_FILE
from qsmbench.supervise import end_with_parent

CONTROL = "control"
"""The reference of a method that bounds the tables, and reconstructs nothing."""


def gather(
    method: Method, folders: Mapping[str, Path], scan: Path, orientations: Sequence[str] = ()
) -> tuple[dict[str, Any], Params]:
    """Read what `method` consumes; return it by name, and the acquisition parameters.

    Args:
        method: the method.
        folders: for each artifact that is to be had, the folder that holds it.
        scan: folder of the scan.
        orientations: names of the folders of the further orientations, within each of `folders` and the scan.

    Raises:
        NotApplicable: an artifact is not to be had.
        QsmbenchError: an artifact is missing in its folder, damaged, or lies on another grid.
    """
    params = read_params(scan)
    values: dict[str, Any] = {"grid": params.grid, "te": params.te, "b0": params.b0}
    for name in method.consumes:
        if name == "orientations":
            values[name] = tuple(_orientation(folders, scan, place) for place in ("", *orientations))
        elif name not in values:
            if name in folders:
                values[name] = read_of(folders[name], name, params)
            elif name not in method.optional:
                raise NotApplicable(f"this dataset has no {name}")
    return {name: values[name] for name in method.consumes if name in values}, params


def _orientation(folders: Mapping[str, Path], scan: Path, place: str) -> Orientation:
    """Read the local field of one orientation, where it is known, and the magnitude if there is one."""
    if "local_field" not in folders or "mask" not in folders:
        raise NotApplicable("an orientation of this dataset has no local_field")
    params = read_params(scan / place)
    names = [n for n in ("local_field", "mask", "magnitude") if n in folders]
    read = {name: read_of(folders[name] / place, name, params) for name in names}
    return Orientation(read["local_field"], read["mask"], params.grid, read.get("magnitude"), params.te)


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
        return any(np.ptp(m) > 0 for m in maps)

    if any(name != "mask" for name in products) and varies(arguments) and not varies(products):
        name = next(name for name in products if name != "mask")
        raise ValueError(f"{' and '.join(products)}: the same everywhere ({products[name][mask].flat[0]:.3g})")


def _once(method: Method, spec: StepSpec, place: str) -> tuple[float, dict[str, Path]]:
    """Run the method on one orientation; return how long it took [s], and its products' files by artifact."""
    folders = {name: Path(folder) / place for name, folder in spec.inputs.items()}
    arguments, params = gather(method, folders, Path(spec.scan) / place, () if place else spec.orientations)
    moved = on_device(method, arguments, spec.device)
    start = time.perf_counter()
    result = method(**moved, **spec.settings)
    products = checked(method, result, params.grid)
    seconds = time.perf_counter() - start  # a device has done its work when the products are here
    refuse_constant(method, products, arguments)
    out = Path(spec.out) / place
    write(out, products, params.grid)
    return seconds, {f"{place}/{name}": out / ARTIFACTS[name].file for name in products}


def run(spec: StepSpec) -> dict[str, Any]:
    """Run the method that `spec` names and write its products; see `run.step.run`.

    Returns:
        `status`, `reason` and `seconds` of the method alone; `files`, its products; `details`: its settings with the
        defaults (`used`), its `reference`, and `notes`; and `peak_memory` if that cannot be known.
    """
    outcome: dict[str, Any] = {"status": "ok", "reason": "", "seconds": None}
    details: dict[str, Any] = {}
    try:
        method = registry.find(spec.method, container=spec.container, memory_limit=spec.memory_limit)  # type: ignore[arg-type]  # it checks
        outcome |= {} if method.watched else {"peak_memory": None}
        details |= {"used": {**method.settings, **spec.settings}, "reference": method.reference}
        places = ["", *(spec.orientations if spec.each_orientation else [])]
        with collected() as notes:
            done = [_once(method, spec, place) for place in places]
        details["notes"] = notes
        outcome |= {"seconds": sum(seconds for seconds, _ in done)}
        outcome["files"] = [str(f) for _, files in done for f in files.values()]
    except NotApplicable as e:
        outcome |= {"status": "skipped", "reason": f"{spec.chain}: {e}"}
    except MemoryError as e:
        outcome |= {"status": "memory", "reason": str(e) or "there is not enough", "transient": True}
    except Exception as e:  # a method may raise anything; its row says what
        kind = "" if isinstance(e, QsmbenchError) else f"{type(e).__name__}: "
        outcome |= {"status": "failed", "reason": f"{kind}{e}"}
    return {**outcome, "details": details}


def _plain(value: Any) -> Any:
    """A value that JSON does not know: a number of NumPy as Python's, anything else as text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def serve(spec: StepSpec, served: int, scratch: str) -> None:
    """Run the step in this process, and report to the process `served`, with which it ends; `scratch`: its TMPDIR."""
    # a killed study leaves nothing, running or on disk
    end_with_parent(served, lambda: shutil.rmtree(scratch, ignore_errors=True))
    (Path(scratch) / OUTCOME_FILE).write_text(json.dumps(run(spec), default=_plain))


if __name__ == "__main__":
    serve(StepSpec.from_json(json.loads(sys.argv[1]), "step"), int(sys.argv[2]), sys.argv[3])
