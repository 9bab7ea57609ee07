"""The displacement of a trunk's tissue when the dome of the diaphragm descends."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbench.phantom.atlas import Atlas
from qsmbench.phantom.description.models import Breath
from qsmbench.phantom.warp import Warp


def breathing(stated: Breath, share: np.ndarray, atlas: Atlas) -> Warp:
    """Return the map from the object after the dome has descended by 1 mm to the object before.

    The shares are those of the tissue that was there before, so that the map is explicit; they are smooth.

    Args:
        stated: how tissue follows the dome.
        share: (nx, ny, nz) float32, share of the descent of each voxel; NaN: that of its surroundings.
        atlas: of the object, whose voxels are equal and along the axes of the world.
    """
    spacing, origin = atlas.grid.voxel_size[0], atlas.grid.affine[:3, 3]
    known = np.isfinite(share).astype(np.float32)
    share = np.nan_to_num(share)
    total, weight = (ndimage.gaussian_filter(v, stated.reach / spacing, mode="nearest") for v in (share, known))
    around = total / np.maximum(weight, np.finfo(np.float32).eps)
    down = ndimage.gaussian_filter(np.where(known, share, around), stated.blend / spacing, mode="nearest")
    places = np.moveaxis(np.indices(share.shape, np.float32), 0, -1).reshape(-1, 3) * spacing + origin
    _, depth, height = (p.reshape(share.shape) for p in atlas.warp.template(places).T)
    heights, forward = np.array(stated.forward).T
    ahead = np.interp(depth, stated.depths, (0, 1)) * np.interp(height, heights, forward)
    moved = np.stack([np.zeros(share.shape), -ahead, down]).astype(np.float32)
    return Warp(moved, origin, spacing)
