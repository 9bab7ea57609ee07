"""Separation of para- and diamagnetic sources by the field and R2′."""

from qsmbench.ops.fft import Window
from qsmbench.ops.reference import refer_to_mask
from qsmbench.ops.separation import separate
from qsmbench.registry import method
from qsmbench.units import DR_3T


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
    weight=0.1,
    regularisation=2e-4,
    penalty=200.0,
    coupling=0.3,
    relaxation=1.8,
    tolerance=0.01,
    max_iterations=100,
    pad=30.0,
):
    """χ-separation: the para- and diamagnetic χ in each voxel that make both the field and R2′.

    Sources of either sign shift the field in opposite directions, but both add to R2′: field = D(χ⁺ − |χ⁻|) and
    R2′ = Dr(χ⁺ + |χ⁻|), Dr growing with B0. Both residuals are minimised together, with total variation on either χ.
    The publication takes its regularisation from MEDI or iLSQR; here it is plain total variation, without weights from
    the magnitude, and the signs are held by constraints. A multiple of the field of a uniform χ over the mask
    is left free, for a local field does not say what it is.

    Args:
        local_field: (nx, ny, nz) ppm.
        r2prime: (nx, ny, nz) 1/s; negative values, which noise makes, count as zero.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        b0: T.
        relaxivity: Dr at 3 T, 1/s/ppm; the same for both signs, and proportional to B0.
        weight: of the residual of R2′/Dr relative to that of the field, both in ppm². The publication weighs Hz of
            field and 1/s of R2′ alike, which is about 1; the default is the usual ratio of their noise variances.
        regularisation: λ, ppm·mm (the gradient is per mm).
        penalty: weight of the gradient splitting, in multiples of λ, mm/ppm; changes the speed, not the limit.
        coupling: weight of the splitting that holds the signs and R2′, in multiples of `weight`; likewise.
        relaxation: over-relaxation of the splittings, 1 (none) to 2.
        tolerance: stop when χ⁺ and χ⁻ change by less than this fraction between iterations.
        max_iterations: stop then at the latest.
        pad: zeros around the bounding box of the mask, mm along each axis.

    Returns:
        chi_para: (nx, ny, nz) float32, ppm, not negative.
        chi_dia: (nx, ny, nz) float32, ppm, |χ⁻|, not negative.
        chi: (nx, ny, nz) float32, ppm, chi_para − chi_dia with zero mean over the mask.

    Reference:
        Shin 2021, doi:10.1016/j.neuroimage.2021.118371.
    """
    window = Window.around(mask, grid, pad)
    strength = window.take(r2prime, mask)
    strength[strength < 0] = 0
    strength /= relaxivity * b0 / 3
    para, dia = separate(
        window.take(local_field, mask),
        strength,
        window.take_mask(mask),
        grid,
        regularisation=regularisation,
        weight=weight,
        penalty=penalty,
        coupling=coupling * weight,
        relaxation=relaxation,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )
    para, dia = window.put(para, mask), window.put(dia, mask)
    return para, dia, refer_to_mask(para - dia, mask)
