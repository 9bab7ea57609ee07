"""The true mask: that which scores are computed over, in place of what the steps before it made."""

from qsmbench.method import method


@method(produces="mask", reference="control")
def true_mask(mask):
    """Control: the true mask, for the steps after it. What the steps before it made of it is discarded.

    It shows what these steps add to the error of a chain; see `attribution` in a study.

    Args:
        mask: (nx, ny, nz) bool: the truth.
    """
    return mask
