"""It takes the mean away and nothing else."""

from qsmbench.method import method

FAILS = ("truth",)


@method(produces="local_field", reference="deliberately broken")
def background_less_mean(total_field, mask):
    """It takes the mean away and nothing else."""
    return (total_field - total_field[mask].mean()) * mask
