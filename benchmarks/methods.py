"""Time, memory and error of every method on a whole head, in one run.

    python benchmarks/methods.py [--size 160] [--repeat 3] [--device numpy] [METHOD …]

Time is in units of one Fourier round trip (float32 rfftn and irfftn of the whole volume, on as many threads), measured
beside the method in its own process: that takes the machine out of the number. Memory is what a call needs beside its
inputs, in volumes (float32, of the whole grid). Each method is fed the true artifacts with this scan's own field noise,
at its default settings; the error is that of its first product. `romeo:4` gives it the first four echoes alone. What
takes several orientations has a scan of its own, of five. The table is written to results/benchmarks/.
"""

import argparse
import contextlib
import ctypes
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.ops.arrays.array import to_device, to_numpy
from qsmbench.ops.arrays.fft import irfftn, rfftn
from qsmbench.run import registry
from qsmbench.run.call import gather, on_device
from qsmbench.run.worker import inputs_in
from qsmbench.study.datasets import Simulated
from qsmbench.study.simulate import simulated
from qsmbench.threads import n_threads

OUT = Path("results/benchmarks")
FIELD_OF_VIEW = 200.0  # mm, of the cube: the whole brain with some space around


def prepare(size, name):
    """Simulate the head on a cube of `size` voxels, with the inputs of the method, and return its folder."""
    several = "orientations" in registry.find(name.partition(":")[0]).consumes
    out = OUT / (f"head-{size}-orientations" if several else f"head-{size}")
    inputs = out / "inputs"
    if (inputs / folders.PARAMS_FILE).is_file():
        return out
    voxel = FIELD_OF_VIEW / size
    grid = {"voxel_size": voxel, "field_of_view": [FIELD_OF_VIEW] * 3, "supersampling": [1, 1, 1]}
    source = Simulated(
        phantom="head",
        protocol="cosmos-3t" if several else "brain-3t",
        set={"voxel_size": voxel, "supersampling": 1},
        set_protocol={"grid": grid},
    )
    simulated(source, out)
    for turned in (out / "scan").glob("orientation-*"):
        feed(turned, out / "truth" / turned.name, inputs / turned.name)
    feed(out / "scan", out / "truth", inputs)
    return out


def feed(scan, truth, inputs):
    """Write the scan and its truth to `inputs`, the fields with the noise of the scan."""
    params = folders.read_params(scan)
    values: dict[str, Any] = {name: folders.read_of(truth, name, params) for name in folders.present(truth)}
    values |= {name: folders.read_of(scan, name, params) for name in folders.present(scan)}
    values |= {"grid": params.grid, "te": params.te, "b0": params.b0}
    values |= call("noisy", values) | call("romeo", values)
    folders.write(inputs, {n: v for n, v in values.items() if n in ARTIFACTS}, params.grid)
    folders.write_params(inputs, params)


def call(name, values):
    """Return the products of a method by name."""
    method = registry.find(name)
    result = method(*(values[n] for n in method.consumes))
    return dict(zip(method.produces, result if isinstance(result, tuple) else (result,), strict=True))


def seconds(work, repeat):
    """Time `repeat` calls and return the shortest [s]."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def trim():
    """Return freed memory to the system, so that it is counted when it is allocated again (glibc)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)


def memory(field):
    """Read a line of /proc/self/status, such as VmHWM, in bytes; NaN where there is no such file."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return float("nan")
    return next(1024 * float(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def measure(name, folder, repeat, device):
    """Measure one method in this process and return its row of the table."""
    inputs = folder / "inputs"
    name, _, echoes = name.partition(":")
    method = registry.find(name)
    turned = sorted(f.name for f in inputs.glob("orientation-*"))
    there = dict.fromkeys(folders.present(inputs), str(inputs))
    own, *further = (inputs_in(there, inputs, place) for place in ("", *turned))
    arguments, params = gather(method, own, further), own.params
    if echoes:
        cut = [n for n in arguments if n == "te" or (n in ARTIFACTS and ARTIFACTS[n].echoes)]
        arguments |= {n: arguments[n][..., : int(echoes)] for n in cut}
    moved = on_device(method, arguments, device)
    volume = to_device(np.ones(params.grid.shape, np.float32), device)
    unit = seconds(lambda: to_numpy(irfftn(rfftn(volume), params.grid.shape))[0, 0, 0], 5)

    def run():
        result = method(**moved)
        return [to_numpy(r) for r in (result if isinstance(result, tuple) else (result,))]

    run()  # compiles, and fills the caches of kernels
    trim()
    before = memory("VmRSS")
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")  # resets the high-water mark
    products = dict(zip(method.produces, run(), strict=True))
    peak = memory("VmHWM") - before
    took = seconds(run, repeat)
    unit = min(unit, seconds(lambda: to_numpy(irfftn(rfftn(volume), params.grid.shape))[0, 0, 0], 5))
    volumes = round(peak / (4 * np.prod(params.grid.shape)), 1)
    row = {"seconds": round(took, 3), "unit_ms": round(1e3 * unit, 2), "units": round(took / unit, 1)}
    return row | {"volumes": volumes, **error(products, method.produces[0], folder / "truth", params)}


def error(products, name, truth, params):
    """Compute NRMSE [%] of a product against the truth, without means, and XSIM, on the voxels that it covers."""
    from qsmbench.metrics import score

    if not (truth / ARTIFACTS[name].file).is_file() or name == "mask":
        return {}
    mask = folders.read_of(truth, "mask", params)
    support = products.get("mask", mask) & mask
    table = score(
        estimate=products[name],
        truth=folders.read_of(truth, name, params),
        support=support,
        study_mask=support,
        labels=None,
        regions=(),
        field=None,
        grid=params.grid,
        artifact=name,
        supports=("study",),
    )
    values = table.set_index("metric")["value"]
    return {"product": name, "nrmse": round(values["nrmse"], 1), "xsim": round(values.get("xsim", np.nan), 3)}


def one(name, options):
    """Measure one method in a separate process."""
    command = [sys.executable, __file__, "--one", "--size", str(options.size), "--repeat", str(options.repeat)]
    done = subprocess.run([*command, "--device", options.device, name], capture_output=True, text=True)
    if done.returncode:
        return {"reason": (done.stderr.strip().splitlines() or ["failed"])[-1][:120]}
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=int, default=160, help="voxels along each side")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--device", default="numpy", help="numpy, cupy, torch:cpu, torch:cuda …")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("methods", nargs="*")
    options = parser.parse_args()
    if options.one:
        name = options.methods[0]
        print(json.dumps(measure(name, prepare(options.size, name), options.repeat, options.device)))
        return
    rows = []
    for name in options.methods or [*registry.names(), "romeo:1", "romeo:4"]:
        prepare(options.size, name)
        rows.append({"method": name, **one(name, options)})
        print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), flush=True)
    table = pd.DataFrame(rows)
    file = OUT / f"methods-{options.size}-{options.device.replace(':', '-')}.csv"
    table.to_csv(file, index=False)
    print(f"\n{options.size}³, {n_threads()} threads, {options.device}; written to {file}")
    print(table.to_string(index=False, na_rep="–"))


if __name__ == "__main__":
    main()
