"""It gives the phase as it is."""

from qsmbench.method import method

FAILS = ("truth",)


@method(produces="unwrapped", reference="deliberately broken")
def never_unwraps(phase, mask):
    """It gives the phase as it is."""
    return phase * mask[..., None]
