"""Two-pass inversion, which separates strong sources with unreliable phase from the rest of the map."""

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
    """Two-pass: invert with the whole mask, and with holes where the phase is unreliable, and combine the two maps.

    In and around a strong source the phase is dominated by noise and wraps, which cause streaks through the map. The
    second pass excludes these voxels from background removal and inversion: their field is part of the background, and
    is removed. The holes are filled from the first pass, shifted to the same mean over the common voxels.

    The first pass uses the mask of the scan. Both passes run the named methods with their defaults; an inversion of the
    total field needs no background removal.

    Differences:
        The first pass of the publication uses the second mask with its holes filled.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped; reliable where its quality is high, see `quality_mask`.
        background: method that removes the background; empty for none.
        inversion: method that produces χ.
        threshold: the phase is unreliable below this quality, 0 … 1, or below "otsu" of all qualities in the mask,
            which splits them even if all are high. Noise has about 0.1, tissue more than 0.5.
        closing: radius of the ball for closing, which fills narrower holes, mm.

    Returns:
        mask: (nx, ny, nz) bool, of the first pass.

    Raises:
        NotApplicable: the phase is unreliable in the whole mask.
        QsmbenchError: a method needs an input that is missing, or none produces χ.

    Reference:
        Stewart 2022, doi:10.1002/mrm.29048.
    """
    quality = phase_quality(phase, te, mask)
    good = np.zeros_like(mask)
    good[mask] = above_threshold(quality[mask], threshold, 1.0, "two_pass")
    reliable = largest_in_each(close_gaps(good, grid, closing) & mask, mask) if good.any() else good
    if not reliable.any():
        raise NotApplicable("the phase is unreliable in the whole mask")
    shared = {
        "total_field": total_field,
        "phase": phase,
        "magnitude": magnitude,
        "grid": grid,
        "te": te,
        "b0": b0,
    }
    names = [n for n in (background, inversion) if n]
    chi, known = run_chain(names, shared | {"mask": mask}, "two_pass")
    if not reliable[mask].all():
        second, both = run_chain(names, shared | {"mask": reliable}, "two_pass")
        both = both & known
        if both.any():
            chi = np.where(both, second, chi + (second[both].mean() - chi[both].mean()))
    return subtract_mask_mean(chi.astype(np.float32, copy=False), known), known
