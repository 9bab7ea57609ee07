"""A mask of organs: tissue that is not fat."""

from qsmbench.errors import NotApplicable
from qsmbench.method import method


@method(produces="mask", reference="control")
def water_mask(signal_fat_fraction, mask, *, threshold=0.5):
    """Control: the voxels of the mask with less fat than water: organs and muscle, without adipose tissue.

    Args:
        threshold: fat fraction from which a voxel is left out.

    Raises:
        NotApplicable: nothing remains.
    """
    water = mask & (signal_fat_fraction < threshold)
    if not water.any():
        raise NotApplicable(f"no voxel of the mask has a fat fraction below {threshold:g}")
    return water
