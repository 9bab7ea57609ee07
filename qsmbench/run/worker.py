"""The process in which a method runs: read what it consumes, call it (`run.call`), and write what it gives."""

from __future__ import annotations

import json
import resource
import shutil
import sys
import time
from collections.abc import Collection, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.fft

from qsmbench.child import adopt_orphans
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import REGIONS_FILE, read_of, read_params, read_regions, write
from qsmbench.method import Method, collected
from qsmbench.run import registry
from qsmbench.run.call import Inputs, apply, failure
from qsmbench.run.specs import StepSpec
from qsmbench.run.step import OUTCOME_FILE
from qsmbench.sandbox import MAX_DISK
from qsmbench.supervise import end_with_parent


def inputs_in(folders: Mapping[str, str], scan: Path, place: str = "", optional: Collection[str] = ()) -> Inputs:
    """Return what one orientation of a scan offers.

    Args:
        folders: for each artifact that is to be had, the folder that holds it.
        scan: folder of the scan.
        place: name of the orientation's folder, within each of `folders` and the scan.
        optional: names of artifacts that may be missing, such as those that only some phantoms have.
    """
    params = read_params(scan / place)
    there = {n: Path(f) / place for n, f in folders.items()}
    there = {n: f for n, f in there.items() if n not in optional or (f / ARTIFACTS[n].file).is_file()}
    table = Path(folders["labels"]) / place / REGIONS_FILE if "labels" in folders else None
    return Inputs(
        params,
        {name: partial(read_of, folder, name, params) for name, folder in there.items()},
        partial(read_regions, table) if table is not None and table.is_file() else None,
    )


def _once(method: Method, spec: StepSpec, place: str) -> tuple[float, list[str]]:
    """Run the method on one orientation; return how long it took [s], and the files of its products."""
    own, *further = (
        inputs_in(spec.inputs, Path(spec.scan), p, method.optional)
        for p in (place, *([] if place else spec.orientations))
    )
    products, seconds = apply(method, spec.settings, own, further, spec.device)
    out = Path(spec.out) / place
    write(out, products, own.params.grid)
    return seconds, [str(out / ARTIFACTS[name].file) for name in products]


def run(spec: StepSpec) -> dict[str, Any]:
    """Run the method that `spec` names and write its products; see `run.step.run`.

    Returns:
        `status`, `reason` and `seconds` of the method alone; `files`, its products; `details`: its settings with the
        defaults (`used`), its `reference`, what it has `declared`, `stochastic` if it is, and `notes`; and
        `peak_memory` if that cannot be known.
    """
    outcome: dict[str, Any] = {"status": "ok", "reason": "", "seconds": None}
    details: dict[str, Any] = {}
    try:
        method = registry.find(
            spec.method,
            container=spec.container,  # type: ignore[arg-type]  # it checks
            memory_limit=spec.memory_limit,
            settings=spec.settings,
            hidden=[Path(folder) for folder in spec.hidden],
        )
        outcome |= {} if method.watched else {"peak_memory": None}
        details |= {"used": {**method.settings, **spec.settings}}
        details |= {"reference": method.reference, "summary": method.summary, "differences": method.differences}
        details |= {"declared": declared(method)}
        details |= {"stochastic": True} if method.stochastic else {}
        places = ["", *(spec.orientations if spec.each_orientation else [])]
        with collected() as notes:
            done = [_once(method, spec, place) for place in places]
        details |= {"notes": notes, "unit": unit_of_time()}
        outcome |= {"seconds": sum(seconds for seconds, _ in done)}
        outcome["files"] = [f for _, files in done for f in files]
    except Exception as e:  # a method may raise anything; its row says what
        status, reason = failure(e)
        outcome |= {"status": status, "reason": f"{spec.chain}: {reason}" if status == "skipped" else reason}
        outcome |= {"transient": True} if status == "memory" else {}
    return {**outcome, "details": details}


def declared(method: Method) -> dict[str, Any]:
    """Return what a method says of itself, for those who read its record where its code is not at hand.

    Returns:
        `references`; `takes` and `gives`: meaning by name; `optional`: names of what it takes if it is there;
        `settings`: default and meaning by name.
    """
    texts = method.parameter_texts
    return {
        "references": method.references,
        "takes": {name: texts[name] for name in method.consumes},
        "optional": list(method.optional),
        "gives": method.product_texts,
        "settings": {name: [default, texts[name]] for name, default in method.settings.items()},
    }


def unit_of_time() -> float:
    """Time a fixed operation [s], in whose units times on different machines can be compared: the best of five runs."""
    volume = np.random.default_rng(0).standard_normal((64, 64, 64)).astype(np.float32)
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        scipy.fft.irfftn(scipy.fft.rfftn(volume), volume.shape)
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def _plain(value: Any) -> Any:
    """A value that JSON does not know: a number of NumPy as Python's, anything else as text."""
    return value.item() if isinstance(value, np.generic) else str(value)


def serve(spec: StepSpec, served: int, scratch: str) -> None:
    """Run the step in this process, and report to the process `served`, with which it ends; `scratch`: its TMPDIR."""
    for kind, most in ((resource.RLIMIT_FSIZE, MAX_DISK * 2**20), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        resource.setrlimit(kind, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    adopt_orphans(True)
    # a killed study leaves nothing, running or on disk
    end_with_parent(served, lambda: shutil.rmtree(scratch, ignore_errors=True))
    (Path(scratch) / OUTCOME_FILE).write_text(json.dumps(run(spec), default=_plain))


if __name__ == "__main__":
    serve(StepSpec.from_json(json.loads(sys.argv[1]), "step"), int(sys.argv[2]), sys.argv[3])
