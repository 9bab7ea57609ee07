"""Error of the total χ of each lesion."""

from qsmbench.metrics._declaration import metric
from qsmbench.metrics._lesions import Scene, require, scattered, total


@metric(
    unit="%",
    best=0.0,
    higher_is_better=None,
    reference="total susceptibility of microbleeds: Liu 2012, doi:10.1148/radiol.11110251",
    label="error of total χ",
    artifacts=("chi",),
    local=True,
    per="source",
)
def lesion_chi_error(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Error of the total χ of each scattered lesion, as a share of the true one.

    The total is that of `lesion_chi_total`; it hardly changes if a lesion is blurred. The error is the total of the
    reconstruction minus that of the true map, over the total in the truth's table of sources. Lesions that fill a
    region of the anatomy, or differ by less than 1 ppb from the tissue without them, are omitted.

    Returns:
        dict from index of the source to float, %; NaN if less than half of the lesion was reconstructed.

    Raises:
        NotApplicable: the truth has no lesion whose mean χ differs from the tissue's by 1 ppb.
    """
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    rows = [row for row in scattered(source_table) if row.sign]
    require(rows)
    found = {row.index: float("nan") for row in rows}
    for lesion in scene.lesions(rows):
        error = total(lesion, estimate, grid) - total(lesion, truth, grid)
        found[lesion.source.index] = 100 * error / abs(lesion.source.chi_total)
    return found
