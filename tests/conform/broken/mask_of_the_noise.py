"""Its mask is where there is no signal."""

from qsmbench.method import method

FAILS = ("truth",)


@method(produces="mask", reference="deliberately broken")
def mask_of_the_noise(magnitude):
    """Its mask is where there is no signal."""
    return magnitude[..., 0] < 0.2
