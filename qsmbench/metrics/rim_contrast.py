"""Contrast of the rim of each lesion."""

import numpy as np
from scipy import ndimage

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import FEWEST, Scene, require, scattered

EDGE = 1.2
"""Thickness of the outer layer of a lesion, mm (assumed); at least a voxel."""


@metric(
    unit="ppm",
    best=float("nan"),
    higher_is_better=None,
    reference="qsmbench",
    label="contrast of rims",
    artifacts=("chi",),
    local=True,
    per="source",
)
def rim_contrast(estimate, study_mask, support, sources, source_table, labels, regions, grid):
    """Mean χ of the outer layer of each lesion minus the mean of its core.

    The layer is 1.2 mm thick, or a voxel if that is more; the core is the rest. A rim is recognised by a contrast above
    that of lesions without one.

    Returns:
        dict from index of the source to float, ppm; NaN if less than half of the lesion was reconstructed. Lesions with
        fewer than four voxels in the core are omitted.

    Raises:
        NotApplicable: the truth has no lesion with a core.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    rows = scattered(source_table)
    found = {}
    for lesion in scene.whole.lesions(rows):
        depth = ndimage.distance_transform_edt(lesion.own, sampling=grid.voxel_size)
        core = lesion.own & (depth > max(EDGE, max(grid.voxel_size)) + min(grid.voxel_size) / 2)
        if np.count_nonzero(core) < FEWEST:
            continue
        seen, part = support[lesion.box], estimate[lesion.box]
        edge, core = lesion.own & ~core & seen, core & seen
        enough = 2 * (edge.sum() + core.sum()) >= lesion.own.sum() and edge.any() and core.any()
        found[lesion.source.index] = float(part[edge].mean() - part[core].mean()) if enough else float("nan")
    require(list(found), "lesion with a core")
    return found
