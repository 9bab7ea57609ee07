"""Its rate is in 1/ms."""

from sound import r2star_log

from qsmbench.method import method

FAILS = ("units",)


@method(produces="r2star", reference="deliberately broken")
def r2star_in_per_ms(magnitude, mask, te):
    """Its rate is in 1/ms."""
    return r2star_log(magnitude, mask, te) / 1000
