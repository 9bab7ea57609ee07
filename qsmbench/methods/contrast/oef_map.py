"""Map of the oxygen extraction fraction of each hemisphere, from that of its veins."""

import numpy as np
from scipy.ndimage import gaussian_filter

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.masks.sides import right_half

_FAR = 1e-4  # weight of the mean of the hemisphere, as a share of the largest weight of veins (assumed)


@method(produces="oef_map", reference="Kudo 2016, doi:10.1177/0271678X15606713")
def oef_map(oef, vein_diameter, mask, grid, *, width=20.0, widest=4.0):
    """Compute the mean oxygen extraction fraction of the veins around each voxel, each hemisphere by itself.

    Weights are Gaussian in the distance. Veins count by their length: each voxel by its volume over the cross-section
    of its vein. Veins wider than `widest`, such as the sinuses, drain both hemispheres and are left out. Far from all
    veins, the map is the mean of the hemisphere. The hemispheres are the two sides of x = 0 in the space of the scan.

    Args:
        width: standard deviation of the Gaussian, mm; assumed.
        widest: largest diameter of a vein that counts, mm; assumed.

    Returns:
        oef_map: (nx, ny, nz) 0–1: in the mask, 0 in a hemisphere without veins.

    Raises:
        NotApplicable: no vein has a value.
        QsmbenchError: `width` or `widest` is not positive.

    Reference:
        Maps of oxygen extraction from χ of veins: Kudo 2016, doi:10.1177/0271678X15606713, of which only the abstract
        could be read: how it averages is not known here.
    """
    for name, value in (("width", width), ("widest", widest)):
        if not value > 0:
            raise QsmbenchError(f"oef_map: {name} is {value}; it must be greater than 0")
    counted = mask & (oef != 0) & (vein_diameter > 0) & (vein_diameter <= widest)
    if not counted.any():
        raise NotApplicable(f"no vein of at most {widest:g} mm has a value")
    length = np.zeros(mask.shape, np.float32)
    length[counted] = grid.voxel_volume / (np.pi / 4 * vein_diameter[counted] ** 2)
    sigma = [width / d for d in grid.voxel_size]
    right, found = right_half(grid), np.zeros(mask.shape, np.float32)
    for name, side in (("left", ~right), ("right", right)):
        own = np.where(side, length, np.float32(0))
        if not own.any():
            continue
        mean = np.float32((own * oef).sum(dtype=float) / own.sum(dtype=float))
        note(f"mean of the {name} hemisphere", round(float(mean), 3))
        weight, total = (gaussian_filter(v, sigma, mode="constant") for v in (own, own * (oef - mean)))
        local = mean + total / (weight + np.float32(_FAR) * weight.max())
        found = np.where(side & mask, local, found)
    return found
