"""The true local field, in place of what the steps before it made."""

from qsmbench.method import method


@method(produces="local_field", reference="control")
def true_local_field(local_field):
    """Control: the true local field, for the steps after it. What the steps before it made of it is discarded.

    It shows what these steps add to the error of a chain; see `attribution` in a study.

    Args:
        local_field: (nx, ny, nz) ppm: the truth.
    """
    return local_field
