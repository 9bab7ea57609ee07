"""It leaves the background field where it is."""

from qsmbench.method import method

FAILS = ("truth",)


@method(produces="local_field", reference="deliberately broken")
def background_kept(total_field, mask):
    """It leaves the background field where it is."""
    return total_field * mask
