"""Its diamagnetic part is negative."""

from sound import split

from qsmbench.method import method

FAILS = ("sign",)


@method(produces=("chi_para", "chi_dia"), reference="deliberately broken")
def chi_dia_negative(chi, mask):
    """Its diamagnetic part is negative."""
    para, dia = split(chi, mask)
    return para, -dia
