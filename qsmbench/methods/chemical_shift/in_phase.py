"""Water–fat separation that starts from the echoes in which water and fat are in phase."""

import numpy as np

from qsmbench.method import method, note
from qsmbench.ops.phase.phase_offset import unwrap_echo_difference
from qsmbench.ops.phase.unwrap import connected_parts
from qsmbench.ops.water_fat.model import check_echoes
from qsmbench.ops.water_fat.separate import complete, signal_in
from qsmbench.spectra import spectrum


@method(
    produces=("signal_fat_fraction", "water", "fat", "total_field", "r2star"),
    reference="Jafari 2019, doi:10.1002/jmri.26632",
)
def in_phase(phase, magnitude, mask, te, b0, *, peaks=6, r2star_max=2000.0, tolerance=45.0):
    """Field and R2* of the in-phase echoes, as the start of a fit of water and fat in each voxel.

    In echoes with water and fat in phase, the phase grows with the field alone: the difference of the first two of them
    is unwrapped in space (ROMEO), and the decay from the first to the last gives R2*. Then the model of `water_fat` is
    fitted to all echoes. Nothing else keeps water and fat from being exchanged, as happens where in-phase echoes are
    far apart or the unwrapping fails. The simple baseline.

    Args:
        peaks: number of peaks of the fat spectrum, as in `water_fat`.
        tolerance: largest angle between water and fat in an in-phase echo (at least two echoes are taken, those with
            the smallest angles), degrees.

    Returns:
        signal_fat_fraction: (nx, ny, nz) 0–1: fraction of fat in the signal at TE = 0, as in `water_fat`.

    Raises:
        NotApplicable: there are fewer than three echoes.
        QsmbenchError: there is no spectrum with so many peaks.

    Reference:
        Jafari 2019, doi:10.1002/jmri.26632, who take the odd echoes of a protocol made for it.
    """
    te = np.asarray(te, float)
    check_echoes(te)
    angle = np.abs(np.angle(spectrum("fat", peaks).dephasing(te, b0), deg=True))
    count = max(2, int(np.count_nonzero(angle < tolerance)))
    chosen = np.sort(np.argsort(angle, kind="stable")[:count])
    note("in_phase", {"echoes": (chosen + 1).tolist(), "angles": angle[chosen].round(1).tolist()})
    field = np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        part, size = (v[box][..., chosen] for v in (phase, magnitude))
        difference = unwrap_echo_difference(part, size, inside, te[chosen])
        field[box][inside] = difference[inside] / np.float32(2 * np.pi * (te[chosen[1]] - te[chosen[0]]))
    first, last = (magnitude[..., chosen[e]][mask] for e in (0, -1))
    both = (first > 0) & (last > 0)
    ratio = np.divide(first, last, out=np.ones_like(first), where=both)
    r2star = (np.log(ratio) / (te[chosen[-1]] - te[chosen[0]])).astype(np.float32)
    found = complete(signal_in(phase, magnitude, mask), field[mask], r2star, te, b0, peaks=peaks, r2star_max=r2star_max)
    return found.volumes(mask, b0)
