"""Field and signal simulation next to qsm-forward, on the same volume in the same run.

    python benchmarks/forward.py [--shape 160 160 160] [--repeat 3]

Times are the shortest of some calls. Errors are those of a 1 ppm sphere, two voxels and more from its surface, in % of
the peak of its field; both get the same partial-volume sphere.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import qsm_forward

from qsmbench.grid import Grid
from qsmbench.scan import prism
from qsmbench.scan.field import field_of
from qsmbench.scan.signal import spoiled_gre

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from analytic import oblique, sphere_field, sphere_fraction

TE = np.array([0.005, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040])


def seconds(call, repeat):
    """The shortest of `repeat` calls [s]."""
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def anew(chi, grid):
    """The field with its kernel computed again."""
    prism.spectra.cache_clear()
    return field_of(chi, grid)


def theirs(chi, grid):
    """qsm-forward's field; its padding is the same, twice the volume."""
    return qsm_forward.generate_field(chi, voxel_size=list(grid.voxel_size), B0_dir=list(grid.b0_dir))


def errors(field, grid, radius):
    """Largest and rms error in % of the peak."""
    analytic, r = sphere_field(grid, radius)
    away = np.abs(r - radius) >= 2 * max(grid.voxel_size)
    error = (field - analytic)[away]
    return 100 * np.abs(error).max() * 1.5, 100 * np.sqrt(np.mean(error**2)) * 1.5


def compare_speed(shape, repeat):
    """Print times and ratios of field and signal."""
    grid = Grid(shape, (1, 1, 1), oblique(0.1, 0.2, 1))
    chi = sphere_fraction(grid, min(shape) / 4, n=3)
    field_of(chi, grid)  # compiled
    peer = seconds(lambda: theirs(chi, grid), repeat)
    cached = seconds(lambda: field_of(chi, grid), repeat)
    fresh = seconds(lambda: anew(chi, grid), repeat)
    print(f"field {shape}: qsm-forward {peer:.2f} s")
    print(f"  qsmbench, kernel cached {cached:.3f} s: {peer / cached:.0f}× as fast")
    print(f"  qsmbench, kernel anew   {fresh:.3f} s: {peer / fresh:.0f}× as fast")

    field = field_of(chi, grid)
    pd, t1 = np.full(shape, 0.8, np.float32), np.full(shape, 1.2, np.float32)
    r2star, fat = np.full(shape, 20.0, np.float32), np.zeros(shape, np.float32)

    def ours():
        return spoiled_gre(field, pd, t1, r2star, fat, (1, 1, 1), te=TE, tr=0.05, flip_angle=15.0, b0=3.0)

    def peers():
        maps = {"R1": 1 / t1, "R2star": r2star, "M0": pd}
        return [qsm_forward.generate_signal(field, B0=3, TR=0.05, TE=te, flip_angle=15, **maps) for te in TE]

    ours()
    mine, peer = seconds(ours, repeat), seconds(peers, repeat)
    difference = np.abs(np.stack(peers(), -1) / ours() - 1).max()
    print(f"signal, {len(TE)} echoes: qsm-forward {peer:.2f} s, qsmbench {mine:.3f} s: {peer / mine:.0f}× as fast")
    print(f"  largest relative difference of the two signals {difference:.1e}")


def compare_accuracy():
    """Print the errors of both on a sphere."""
    print("error of a sphere's field, max / rms in % of the peak")
    for size, shape, radius in (((1, 1, 1), (96, 96, 96), 24.0), ((1, 2, 3), (96, 48, 32), 24.0)):
        for b0_dir in ((0.0, 0.0, 1.0), oblique(0.3, -0.5, 0.81)):
            grid = Grid(shape, size, b0_dir)
            chi = sphere_fraction(grid, radius)
            ours = "{:.3f} / {:.4f}".format(*errors(field_of(chi, grid), grid, radius))
            peer = "{:.3f} / {:.4f}".format(*errors(theirs(chi, grid), grid, radius))
            direction = ", ".join(f"{b:.2f}" for b in b0_dir)
            print(f"  voxels {size} mm, B0 ({direction}): qsmbench {ours}, qsm-forward {peer}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", nargs=3, type=int, default=[160, 160, 160])
    parser.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    compare_speed(tuple(args.shape), args.repeat)
    compare_accuracy()
