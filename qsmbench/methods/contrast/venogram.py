"""Venogram: a maximum-intensity projection of χ in veins."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.slabs import project


@method(produces="venogram", reference="Fan 2014, doi:10.1002/mrm.24918")
def venogram(chi, vein, mask, grid, *, thickness=20.0):
    """Maximum-intensity projection of χ in veins over the axial slab around each slice; 0 where a slab has no vein.

    Args:
        thickness: of the slab, mm; rounded to an odd number of slices.

    Raises:
        QsmbenchError: the thickness is not positive.

    Reference:
        Venograms from susceptibility maps: Fan 2014, doi:10.1002/mrm.24918 (abstract).
    """
    if not thickness > 0:
        raise QsmbenchError(f"venogram: thickness is {thickness}; it must be greater than 0")
    blood = np.where(vein & mask, np.maximum(chi, 0), np.float32(0))
    return project(blood, mask, grid, thickness, "maximum")
