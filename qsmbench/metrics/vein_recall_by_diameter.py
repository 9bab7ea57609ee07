"""Share of the true centre lines that was found, by diameter."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import by_diameter, centre_lines, diameter_names, share


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Shit 2021, doi:10.1109/CVPR46437.2021.01629",
    label="vein recall by diameter",
    artifacts=("vein_diameter",),
    local=True,
)
def vein_recall_by_diameter(estimate, truth, mask, grid):
    """Share of the true centre line that lies in the veins that were found, for each group of diameter, in voxels.

    Returns:
        a number for each group of diameter, 0…1.

    Raises:
        NotApplicable: there is no true vein in the mask.
    """
    true = (truth > 0) & mask
    if not true.any():
        raise NotApplicable("there is no true vein in the mask")
    line, group = centre_lines(true, grid), by_diameter(truth, grid)
    return {name: share(estimate > 0, line & (group == i)) for i, name in enumerate(diameter_names())}
