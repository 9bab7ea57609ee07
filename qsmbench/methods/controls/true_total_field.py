"""The true total field, in place of what the steps before it made."""

from qsmbench.method import method


@method(produces="total_field", reference="control")
def true_total_field(total_field):
    """Control: the true total field, for the steps after it. What the steps before it made of it is discarded.

    It shows what these steps add to the error of a chain; see `attribution` in a study.

    Args:
        total_field: (nx, ny, nz) ppm: the truth.
    """
    return total_field
