"""Share of lesions with the right sign."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, require, rows_of


@metric(
    unit="%",
    best=100.0,
    higher_is_better=True,
    reference="qsmbench",
    label="sign of lesions",
    artifacts=("chi",),
    local=True,
)
def lesion_sign_accuracy(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Share of lesions whose contrast (see `lesion_contrast`) has the sign that it has in the true map.

    Lesions whose true contrast is below 1 ppb have no sign and do not count. A lesion of which less than half was
    reconstructed counts as wrong.

    Returns:
        float, %.

    Raises:
        NotApplicable: no lesion of the truth has a sign.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    true = scene.signs(truth)
    require(list(true), "lesion with a sign")
    rows = [row for row in rows_of(source_table) if row.index in true]
    found = scene.lesions(rows)
    right = sum(true[one.source.index] * one.contrast(estimate) > 0 for one in found)
    return 100 * right / len(true)
