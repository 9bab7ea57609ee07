"""The positive control: the true susceptibility. Its NRMSE is 0 by definition.

A chain that begins with it may read the truth: `truth.tkd` is TKD fed with the true local field.
"""

from qsmbench.method import method


@method(produces="chi", reference="control")
def truth(chi):
    """Control: the true χ.

    Args:
        chi: (nx, ny, nz) ppm: the truth.
    """
    return chi
