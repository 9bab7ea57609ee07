"""It takes one sign of χ for the other."""

from sound import split

from qsmbench.method import method

FAILS = ("truth",)


@method(produces=("chi_para", "chi_dia"), reference="deliberately broken")
def signs_swapped(chi, mask):
    """It takes one sign of χ for the other."""
    return tuple(reversed(split(chi, mask)))
