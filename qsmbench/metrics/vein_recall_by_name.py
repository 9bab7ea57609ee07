"""Share of each named vein that was found."""

from qsmbench.errors import NotApplicable
from qsmbench.metrics._declaration import metric
from qsmbench.metrics._veins import centre_lines, share


@metric(
    unit="",
    best=1.0,
    higher_is_better=True,
    reference="Shit 2021, doi:10.1109/CVPR46437.2021.01629",
    label="vein recall by name",
    artifacts=("vein_diameter",),
    local=True,
)
def vein_recall_by_name(estimate, truth, mask, vein_name, vein_table, grid):
    """Share of the true centre line that lies in the veins that were found, for the veins of each name.

    Both sides count together.

    Returns:
        a number for each name, 0…1; NaN if no centre line of that name is in the mask.

    Raises:
        NotApplicable: there is no true vein in the mask.
    """
    true = (truth > 0) & mask
    if not true.any():
        raise NotApplicable("there is no true vein in the mask")
    line = centre_lines(true, grid)
    return {name: share(estimate > 0, line & (vein_name == number)) for number, name, _ in vein_table}
