"""Contrast of each lesion."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, require, rows_of


@metric(
    unit="ppm",
    best=float("nan"),
    higher_is_better=None,
    reference="qsmbench",
    label="contrast of lesions",
    artifacts=("chi",),
    local=True,
    per="source",
)
def lesion_contrast(estimate, study_mask, support, sources, source_table, labels, regions, grid):
    """Mean χ of each lesion minus the median of a ring around it.

    The ring begins one and a half voxels from the lesion, is 3 mm thick (at least two voxels) and contains no other
    source. Lesions are the sources of the truth that are not rims, whole tissues or findings of the person.

    Returns:
        dict from index of the source to float, ppm; NaN if less than half of the lesion was reconstructed.

    Raises:
        NotApplicable: the truth has no lesion.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    rows = rows_of(source_table)
    require(rows)
    found = {row.index: float("nan") for row in rows}
    found |= {one.source.index: one.contrast(estimate) for one in scene.lesions(rows)}
    return found
