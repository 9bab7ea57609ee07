"""Two-stage inversion of vessels and tissue, each with a background removal that adapts to the edge of the mask."""

from math import log2

from qsmbench.method import method
from qsmbench.methods.joint._passes import run_chain
from qsmbench.ops.arrays.algebra import dot
from qsmbench.ops.arrays.array import like, masked, namespace, to_numpy
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.arrays.smooth import gaussian_spectrum
from qsmbench.ops.arrays.varying_width import smooth_by_width
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.masks.morphology import otsu
from qsmbench.ops.masks.vessel import bottom_hat, vesselness
from qsmbench.ops.solvers.reference import subtract_mask_mean

_REACH = 1.6  # width of the Gaussian that measures proximity to the edge, in multiples of that of the background


@method(produces="chi", reference="Yaghmaie 2021, doi:10.1016/j.neuroimage.2021.117701", portable=True)
def qsmart(
    total_field,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    inversion="ilsqr",
    whole_width=10.0,
    tissue_width=8.0,
    vessel_width=2.0,
    edge_width=1.0,
    vessel_radius=6.0,
    vessel_scales=(0.75, 1.5, 3.0),
):
    """QSMART: invert the whole mask, invert it again without vessels, and join vessels and tissue.

    Vessels are dark tubes of the magnitude: Frangi's filter finds them in its bottom hat, followed by Otsu's threshold.
    The background is a Gaussian mean over the mask, whose width varies: wide in the middle of the mask, where the
    smoothed mask is 1, and `edge_width` at a plane edge, where it is ½. In the second stage it is also narrow in and
    near vessels, so that little of their field remains in the tissue's. χ of the vessels is taken from the first stage,
    with the offset that best fits the local field of the first stage.

    Differences:
        Lengths are in mm, not in voxels, and the Gaussian that measures proximity to the edge is isotropic (theirs is
        once, twice and twice as wide: the same volume). The curvature of the edge is ignored, as are indentations of
        the mask and a lower limit of the width, which did not reduce the error on a head. Voxels with a bad fit over
        the echoes are not excluded; use a mask for this. Vessels are detected in the last echo, not in the mean over
        the echoes, where the CSF of the sulci is also dark. The bias of the magnitude is not corrected before the
        bottom hat, which uses a box instead of a ball; the contrast of Frangi's filter is proportional to the image.
        The offset is fitted inside the mask only. The background is computed for widths in steps of √2, and
        interpolated between them.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.; the last echo shows the vessels.
        te: (n_echoes,) echo times, s; for inversions that need them.
        b0: field strength, T; for inversions that need it.
        inversion: method from the local field to χ, run with its defaults.
        whole_width: σ of the Gaussian of the background in the middle of the mask in the first stage, mm.
        tissue_width: the same in the second stage, mm.
        vessel_width: σ of the Gaussian that measures proximity to vessels, mm.
        edge_width: σ at the edge of the mask and in vessels, in multiples of the geometric mean side of a voxel.
        vessel_radius: half the largest width of a vessel, mm.
        vessel_scales: widths of Frangi's filter, mm.

    Raises:
        QsmbenchError: the inversion produces no χ, or needs an input that is missing.

    Reference:
        Yaghmaie 2021, doi:10.1016/j.neuroimage.2021.117701; vesselness: Frangi 1998, doi:10.1007/BFb0056195.
    """
    shared = {"magnitude": magnitude, "grid": grid, "te": te, "b0": b0}
    window = Window.around(mask, grid, pad=4 * max(whole_width, tissue_width, vessel_radius))
    field, inside = window.take(total_field, mask), window.take_mask(mask)
    vessels = _vessels(window.take(magnitude[..., -1], mask), inside, grid, vessel_radius, vessel_scales)
    edge = edge_width * grid.voxel_volume ** (1 / 3)

    local = _local_field(field, inside, _widths(inside, grid, whole_width, edge), grid)
    whole, _ = run_chain([inversion], shared | {"local_field": window.put(local, mask), "mask": mask}, "qsmart")
    tissue_mask = window.put(inside & ~vessels, mask)
    xp = namespace(field)
    if not xp.any(vessels) or not xp.any(tissue_mask):
        return whole
    width = _widths_beside(vessels, inside, grid, tissue_width, edge, vessel_width)
    cleaned = window.put(_local_field(field, inside, width, grid), tissue_mask)
    del field, width  # the inversion needs the room
    tissue, _ = run_chain([inversion], shared | {"local_field": cleaned, "mask": tissue_mask}, "qsmart")

    chi = masked(window.take(whole), vessels) + window.take(tissue)
    chi += _offset(chi, local, vessels, inside, grid) * xp.astype(vessels, xp.float32)
    return subtract_mask_mean(window.put(chi, mask), mask)


def _vessels(image, inside, grid, radius, scales):
    """Find the dark tubes of an image: (nx, ny, nz) bool."""
    tubes = vesselness(bottom_hat(image, inside, grid, radius), grid, scales)
    values = to_numpy(tubes)[to_numpy(inside)]
    return inside & (tubes > (otsu(values) if values.any() else 0.0))


def _smooth(volume, grid, width):
    return convolve(volume, like(gaussian_spectrum(grid, volume.shape, width), volume))


def _widths(inside, grid, width, edge, near=1.0):
    """Compute σ of the Gaussian of the background [mm]: `width` deep in the mask, `edge` at a plane edge of it.

    Args:
        inside: (nx, ny, nz) bool.
        grid: voxel size.
        width: mm.
        edge: mm, below `width`.
        near: (nx, ny, nz), 0 … 1; fraction of the surroundings that is not vessel.
    """
    xp = namespace(inside)
    proximity = near * _smooth(xp.astype(inside, xp.float32), grid, _REACH * width)
    power = max(log2(width / edge), 0.0)
    return xp.clip(width * xp.clip(proximity, 1e-6, 1.0) ** power, edge / 2, None)


def _widths_beside(vessels, inside, grid, width, edge, vessel_width):
    """Compute `_widths` that also decrease towards vessels, over `vessel_width`; in vessels, `edge` [mm]."""
    xp = namespace(inside)
    near = _smooth(xp.astype(~vessels, xp.float32), grid, vessel_width)
    widths = _widths(inside, grid, width, edge, near)
    return xp.where(vessels, xp.full_like(widths, edge), widths)


def _local_field(field, inside, width, grid):
    return masked(field - smooth_by_width(field, inside, width, grid), inside)


def _offset(chi, local_field, vessels, inside, grid):
    """Fit the offset of χ in vessels [ppm] with which its field is closest to the local field, inside the mask."""
    xp = namespace(chi)
    kernel = like(dipole_kernel(grid, chi.shape), chi)
    unit = masked(convolve(xp.astype(vessels, xp.float32), kernel), inside)
    misfit = masked(local_field - convolve(chi, kernel), inside)
    return dot(unit, misfit) / dot(unit, unit)
