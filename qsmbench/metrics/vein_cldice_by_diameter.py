"""Centre-line Dice of veins, by their diameter."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import centre_lines, cldice_of, diameter_names, groups_of_both, share


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Shit 2021, doi:10.1109/CVPR46437.2021.01629",
    label="centre-line Dice by diameter",
    artifacts=("vein_diameter",),
    local=True,
)
def vein_cldice_by_diameter(estimate, truth, mask, grid):
    """Centre-line Dice (`vein_cldice`) of the veins of each group of diameter, in voxels.

    The centre lines are those of all veins. A voxel that was found belongs to the nearest true vein within two voxels,
    else to the group of its own diameter.

    Returns:
        a number for each group of diameter, 0…1.

    Raises:
        NotApplicable: there is no true vein in the mask.
    """
    found, true = (estimate > 0) & mask, (truth > 0) & mask
    if not true.any():
        raise NotApplicable("there is no true vein in the mask")
    of_found, of_true = groups_of_both(estimate * found, truth * true, grid)
    line_found, line_true = centre_lines(found, grid), centre_lines(true, grid)
    scores = {}
    for i, name in enumerate(diameter_names()):
        recall, precision = share(found, line_true & (of_true == i)), share(true, line_found & (of_found == i))
        scores[name] = cldice_of(0.0 if precision != precision else precision, recall)
    return scores
