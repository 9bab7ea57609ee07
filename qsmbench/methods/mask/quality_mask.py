"""A mask where the phase can be relied on."""

from qsmbench.method import method
from qsmbench.ops.masks.morphology import above_threshold, clean_up
from qsmbench.ops.phase.phase_quality import phase_quality


@method(produces="mask", reference="Stewart 2022, doi:10.1002/mrm.29048")
def quality_mask(phase, mask, grid, te, *, threshold="otsu", opening=0.0, closing=2.0):
    """Mask by a threshold on the quality of the phase, without holes, one piece in each piece of the given mask.

    The quality of a pair of neighbours is that by which ROMEO orders its path: 1 where their phases are equal and 0
    where they are opposite, times, with two echoes or more, 1 where the difference grows in proportion to TE from the
    first to the second echo and 0 where it is a radian off. With one echo it is instead times 1 where the difference is
    that to the next voxels in line, and 0 where it is a radian off. A voxel's quality is the mean over its six pairs.
    Noise has no quality however bright it is, and a strong but smooth field keeps some.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        mask: (nx, ny, nz) bool; the result lies in it.
        grid: voxel size.
        te: (n_echoes,) echo times, s.
        threshold: "otsu" of all qualities in the volume, or a quality between 0 and 1.
        opening: radius of the ball that bridges and specks are too thin for, mm.
        closing: radius of the ball that gaps are too narrow for, mm.

    Returns:
        mask: (nx, ny, nz) bool.

    Raises:
        NotApplicable: nothing in the mask lies above the threshold.
        QsmbenchError: the threshold is not legal.

    Reference:
        Masking by phase quality: Stewart 2022, doi:10.1002/mrm.29048, and Hagberg 2022, doi:10.1002/mrm.29368; weights:
        Dymerska & Eckstein 2021, doi:10.1002/mrm.28563.
    """
    good = above_threshold(phase_quality(phase, te), threshold, 1.0, "quality_mask")
    return clean_up(good & mask, mask, grid, opening, closing)
