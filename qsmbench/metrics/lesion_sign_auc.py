"""Separation of paramagnetic from diamagnetic lesions."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, auc, rows_of


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="area under the ROC curve: Bamber 1975, doi:10.1016/0022-2496(75)90001-2",
    label="AUC of the sign",
    artifacts=("chi",),
    local=True,
)
def lesion_sign_auc(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Area under the ROC curve of the contrast (see `lesion_contrast`) for paramagnetic against diamagnetic lesions.

    It is the probability that a paramagnetic lesion has more contrast than a diamagnetic one. 0.5: no information;
    below, the signs are exchanged. A lesion of which less than half was reconstructed has no contrast, 0.

    Returns:
        float, 0…1.

    Raises:
        NotApplicable: the truth does not have lesions of both signs.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    true = scene.signs(truth)
    if set(true.values()) != {-1, 1}:
        raise NotApplicable("the truth does not have lesions of both signs")
    rows = [row for row in rows_of(source_table) if row.index in true]
    found = dict.fromkeys(true, 0.0)
    found |= {one.source.index: one.contrast(estimate) for one in scene.lesions(rows)}
    return auc([c for i, c in found.items() if true[i] > 0], [c for i, c in found.items() if true[i] < 0])
