"""Separation of para- and diamagnetic sources by the field and R2′."""

from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import truncated_inverse
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.separation import separate
from qsmbench.units import DR_3T

_THRESHOLD = 0.2
"""Smallest |D| that the field is divided by, used only to estimate the strength of χ."""

_UNRELIABLE = 0.1
"""Weight of R2′ where it is unreliable, relative to elsewhere (as in the publication)."""


@method(
    produces=("chi_para", "chi_dia", "chi"),
    reference="Shin 2021, doi:10.1016/j.neuroimage.2021.118371",
    portable=True,
)
def chi_separation(
    local_field,
    r2prime,
    mask,
    grid,
    b0,
    *,
    relaxivity=DR_3T,
    weight=0.03,
    reliable=(0.007, 0.2),
    regularisation=2e-4,
    penalty=200.0,
    coupling=1.0,
    relaxation=1.8,
    tolerance=0.01,
    max_iterations=100,
    pad=30.0,
):
    """χ-separation: find the para- and diamagnetic χ in each voxel that explain both the field and R2′.

    Sources of opposite sign shift the field in opposite directions, but both increase R2′: field = D(χ⁺ − |χ⁻|) and R2′
    = Dr(χ⁺ + |χ⁻|), with Dr proportional to B0. Both residuals are minimised together, with total variation of both χ.
    R2′ has a tenth of its weight where it is too small or too large to be reliable, and where the field indicates a
    strong χ, since R2′ is not Dr·χ in a vein. A multiple of the field of a uniform χ over the mask is a free parameter,
    since a local field does not determine it.

    Differences:
        The low weight of R2′ at strong χ is not in the publication; the authors' toolbox has a different option that
        treats such χ separately. The publication takes its regularisation from MEDI or iLSQR; here it is plain total
        variation, without weights from the magnitude, with constraints on the signs.

    Args:
        r2prime: (nx, ny, nz) 1/s; negative values, due to noise, count as zero.
        relaxivity: Dr at 3 T, 1/s/ppm; the same for both signs, and proportional to B0.
        weight: of the residual of R2′/Dr relative to that of the field, both in ppm². In the publication 1/s of R2′ has
            the weight of 1 rad/s of field, which makes it (Dr/2πγ̄B0)² = 0.03.
        reliable: limits of R2′/Dr, ppm, outside of which R2′ has a tenth of its weight (1 and 27 1/s at 3 T; published
            are 1 and 30); also where thresholded k-space division finds a χ above the upper one.
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; affects the speed, not the converged
            solution.
        coupling: weight of the splitting of signs and R2′, in multiples of `weight`; affects the speed, not the
            converged solution.
        tolerance: stop when χ⁺ and χ⁻ change by less than this fraction between iterations.

    Returns:
        chi: (nx, ny, nz) ppm: chi_para − chi_dia, with zero mean over the mask.

    Reference:
        Shin 2021, doi:10.1016/j.neuroimage.2021.118371.
    """
    window = Window.around(mask, grid, pad)
    field, strength = window.take(local_field, mask), window.take(r2prime, mask)
    strength[strength < 0] = 0
    strength /= relaxivity * b0 / 3
    chi = convolve(field, like(truncated_inverse(grid, window.shape, _THRESHOLD), field))
    weakest, strongest = reliable
    weights = compute(_weights, strength, chi, out=chi, weight=weight, weakest=weakest, strongest=strongest)
    para, dia = separate(
        field,
        strength,
        weights,
        window.take_mask(mask),
        grid,
        regularisation=regularisation,
        penalty=penalty,
        coupling=coupling * weight,
        relaxation=relaxation,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    para, dia = window.put(para, mask), window.put(dia, mask)
    return para, dia, subtract_mask_mean(para - dia, mask)


def _weights(xp, strength, chi, *, weight, weakest, strongest):
    """Compute the weight of the squared residual of R2′ in each voxel."""
    unreliable = (strength < weakest) | (strength > strongest) | (chi > strongest)
    return xp.where(unreliable, xp.full_like(chi, weight * _UNRELIABLE**2), xp.full_like(chi, weight))
