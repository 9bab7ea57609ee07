"""Two-pass inversion: strong sources with unreliable phase are kept out of the rest of the map."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.methods.joint._passes import run_chain
from qsmbench.ops.masks.morphology import above_threshold, close_gaps, largest_in_each
from qsmbench.ops.phase.phase_quality import phase_quality
from qsmbench.ops.solvers.reference import subtract_mask_mean


@method(produces=("chi", "mask"), reference="Stewart 2022, doi:10.1002/mrm.29048")
def two_pass(
    total_field,
    phase,
    magnitude,
    mask,
    grid,
    te,
    b0,
    *,
    background="pdf",
    inversion="rts",
    threshold=0.3,
    closing=2.0,
):
    """Two-pass: invert once with the whole mask, once with holes where the phase is unreliable, and join the two.

    In and around a strong source the phase is lost to noise and wraps, and what it says there becomes streaks through
    the map. The second pass leaves those voxels out of background removal and of inversion: their field counts as
    background, and the rest of the map is free of it. The holes are filled from the first pass, shifted to the
    same mean where both are known.

    The given mask is that of the first pass; the publication fills the holes of the second one's instead. Both passes
    run the methods that are named, with their defaults; a method from the total field to χ goes without background.

    Args:
        total_field: (nx, ny, nz) ppm.
        phase: (nx, ny, nz, n_echoes) rad, wrapped; its quality says where it is reliable, see `quality_mask`.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size and B0 direction.
        te: (n_echoes,) s.
        b0: T.
        background: method that removes the background; empty for none.
        inversion: method that gives χ.
        threshold: the phase is unreliable below this quality, 0 … 1, or below "otsu" of all qualities in the mask,
            which splits them even where all are good. Noise has about 0.1, tissue more than 0.5.
        closing: radius of the ball that a hole must not be too narrow for, mm.

    Returns:
        chi: (nx, ny, nz) float32, ppm, zero mean over the mask.
        mask: (nx, ny, nz) bool, of the first pass.

    Raises:
        NotApplicable: the phase is reliable nowhere in the mask.
        QsmbenchError: a method gives no χ, or takes what there is not.

    Reference:
        Stewart 2022, doi:10.1002/mrm.29048.
    """
    quality = phase_quality(phase, te, mask)
    good = np.zeros_like(mask)
    good[mask] = above_threshold(quality[mask], threshold, 1.0, "two_pass")
    reliable = largest_in_each(close_gaps(good, grid, closing) & mask, mask) if good.any() else good
    if not reliable.any():
        raise NotApplicable("the phase is reliable nowhere in the mask")
    given = {
        "total_field": total_field,
        "phase": phase,
        "magnitude": magnitude,
        "grid": grid,
        "te": te,
        "b0": b0,
    }
    names = [n for n in (background, inversion) if n]
    chi, known = run_chain(names, given | {"mask": mask}, "two_pass")
    if not reliable[mask].all():
        clear, shared = run_chain(names, given | {"mask": reliable}, "two_pass")
        shared = shared & known
        if shared.any():
            chi = np.where(shared, clear, chi + (clear[shared].mean() - chi[shared].mean()))
    return subtract_mask_mean(chi.astype(np.float32, copy=False), known), known
