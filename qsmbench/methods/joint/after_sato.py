"""χ of water and of fat regions separately, then combined."""

import numpy as np

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method, note
from qsmbench.methods.joint._passes import run_chain
from qsmbench.ops.arrays.fft import Window, convolve
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean


@method(produces="chi", reference="Sato 2020, Magn Reson Imaging 66:22; with PDF: Liu 2011, doi:10.1002/nbm.1670")
def after_sato(
    total_field,
    signal_fat_fraction,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    background="pdf",
    inversion="tv",
    fat_is="source",
    threshold=0.5,
    pad=40.0,
):
    """χ of the water region and of the fat region from separate inversions, combined (after Sato 2020).

    With `fat_is` source, the local field of the whole mask is inverted, which gives χ of the fat region (fat fraction
    of at least `threshold`). The field of that χ is subtracted, and the rest inverted over the water region alone, so
    that errors of the phase of fat, near bone and air, do not reach water. With `fat_is` background, χ of the water
    region is found first: all sources outside it, fat included, are background and are removed; then the field of
    that χ is subtracted, and the fat region treated likewise. This loses χ of organs that fat surrounds, since the
    field of a uniform organ is harmonic in it.

    Both maps are relative to the mean of their own region. The offset between the regions is that which best explains
    the local field of the whole mask: the background removal is applied to the field of both maps, and to that of a
    uniform fat region.

    Differences:
        Named after the publication, of which only summaries could be read: χ of the regions is computed separately and
        differently, and combined. How it treats the fat is assumed here.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.; for inversions that need it.
        te: (n_echoes,) echo times, s; for inversions that need them.
        b0: field strength, T; for inversions that need it.
        background: method that removes the background, run with its defaults.
        inversion: method from the local field to χ, run with its defaults.
        fat_is: source (of a known field) or background.
        threshold: fat fraction that divides the mask.
        pad: zeros around the bounding box of the mask when the field of a map is computed, mm along each axis.

    Raises:
        NotApplicable: the mask contains no water, or no fat.
        QsmbenchError: `fat_is` is unknown, a method needs an input that is missing, or none produces χ.
    """
    if fat_is not in _KINDS:
        raise QsmbenchError(f"after_sato: fat_is is {fat_is!r}; choose from {', '.join(_KINDS)}")
    fat = mask & (signal_fat_fraction >= threshold)
    water = mask & ~fat
    if not (fat.any() and water.any()):
        raise NotApplicable(
            f"no voxel of the mask has a fat fraction {'above' if water.any() else 'below'} {threshold:g}"
        )
    shared = {"grid": grid, "magnitude": magnitude, "te": te, "b0": b0}
    window = Window.around(mask, grid, pad)
    kernel = dipole_kernel(grid, window.shape)

    def field_of(chi):
        return window.put(convolve(window.take(chi), kernel), mask)

    def local(field, region=mask):
        inputs = shared | {"total_field": field, "mask": region}
        kept, known = run_chain([background], inputs, "after_sato", "local_field")
        return np.where(known, kept, 0).astype(np.float32), known

    def inverted(field, region):
        chi, known = run_chain([inversion], shared | {"local_field": field, "mask": region}, "after_sato")
        return np.where(known, chi, 0).astype(np.float32)

    whole, known = local(total_field)
    if fat_is == "source":
        of_fat = inverted(whole, known) * fat
        of_water = inverted((whole - field_of(of_fat)) * water, known & water)
    else:
        of_water = inverted(*local(total_field, water))
        of_fat = inverted(*local(total_field - field_of(of_water), fat))
    chi = subtract_mask_mean(of_water, water) + subtract_mask_mean(of_fat, fat)
    step = local(field_of(fat))[0].astype(float)
    left = whole - local(field_of(chi))[0]
    offset = float(np.vdot(step, left) / max(np.vdot(step, step), np.finfo(float).tiny))
    note("χ of fat minus χ of water, ppm", round(offset, 3))
    chi[fat] += np.float32(offset)
    return subtract_mask_mean(chi, mask)


_KINDS = ("source", "background")
