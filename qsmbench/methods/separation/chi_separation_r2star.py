"""Separation of para- and diamagnetic sources by the field and R2*, without a measurement of R2."""

from qsmbench.method import method
from qsmbench.methods.separation.chi_separation import chi_separation
from qsmbench.units import DR_3T


@method(produces=("chi_para", "chi_dia", "chi"), reference="Dimov 2022, doi:10.1111/jon.13014", portable=True)
def chi_separation_r2star(
    local_field,
    r2star,
    mask,
    grid,
    b0,
    *,
    share=0.4,
    relaxivity=DR_3T,
    weight=0.03,
    reliable=(0.007, 0.2),
    regularisation=2e-4,
    tolerance=0.01,
    max_iterations=100,
    pad=30.0,
):
    """χ-separation from gradient echoes alone: R2′ is assumed to be a fixed fraction of R2*.

    The model and the solver are those of `chi_separation`. Separation from a gradient-echo scan alone is due to Dimov
    2022; the fixed fraction is the simplest model of it. It ignores that R2 differs between tissues.

    Args:
        share: R2′/R2*; 0.4 is about that of grey matter at 3 T (R2* 19, R2 11 1/s).
        relaxivity: Dr at 3 T, 1/s/ppm, see `chi_separation`.
        weight: of the residual of R2′/Dr relative to that of the field, both in ppm².
        reliable: limits of R2′/Dr and of χ, ppm, see `chi_separation`.
        tolerance: stop when χ⁺ and χ⁻ change by less than this fraction between iterations.

    Returns:
        chi: (nx, ny, nz) ppm: chi_para − chi_dia, with zero mean over the mask.

    Reference:
        Dimov 2022, doi:10.1111/jon.13014; solver: Shin 2021, doi:10.1016/j.neuroimage.2021.118371.
    """
    return chi_separation(
        local_field,
        r2star,
        mask,
        grid,
        b0,
        relaxivity=relaxivity / share,
        weight=weight,
        reliable=reliable,
        regularisation=regularisation,
        tolerance=tolerance,
        max_iterations=max_iterations,
        pad=pad,
    )
