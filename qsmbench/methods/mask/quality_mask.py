"""A mask of the voxels with reliable phase."""

from qsmbench.method import method
from qsmbench.ops.masks.morphology import above_threshold, clean_up
from qsmbench.ops.phase.phase_quality import phase_quality


@method(produces="mask", reference="Stewart 2022, doi:10.1002/mrm.29048")
def quality_mask(phase, mask, grid, te, *, threshold="otsu", opening=0.0, closing=2.0):
    """Mask by a threshold on the phase quality, without holes, one connected part in each connected part of the input.

    The quality of a pair of neighbours is the weight by which ROMEO orders its path: 1 where their phases are equal and
    0 where they are opposite, times 1 where the difference is proportional to TE in the first two echoes and 0 where
    it deviates by a radian. With a single echo, the second factor compares the difference with those to the next voxels
    along the line. The quality of a voxel is the mean over its six pairs. It is low for noise of any magnitude, but
    high for a strong, smooth field.

    Args:
        mask: (nx, ny, nz) bool; limits the result.
        threshold: "otsu" of all qualities in the volume, or a quality between 0 and 1.

    Raises:
        NotApplicable: nothing in the mask is above the threshold.
        QsmbenchError: the threshold is invalid.

    Reference:
        Masking by phase quality: Stewart 2022, doi:10.1002/mrm.29048, and Hagberg 2022, doi:10.1002/mrm.29368; weights:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    good = above_threshold(phase_quality(phase, te), threshold, 1.0, "quality_mask")
    return clean_up(good & mask, mask, grid, opening, closing)
