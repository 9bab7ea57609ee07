"""The true veins, in place of those that the steps before found."""

from qsmbench.method import method


@method(produces="vein", reference="control")
def true_veins(vein):
    """Control: the true voxels of veins, for the steps after it. It needs a phantom with generated veins.

    It separates the error of `oef` from that of the search for veins.

    Args:
        vein: (nx, ny, nz) bool: the truth.
    """
    return vein
