"""Water–fat separation from the magnitude alone, by two starts."""

import numpy as np

from qsmbench.method import method
from qsmbench.ops.water_fat.magnitude_fit import fit_magnitudes
from qsmbench.ops.water_fat.model import check_echoes
from qsmbench.ops.water_fat.separate import signed_fraction
from qsmbench.spectra import spectrum
from qsmbench.threads import over_planes


@method(produces=("signal_fat_fraction", "water", "fat", "r2star"), reference="Triay Bagur 2019, doi:10.1002/mrm.27728")
def mago(magnitude, mask, te, b0, *, peaks=6, r2star_max=2000.0):
    """Magnitude fit from a watery and from a fatty start, of which the better one counts.

    |water + fat · c(t)| · exp(−R2*·t) is fitted to the magnitudes of each voxel by least squares. There are two minima,
    in which water and fat are exchanged; with several peaks of fat they differ in their residuals. Voxels do not affect
    each other, and the field does not matter, so that no exchange can spread. This makes the method a check of the
    others. It uses half of the data. Where noise hides the difference of the residuals, single voxels are exchanged.

    Args:
        peaks: number of peaks of the fat spectrum, as in `water_fat`; with a single peak the minima are equal.

    Returns:
        signal_fat_fraction: (nx, ny, nz) 0–1: fraction of fat in the signal at TE = 0, as in `water_fat`.

    Raises:
        NotApplicable: there are fewer than three echoes.
        QsmbenchError: there is no spectrum with so many peaks.

    Reference:
        Triay Bagur 2019, doi:10.1002/mrm.27728.
    """
    te = np.asarray(te, float)
    check_echoes(te)
    signal = np.ascontiguousarray(magnitude[mask])
    found = np.zeros((4, *mask.shape), np.float32)
    values = np.zeros((3, len(signal)), np.float32)
    dephasing = spectrum("fat", peaks).dephasing(te, b0)
    over_planes(fit_magnitudes, len(signal), signal, te, dephasing, -1 / (te[-1] - te[0]), r2star_max, *values)
    water, fat, r2star = values
    found[:, mask] = signed_fraction(water, fat), np.abs(water), np.abs(fat), r2star
    return tuple(found)
