"""Accuracy and time of water–fat separation on a trunk of closed-form shapes, against its Cramér–Rao bound.

    python benchmarks/water_fat.py [--method water_fat] [--seeds 3] [--large] [--case NAME …]

The trunk is that of the tests (`tests/trunk.py`): gas, outside air and a bad shim, ±500 Hz at 3 T; voxels of
5 × 5 × 8 mm. Over the voxels whose first echo exceeds 20 % of the largest one: RMSE of fat fraction, R2* and field
relative to the bound; share of voxels whose fat fraction is off by more than 30 points and 5 standard deviations
(exchanged), and whose field, not reduced to one period, is off by more than 20 Hz and 5 standard deviations (astray).
SNR is that of the largest first echo. `--large` adds the time and memory of 260 × 200 × 80 voxels and of half as many.
Times are of the processor.
"""

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from trunk import bound, trunk

from qsmbench.grid import Grid
from qsmbench.run import registry
from qsmbench.units import hz_per_ppm


def echoes(first, spacing, count):
    return (first + spacing * np.arange(count)) / 1000


CASES = {
    "6 × 1.00 ms, SNR 50": (echoes(1.2, 1.0, 6), None, 50),
    "6 × 1.00 ms, SNR 20": (echoes(1.2, 1.0, 6), None, 20),
    "6 × 1.00 ms, SNR 10": (echoes(1.2, 1.0, 6), None, 10),
    "6 × 1.15 ms, SNR 50": (echoes(1.15, 1.15, 6), None, 50),
    "6 × 1.15 ms, SNR 20": (echoes(1.15, 1.15, 6), None, 20),
    "6 × 1.15 ms, SNR 10": (echoes(1.15, 1.15, 6), None, 10),
    "6 × 1.56 ms, SNR 50": (echoes(1.8, 1.56, 6), None, 50),
    "liver 350 /s, SNR 20": (echoes(1.2, 1.0, 6), 350, 20),
    "liver 600 /s, SNR 50": (echoes(1.2, 1.0, 6), 600, 50),
    "3 × 1.00 ms, SNR 50": (echoes(1.2, 1.0, 3), None, 50),
    "3 × 1.15 ms, SNR 50": (echoes(1.15, 1.15, 3), None, 50),
}


def run(method, truth, signal):
    """The products of a method by name, and the time of the processor [s]."""
    arguments = {
        "phase": np.angle(signal),
        "magnitude": np.abs(signal),
        "mask": truth.mask,
        "grid": Grid(truth.mask.shape, truth.voxel_size, (0.0, 0.0, 1.0)),
        "te": truth.te,
        "b0": truth.b0,
    }
    start = time.process_time()
    products = method(*(arguments[name] for name in method.consumes))
    return dict(zip(method.produces, products, strict=True)), time.process_time() - start


def scores(method, truth, snr, seed):
    """Exchanged and astray voxels [%], and RMSE of fat fraction [points], R2* and field relative to the bound."""
    where = truth.strong
    found, seconds = run(method, truth, truth.noisy(snr, seed))
    sds = bound(truth, np.abs(truth.signal[..., 0]).max() / snr, where)
    fraction = (found["signal_fat_fraction"] - truth.fat_fraction)[where]
    rate = (found["r2star"] - truth.r2star)[where]
    ratios = [rms(error) / rms(sd) for error, sd in ((fraction, sds[0]), (rate, sds[1]))]
    astray = np.nan
    if "total_field" in found:
        field = (found["total_field"] * hz_per_ppm(truth.b0) - truth.field)[where]
        astray = 100 * (np.abs(field) > np.maximum(20, 5 * sds[2])).mean()
        ratios.append(rms(field) / rms(sds[2]))
    exchanged = 100 * (np.abs(fraction) > np.maximum(0.3, 5 * sds[0])).mean()
    return [exchanged, astray, 100 * rms(fraction), 100 * rms(sds[0]), *ratios, *[np.nan] * (3 - len(ratios)), seconds]


def rms(values):
    return float(np.sqrt(np.mean(np.square(values, dtype=float))))


def large(method):
    """Print time and memory of whole volumes."""
    for depth in (40, 80):
        truth = trunk((260, 200, depth), (1.5, 1.5, 3.0), sub=1)
        before = time.perf_counter()
        _, seconds = run(method, truth, truth.noisy(20, 0))
        wall, count = time.perf_counter() - before, np.count_nonzero(truth.mask)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"260 × 200 × {depth}, {count} voxels: processor {seconds:.1f} s ({1e6 * seconds / count:.1f} µs a voxel), "
            f"wall {wall:.1f} s, peak {peak:.1f} GiB with the trunk itself"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", default="water_fat")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--case", nargs="*", default=list(CASES), choices=list(CASES))
    options = parser.parse_args()
    method = registry.find(options.method)
    run(method, *(lambda t: (t, t.signal))(trunk((24, 20, 8), (15.0, 15.0, 20.0))))  # compile
    print(f"{'case':22} exchanged  astray   FF  bound   FF/bound  R2*/bound  field/bound  time")
    for name in options.case:
        te, liver, snr = CASES[name]
        rows = [scores(method, trunk(te=te, liver=liver, seed=s), snr, s) for s in range(options.seeds)]
        exchanged, astray, ff, least, a, b, c, seconds = np.mean(rows, axis=0)
        print(
            f"{name:22} {exchanged:7.3f} % {astray:6.3f} % {ff:5.2f} {least:5.2f} {a:9.3f} {b:10.3f} {c:12.3f} "
            f"{seconds:6.2f} s",
            flush=True,
        )
    if options.large:
        large(method)


if __name__ == "__main__":
    main()
