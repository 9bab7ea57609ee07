"""Separation by the sign of χ, without sub-voxel mixtures."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import masked, namespace


@method(produces=("chi_para", "chi_dia"), reference="control", portable=True)
def trivial_split(chi, mask):
    """Trivial split: positive χ is paramagnetic, negative χ is diamagnetic.

    A control: a separation that is not better does not benefit from relaxation.
    """
    xp = namespace(chi)
    chi = masked(chi, mask)
    return xp.clip(chi, 0.0, None), xp.clip(-chi, 0.0, None)
