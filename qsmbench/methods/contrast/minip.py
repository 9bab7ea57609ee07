"""Minimum-intensity projection."""

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.slabs import project


@method(produces="minip", reference="Haacke 2004, doi:10.1002/mrm.20198")
def minip(swi, mask, grid, *, thickness=8.0):
    """Minimum-intensity projection of a susceptibility-weighted image over the slab around each slice.

    Dark veins that pass through several slices appear connected. Slabs lie across the array axis nearest to B0.

    Args:
        thickness: of the slab, mm; rounded to an odd number of slices.

    Raises:
        QsmbenchError: the thickness is not positive.

    Reference:
        Haacke 2004, doi:10.1002/mrm.20198.
    """
    if not thickness > 0:
        raise QsmbenchError(f"minip: thickness is {thickness}; it must be greater than 0")
    return project(swi, mask, grid, thickness, "minimum")
