"""How far the truth depends on the voxels it is made with: the head's total field against one at half the voxel size.

    python benchmarks/convergence.py [--voxel-size 1] [--thickness 24]

Both are made with 2 sub-voxels along each axis, as the simulator's default; the finer one in a slab about the basal
ganglia and midbrain, since a whole head does not fit (see `scan/slab.py`). Veins and texture as they come.
"""

import argparse

import numpy as np

from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.scan.blocks import block_mean
from qsmbench.scan.slab import properties_and_field

B0 = 3.0


def slab_of(grid, centre, thickness):
    """First plane and number of planes of `grid` along z for a slab [mm] about z = `centre` [mm]."""
    count = round(thickness / grid.voxel_size[2])
    return round((centre - grid.affine[2, 3]) / grid.voxel_size[2]) - count // 2, count


def part_of(grid, start, count):
    """The grid of some planes along z."""
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, 2] * start
    return Grid((*grid.shape[:2], count), grid.voxel_size, grid.b0_dir, affine)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--voxel-size", type=float, default=1.0)
    parser.add_argument("--thickness", type=float, default=24)
    args = parser.parse_args()
    phantom = load("head", {"voxel_size": args.voxel_size, "supersampling": 2})
    grid = phantom.grid()
    properties, field = properties_and_field(phantom, grid.refine((2, 2, 2)), B0)
    start, count = slab_of(grid, 0.0, args.thickness)
    planes = slice(start, start + count)
    coarse, mask = block_mean(field, (2, 2, 2))[..., planes], block_mean(properties.mask, (2, 2, 2))[..., planes] >= 0.5
    del properties, field
    _, field = properties_and_field(phantom, part_of(grid, start, count).refine((4, 4, 4)), B0)
    fine = block_mean(field, (4, 4, 4))
    # the centre frequency is the scanner's to choose
    difference = (coarse - fine)[mask] - (coarse - fine)[mask].mean(dtype=float)
    whole = fine[mask] - fine[mask].mean(dtype=float)
    print(f"{args.voxel_size:g} mm against {args.voxel_size / 2:g} mm, {mask.sum()} voxels of the brain")
    print(f"NRMSE of the total field {100 * np.linalg.norm(difference) / np.linalg.norm(whole):.2f} %")
    median, most = 1000 * np.percentile(np.abs(difference), [50, 99])
    print(
        f"|difference| median {median:.3f}, 99th percentile {most:.2f}; the field's spread {1000 * whole.std():.0f} ppb"
    )


if __name__ == "__main__":
    main()
