"""The process in which a method runs: read what it consumes, call it, check and write what it gives.

The wrapper validates, the method computes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import PARAMS_FILE, Params, read_of, read_params, write, write_json
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Method, Orientation, collected
from qsmbench.ops.arrays.array import to_device, to_numpy
from qsmbench.run import registry
from qsmbench.run.step import OUTCOME_FILE

CONTROL = "control"
"""The reference of a method that bounds the tables, and is asked for no reconstruction."""


def gather(method: Method, inputs: Sequence[Path], params: Params) -> dict[str, Any]:
    """What `method` consumes, each artifact from the first of the `inputs` folders that holds it.

    Raises:
        NotApplicable: an artifact is nowhere.
        QsmbenchError: an artifact is damaged or lies on another grid.
    """
    values: dict[str, Any] = {"grid": params.grid, "te": params.te, "b0": params.b0}
    for name in method.consumes:
        if name == "orientations":
            values[name] = (_orientation(inputs), *(_orientation(turned) for turned in _turned(inputs).values()))
        elif name not in values:
            folder = _holder(inputs, name)
            if folder is not None:
                values[name] = read_of(folder, name, params)
            elif name not in method.optional:
                raise NotApplicable(f"this dataset has no {name}")
    return {name: values[name] for name in method.consumes if name in values}


def _holder(inputs: Sequence[Path], name: str) -> Path | None:
    return next((f for f in inputs if (f / ARTIFACTS[name].file).is_file()), None)


def _turned(inputs: Sequence[Path]) -> dict[str, list[Path]]:
    """The folders of each further orientation of the head, below those of the first."""
    names = {f.name for folder in inputs for f in folder.glob("orientation-*")}
    ordered = sorted(names, key=lambda name: int(name.rpartition("-")[2]))
    return {name: [folder / name for folder in inputs] for name in ordered}


def _orientation(inputs: Sequence[Path]) -> Orientation:
    """Read the local field of one orientation, where it is known, and the magnitude if there is one."""
    params = find_params(inputs)
    found = {name: _holder(inputs, name) for name in ("local_field", "mask", "magnitude")}
    read = {name: read_of(f, name, params) for name, f in found.items() if f is not None}
    if "local_field" not in read or "mask" not in read:
        raise NotApplicable("an orientation of this dataset has no local_field")
    return Orientation(read["local_field"], read["mask"], params.grid, read.get("magnitude"), params.te)


def on_device(method: Method, arguments: Mapping[str, Any], device: str) -> dict[str, Any]:
    """The volumes among a method's arguments on `device`, if it is portable; as they are, otherwise.

    Raises:
        QsmbenchError: there is no such device.
    """
    if not method.portable:
        return dict(arguments)
    return {n: to_device(v, device) if n in ARTIFACTS else v for n, v in arguments.items()}


def find_params(inputs: Sequence[Path]) -> Params:
    """The acquisition parameters of the first of the `inputs` folders that has any.

    Raises:
        QsmbenchError: none has, or they are illegal.
    """
    folder = next((f for f in inputs if (f / PARAMS_FILE).is_file()), None)
    if folder is None:
        raise QsmbenchError(f"{inputs[-1]}: holds no {PARAMS_FILE}")
    return read_params(folder)


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
        products[name] = array
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


def _once(method: Method, spec: Mapping[str, Any], place: str, inputs: Sequence[Path]) -> float:
    """Run the method on what lies in `inputs`, write its products to that place in its folder, and say how long [s]."""
    params = find_params(inputs)
    arguments = gather(method, inputs, params)
    moved = on_device(method, arguments, spec.get("device", "numpy"))
    start = time.perf_counter()
    result = method(**moved, **spec["settings"])
    products = checked(method, result, params.grid)
    seconds = time.perf_counter() - start  # a device has done its work when the products are here
    refuse_constant(method, products, arguments)
    write(Path(spec["out"]) / place, products, params.grid)
    return seconds


def run(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Run the method that `spec` names and write its products; see `qsmbench.run.step.run`.

    Returns:
        `status`, `reason` and `seconds` of the method alone; `used`, its settings with the defaults, and
        `reference`; `notes`, what it wants known; and `peak_memory` if that cannot be known.
    """
    inputs = [Path(f) for f in spec["inputs"]]
    told: dict[str, Any] = {"status": "ok", "reason": "", "seconds": None}
    try:
        limits = {"container": spec.get("container", "none"), "memory_limit": spec.get("memory_limit")}
        method = registry.find(spec["method"], **limits)
        told |= {} if method.watched else {"peak_memory": None}
        told |= {"used": {**method.settings, **spec["settings"]}, "reference": method.reference}
        places = {"": inputs} | (_turned(inputs) if spec.get("orientations") else {})
        with collected() as notes:
            seconds = [_once(method, spec, place, folders) for place, folders in places.items()]
        told |= {"seconds": sum(seconds), "notes": notes}
    except NotApplicable as e:
        told |= {"status": "skipped", "reason": f"{spec['chain']}: {e}"}
    except MemoryError as e:
        told |= {"status": "memory", "reason": str(e) or "there is not enough"}
    except Exception as e:  # a method may raise anything; its row says what
        kind = "" if isinstance(e, QsmbenchError) else f"{type(e).__name__}: "
        told |= {"status": "failed", "reason": f"{kind}{e}"}
    return told


def _die_with(parent: int, scratch: str) -> None:
    """End this process and what it started soon after its parent: a killed study leaves nothing, running or on disk."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(scratch, ignore_errors=True)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


def main() -> None:
    """Entry point of the worker process: the specification as JSON, the process that it serves, and its TMPDIR."""
    spec = json.loads(sys.argv[1])
    threading.Thread(target=_die_with, args=(int(sys.argv[2]), sys.argv[3]), daemon=True).start()
    write_json(Path(spec["out"]) / OUTCOME_FILE, run(spec))


if __name__ == "__main__":
    main()
