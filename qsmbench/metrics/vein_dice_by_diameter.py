"""Dice coefficient of veins, by their diameter."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import diameter_names, dice_of, groups_of_both


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Dice 1945, doi:10.2307/1932409",
    label="vein Dice by diameter",
    artifacts=("vein_diameter",),
    local=True,
)
def vein_dice_by_diameter(estimate, truth, mask, grid):
    """Dice coefficient of the veins of each group of diameter, in voxels.

    A voxel that was found belongs to the nearest true vein within two voxels, else to the group of its own diameter.

    Returns:
        a number for each group of diameter, 0…1.

    Raises:
        NotApplicable: there is no true vein in the mask.
    """
    found, true = (estimate > 0) & mask, (truth > 0) & mask
    if not true.any():
        raise NotApplicable("there is no true vein in the mask")
    of_found, of_true = groups_of_both(estimate * found, truth * true, grid)
    return {name: dice_of(of_found == i, of_true == i) for i, name in enumerate(diameter_names())}
