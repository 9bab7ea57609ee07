"""Liver iron concentration from χ."""

import numpy as np

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method, note

_REFERENCES = ("adipose", "map")
_LEAST = 20  # voxels of adipose tissue


@method(produces="lic", reference="Sharma 2015, doi:10.1002/mrm.25448")
def lic_chi(
    chi,
    signal_fat_fraction,
    mask,
    *,
    slope=0.41,
    intercept=0.0,
    reference="adipose",
    adipose=0.9,
    fat_chi=0.6,
    correct_fat=True,
):
    """Compute the liver iron concentration, (χ − χ of water − intercept) / slope, from χ without the part of fat.

    The zero of a map is arbitrary; with `reference` adipose, χ of water on it is the mean over adipose tissue minus
    what the fat there adds. χ of fat, `fat_chi` · fat fraction, is subtracted everywhere. The result is meaningful in
    the liver only.

    Calibrations: 0.41 ppm per mg/g is the physical slope, from χ of ferritin and haemosiderin at a wet-to-dry ratio of
    4.1 (assumed); in vivo 0.102–0.123 were measured at 1.5 T (doi:10.1002/mrm.30251).

    Args:
        slope: χ per iron, ppm per mg/g dry.
        intercept: χ of a liver without iron and fat relative to water, ppm; assumed.
        reference: adipose, or map (the map's own zero is that of water).
        adipose: fat fraction above which tissue is adipose.
        fat_chi: χ of pure fat relative to water, ppm; 0.55–0.70 are in use.
        correct_fat: subtract χ of fat.

    Raises:
        NotApplicable: there are fewer than 20 voxels of adipose tissue to refer to.
        QsmbenchError: a setting is unknown or out of range.

    Reference:
        Adipose tissue as reference: Sharma 2015, doi:10.1002/mrm.25448.
    """
    if reference not in _REFERENCES:
        raise QsmbenchError(f"lic_chi: reference is {reference!r}; choose from {', '.join(_REFERENCES)}")
    if not slope > 0:
        raise QsmbenchError(f"lic_chi: slope is {slope}; it must be greater than 0")
    fraction = np.clip(signal_fat_fraction, 0, 1)
    water = 0.0
    if reference == "adipose":
        tissue = mask & (fraction > adipose) & (chi != 0)
        if np.count_nonzero(tissue) < _LEAST:
            raise NotApplicable(f"fewer than {_LEAST} voxels have a fat fraction above {adipose:g}")
        water = float((chi - fat_chi * fraction)[tissue].mean())
        note("χ of water on the map, ppm", round(water, 4))
    rest = chi - water - (fat_chi * fraction if correct_fat else 0)
    return np.where(mask, (rest - intercept) / slope, 0).astype(np.float32)
