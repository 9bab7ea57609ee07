"""Oxygen extraction fraction from χ of veins."""

import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.masks.blood import oxygen_extraction
from qsmbench.ops.masks.centre_line import centre_line
from qsmbench.ops.solvers.cylinder import fit_cylinders

_CORRECTIONS = ("cylinder", "maximum", "none")
_REFERENCES = ("around", "map")
_SPACING = 2.0  # of the points that are fitted, voxels
_ALIKE = 0.8  # cosine between the directions of points of one vein
_TISSUE = 2.5  # width of the tissue around a vein, voxels


@method(produces=("oef", "vein_diameter"), reference="Kudo 2016, doi:10.1177/0271678X15606713")
def oef(
    chi,
    vein,
    mask,
    grid,
    *,
    correction="cylinder",
    length=8.0,
    pool=12.0,
    smallest=0.6,
    reference="around",
    tissue=0.0,
    haematocrit=0.42,
    deoxygenated=3.43,
    oxygenated=-0.10,
    arterial=0.98,
):
    """Compute the oxygen extraction fraction of the blood in veins from its χ, corrected for partial volume.

    Y follows from χ = Hct·[deoxygenated·(1 − Y) + oxygenated], and OEF = 1 − Y / Y_arterial. `cylinder` fits the share
    of each voxel in a cylinder to the voxels around the centre line: contrast · radius² and the radius are averaged
    along the vein, and give the contrast. `maximum` takes the largest χ of each cross-section. `none` takes each
    voxel as it is. The map is 0 where there is no vein, or where it is too thin for the fit; elsewhere it is not
    limited to 0…1.

    Args:
        correction: cylinder, maximum or none.
        length: of the fitted cylinders, mm; at least six voxels.
        pool: largest distance along a vein over which radius and contrast are averaged, mm.
        smallest: radius below which a fitted vein has no value, in voxels: there, only contrast · radius² is known.
        reference: around (`tissue` is the χ of the tissue around each vein) or map (that of the map's zero).
        tissue: χ of the reference relative to water, ppm; assumed. 0.01 ppm change OEF by 0.7 points.
        haematocrit: of the blood, 0–1; 0.42 is that of adults. It is smaller in small vessels, and in women.
        deoxygenated: χ of deoxygenated minus oxygenated red cells, ppm; 2.26 and 3.39 are also in use.
        oxygenated: χ of oxygenated red cells relative to water, ppm.
        arterial: oxygen saturation of arterial blood, 0–1.

    Returns:
        oef: (nx, ny, nz) 0–1: of the blood, 0 where there is no value.
        vein_diameter: (nx, ny, nz) mm: of the fitted cylinders (else that of the mask), 0 outside veins.

    Raises:
        NotApplicable: there is no vein, or χ is 0 in all of them.
        QsmbenchError: a setting is unknown or out of range.

    Reference:
        OEF from χ of extracted veins: Kudo 2016, doi:10.1177/0271678X15606713, and Fan 2014, doi:10.1002/mrm.24918, of
        which only the abstracts could be read: their vein masks, reference and haematocrit are not known here. Cylinder
        or maximum voxel: Ward 2017, PMC5326785 (abstract). Constants of blood: Jain 2012, doi:10.1002/mrm.23282.
    """
    _check(correction, length, pool, smallest, reference, haematocrit, deoxygenated, arterial)
    vein = vein & mask
    if not vein.any():
        raise NotApplicable("there is no vein in the mask")
    if not chi[vein].any():
        raise NotApplicable("χ is 0 in all veins")
    line = centre_line(vein, grid)
    value, radius = np.full(vein.shape, np.nan), np.zeros(vein.shape, np.float32)
    if correction == "none":
        base = 0.0 if reference == "map" else _around(chi, vein, mask, grid)
        value[vein] = (chi - base)[vein]
        radius[vein] = line.radius[line.nearest]
    else:
        points = _spaced(line.voxels * np.array(grid.voxel_size), _SPACING * _edge(grid))
        fitted = _cylinders if correction == "cylinder" else _maxima
        contrast, around, radii = fitted(chi, mask, vein, grid, line, points, length, pool, smallest)
        to_point = cKDTree(line.voxels[points]).query(line.voxels)[1][line.nearest]
        value[vein] = (contrast if reference == "around" else contrast + around)[to_point]
        radius[vein] = radii[to_point]
    extraction = oxygen_extraction(value + tissue, haematocrit, deoxygenated, oxygenated, arterial)
    known = np.isfinite(extraction)
    note("voxels of veins with a value", f"{np.count_nonzero(known)} of {np.count_nonzero(vein)}")
    return np.where(known, extraction, 0).astype(np.float32), 2 * radius


def _check(correction, length, pool, smallest, reference, haematocrit, deoxygenated, arterial):
    for name, value, legal in (("correction", correction, _CORRECTIONS), ("reference", reference, _REFERENCES)):
        if value not in legal:
            raise QsmbenchError(f"oef: {name} is {value!r}; choose from {', '.join(legal)}")
    for name, value in (("haematocrit", haematocrit), ("arterial", arterial)):
        if not 0 < value <= 1:
            raise QsmbenchError(f"oef: {name} is {value}; it must be above 0 and at most 1")
    positive = {"length": length, "pool": pool, "smallest": smallest, "deoxygenated": deoxygenated}
    for name, value in positive.items():
        if not value > 0:
            raise QsmbenchError(f"oef: {name} is {value}; it must be greater than 0")


def _edge(grid):
    return float(np.prod(grid.voxel_size) ** (1 / 3))


def _spaced(places, apart):
    """Return the indices of points none of which are nearer to one another than `apart` [mm]."""
    taken, chosen = np.zeros(len(places), bool), []
    near = cKDTree(places).query_ball_point(places, 0.999 * apart)
    for i in range(len(places)):
        if not taken[i]:
            chosen.append(i)
            taken[near[i]] = True
    return np.array(chosen)


def _cylinders(chi, mask, vein, grid, line, points, length, pool, smallest):
    """Return contrast, χ around and radius at some points of the centre line; NaN where they are not known."""
    edge = _edge(grid)
    found = fit_cylinders(
        chi, mask, vein, grid, line.voxels[points], line.direction[points], line.radius[points], max(length, 6 * edge)
    )
    moment = found.contrast * found.radius**2
    places = line.voxels[points] * np.array(grid.voxel_size)
    moment, radius, around = _pooled(places, line.direction[points], pool, edge, moment, found.radius, found.around)
    fits = radius >= smallest * edge
    contrast = np.divide(moment, radius**2, out=np.full(len(points), np.nan), where=fits)
    return contrast, around, np.where(np.isfinite(radius), radius, line.radius[points])


def _maxima(chi, mask, vein, grid, line, points, length, pool, smallest):
    """Return the same from the largest χ of the voxels nearest to each point of the centre line."""
    largest = ndimage.maximum(chi[vein], line.nearest, np.arange(len(line)))
    around = _around(chi, vein, mask, grid)[tuple(line.voxels.T)]
    places = line.voxels * np.array(grid.voxel_size)
    contrast, around = _pooled(places, line.direction, pool, _edge(grid), largest - around, around)
    return contrast[points], around[points], line.radius[points]


def _pooled(places, directions, pool, edge, *values):
    """Average values over the points of the same vein within `pool` [mm] that have them."""
    known = np.isfinite(np.sum(values, axis=0))
    means = [np.full(len(places), np.nan) for _ in values]
    for i, near in enumerate(cKDTree(places).query_ball_point(places, pool)):
        near = np.array(near)
        offset = places[near] - places[i]
        along = np.abs(offset @ directions[i])
        beside = np.sqrt(np.maximum((offset**2).sum(1) - along**2, 0))
        same = known[near] & (np.abs(directions[near] @ directions[i]) > _ALIKE) & (beside < 2 * edge + along / 2)
        if same.any():
            for mean, value in zip(means, values, strict=True):
                mean[i] = value[near[same]].mean()
    return means


def _around(chi, vein, mask, grid):
    """Compute the Gaussian mean of χ of the tissue around each voxel, leaving out the voxels next to veins."""
    tissue = (mask & ~ndimage.binary_dilation(vein)).astype(np.float32)
    sigma = [_TISSUE * _edge(grid) / d for d in grid.voxel_size]
    weight = ndimage.gaussian_filter(tissue, sigma, mode="constant")
    total = ndimage.gaussian_filter(chi * tissue, sigma, mode="constant")
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 1e-6)
