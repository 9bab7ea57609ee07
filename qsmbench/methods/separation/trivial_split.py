"""The separation that knows nothing of sub-voxel mixtures."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import masked, namespace


@method(produces=("chi_para", "chi_dia"), reference="control", portable=True)
def trivial_split(chi, mask):
    """Trivial split: positive χ is paramagnetic, negative χ is diamagnetic.

    A control: a separation that does no better has learned nothing from relaxation.

    Args:
        chi: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool.

    Returns:
        chi_para: (nx, ny, nz) float32, ppm, χ where it is positive, else zero.
        chi_dia: (nx, ny, nz) float32, ppm, |χ| where it is negative, else zero.
    """
    xp = namespace(chi)
    chi = masked(chi, mask)
    return xp.clip(chi, 0.0, None), xp.clip(-chi, 0.0, None)
