"""Overlap of veins with true centre lines."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import centre_lines, cldice_of, share


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Shit 2021, doi:10.1109/CVPR46437.2021.01629",
    label="centre-line Dice",
    artifacts=("vein",),
    local=True,
)
def vein_cldice(estimate, truth, mask, grid):
    """Centre-line Dice: harmonic mean of the precision and the recall of the veins' centre lines.

    Precision is the share of the centre line of the found veins that lies in true veins, recall the share of the true
    centre line that lies in the veins that were found. Unlike Dice, it does not reward thick veins. The true veins
    include those much thinner than a voxel.

    Returns:
        float, 0…1.

    Raises:
        NotApplicable: there is no true vein in the mask.
    """
    found, true = (estimate != 0) & mask, (truth != 0) & mask
    if not true.any():
        raise NotApplicable("there is no true vein in the mask")
    precision = share(true, centre_lines(found, grid)) if found.any() else 0.0
    return cldice_of(precision, share(found, centre_lines(true, grid)))
