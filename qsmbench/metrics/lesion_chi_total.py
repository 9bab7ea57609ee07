"""Total χ of each lesion."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, require, scattered, total


@metric(
    unit="ppm·mm³",
    best=float("nan"),
    higher_is_better=None,
    reference="total susceptibility of microbleeds: Liu 2012, doi:10.1148/radiol.11110251",
    label="total χ of lesions",
    artifacts=("chi",),
    local=True,
    per="source",
)
def lesion_chi_total(estimate, study_mask, support, sources, source_table, labels, regions, grid):
    """Total χ of each scattered lesion: the sum of χ minus the median of the ring (see `lesion_contrast`).

    The sum is over the lesion and the voxels within one and a half voxels of it, times the voxel volume.

    Returns:
        dict from index of the source to float, ppm·mm³; NaN if less than half of the lesion was reconstructed.

    Raises:
        NotApplicable: the truth has no scattered lesion.
    """
    rows = scattered(source_table)
    require(rows)
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    found = {row.index: float("nan") for row in rows}
    return found | {one.source.index: total(one, estimate, grid) for one in scene.lesions(rows)}
