"""Water–fat separation with field map and R2* over a whole volume."""

from qsmbench.method import method
from qsmbench.ops.water_fat.separate import separate


@method(
    produces=("signal_fat_fraction", "water", "fat", "total_field", "r2star"),
    reference="Yu 2008, doi:10.1002/mrm.21737",
)
def water_fat(phase, magnitude, mask, grid, te, b0, *, peaks=6, r2star_max=2000.0):
    """Separation of water and fat by the field that is continuous over the volume.

    s(t) = (water + fat · c(t)) · exp((i·2π·field − R2*)·t), with the fat spectrum c, complex water and fat, and one
    R2*, is fitted to the echoes of each voxel by least squares (Yu 2008). The residual has several minima over the
    field, and the wrong one exchanges water and fat. It is known exactly at all fields from a few numbers per voxel,
    since it is a sum over differences of echo times. The minima are chosen for all voxels together: the sum of
    residuals, of differences of the field between neighbours, and of differences of the phase at TE = 0, is minimised
    by tree-reweighted message passing (Kolmogorov 2006), first for blocks of voxels over several periods of 1/ΔTE,
    then for voxels; a minimum at which water and fat have one phase and a usual R2* costs less, and a voxel whose best
    fit is poor follows its neighbours. So the field needs no unwrapping. Voxels without signal start at the field of
    the nearest with signal. None of this affects the final fit, only the minimum that it starts in.

    Noise may turn fat fraction and R2* negative, or the fat fraction greater than 1: limits would bias their means.

    Args:
        peaks: number of peaks of the fat spectrum, 6, 7 or 9; 1 is the historical model, which is wrong.

    Returns:
        signal_fat_fraction: (nx, ny, nz) 0–1: fraction of fat in the signal at TE = 0, fat / (water + fat) along the
            phase of the sum, not clipped; beyond −0.25 and 1.25, where noise cancels most of the sum, it is limited
            smoothly.

    Raises:
        NotApplicable: there are fewer than three echoes.
        QsmbenchError: there is no spectrum with so many peaks.

    Reference:
        Model: Yu 2008, doi:10.1002/mrm.21737; residual over fields with smoothness: Hernando 2010,
        doi:10.1002/mrm.22177; message passing: Kolmogorov 2006, doi:10.1109/TPAMI.2006.200.
    """
    found = separate(phase, magnitude, mask, grid, te, b0, peaks=peaks, r2star_max=r2star_max)
    return found.volumes(mask, b0)
