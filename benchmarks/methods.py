"""How long each method takes on a whole volume, in units of one Fourier round trip of that volume.

    python benchmarks/methods.py [--shape 160 160 160] [--repeat 3] [METHOD …]

The unit (one float32 rfftn and irfftn of the unpadded volume, on as many threads) takes the machine out of the number.
"""

import argparse
import inspect
import time

import numpy as np

from qsmbench import registry
from qsmbench.grid import Grid
from qsmbench.ops.fft import irfftn, rfftn
from qsmbench.ops.threads import n_threads
from qsmbench.units import rad_per_ppm


def head(shape):
    """Inputs of all methods: tissue in an ellipsoid of 80 % of the volume along each axis, and an outer field."""
    rng = np.random.default_rng(0)
    grid = Grid(shape, (1.0, 1.0, 1.0), (0.0, 0.1, float(np.sqrt(0.99))))
    x, y, z = (a / (0.4 * n) for a, n in zip(grid.axes(), shape, strict=True))
    mask = x**2 + y**2 + z**2 < 1
    chi = 0.05 * np.sign(np.sin(9 * x) + np.cos(11 * y) + np.sin(10 * z)) + 0.1 * (np.abs(np.sin(5 * x * y * z)) > 0.5)
    te, b0 = np.array([0.004, 0.012, 0.020, 0.028]), 3.0
    k = grid.kspace_axes()
    kk = k[0] ** 2 + k[1] ** 2 + k[2] ** 2
    kk[0, 0, 0] = 1
    kernel = 1 / 3 - (k[1] * grid.b0_dir[1] + k[2] * grid.b0_dir[2]) ** 2 / kk
    local = irfftn(rfftn((chi * mask).astype(np.float32)) * kernel, shape) * mask
    total = ((local + 0.3 * (z**2 - x * y) + 0.1) * mask).astype(np.float32)
    unwrapped = (rad_per_ppm(b0, 1.0) * total[..., None] * te).astype(np.float32)
    signal = np.exp(-25 * te + 1j * unwrapped) * mask[..., None]
    signal = signal + 0.02 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return {
        "phase": np.angle(signal).astype(np.float32),
        "magnitude": np.abs(signal).astype(np.float32),
        "mask": mask,
        "unwrapped": unwrapped,
        "total_field": total,
        "local_field": local.astype(np.float32),
        "chi": chi.astype(np.float32),
        "grid": grid,
        "te": te,
        "b0": b0,
    }


def seconds(call, repeat):
    """The shortest of `repeat` calls [s], after one that compiles and fills caches."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=inspect.getdoc(__import__("__main__")).split("\n")[0])
    parser.add_argument("--shape", type=int, nargs=3, default=(160, 160, 160))
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("methods", nargs="*")
    options = parser.parse_args()
    inputs = head(tuple(options.shape))
    volume = inputs["total_field"]
    unit = seconds(lambda: irfftn(rfftn(volume), volume.shape), 10)
    print(f"{tuple(options.shape)}, {n_threads()} threads; round trip {1e3 * unit:.1f} ms")
    for name in options.methods or registry.names():
        method = registry.find(name)
        if any(n not in inputs for n in method.consumes):
            continue
        arguments = [inputs[n] for n in method.consumes]
        took = seconds(lambda method=method, arguments=arguments: method(*arguments), options.repeat)
        print(f"{name:12} {took:8.3f} s {took / unit:8.1f} round trips")


if __name__ == "__main__":
    main()
