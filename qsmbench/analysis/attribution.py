"""Where the error of a chain comes from: its stages, and its place in the mask, in the tissues and in k-space.

Let x₀ be the map of the chain, xⱼ the map that it gives when it is fed the truth through stage j, and xₙ = χ. The part
of stage j is ⟨xⱼ₋₁ − xⱼ, x₀ − χ⟩ / ‖x₀ − χ‖². The parts add up to 1; a part is negative if the error of a stage
compensates for that of others. Voxels that the chain did not reconstruct are a part of their own, `coverage`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from scipy import ndimage

from qsmbench.grid import Grid

ATTRIBUTION, BY_DISTANCE, BY_TISSUE, BY_CONE = "attribution", "error_by_distance", "error_by_tissue", "error_by_cone"
"""Metrics of the rows, whose `region` is the stage, the distance, the tissue or the part of k-space."""

COVERAGE = "coverage"
"""The part of the voxels that were not reconstructed."""

EDGES = (0.0, 2.0, 4.0, 8.0, 16.0, math.inf)
"""Limits of the distances to the edge of the mask [mm]."""

CONE = 0.1
"""Largest |D| of the dipole's cone; thresholds of TKD are of this size (Shmueli 2009, doi:10.1002/mrm.22135)."""

Map = tuple[np.ndarray, np.ndarray]
"""A χ map, (nx, ny, nz) ppm, and the voxels that were reconstructed, (nx, ny, nz) bool."""


def parts(maps: Sequence[Map], truth: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Divide the squared error of a chain among its stages.

    As for the NRMSE, χ is relative to its mean in the mask, and voxels that were not reconstructed have the mean of the
    others.

    Args:
        maps: of the chain, and fed the truth through each of its stages but the last.
        truth: (nx, ny, nz) ppm.
        mask: (nx, ny, nz) bool, the voxels to consider.

    Returns:
        (stages + 1,): the part of each stage and of lost coverage; NaN if the chain has no error.
    """
    true = truth[mask].astype(np.float64)
    true -= true.mean()
    prepared = [_prepared(estimate, support, mask) for estimate, support in maps]
    error = prepared[0] - true
    size = float(error @ error)
    if size == 0:
        return np.full(len(maps) + 1, np.nan)
    have = maps[0][1][mask]
    chain = [*prepared, true]
    found = [float((a - b)[have] @ error[have]) / size for a, b in pairwise(chain)]
    return np.array([*found, float(error[~have] @ error[~have]) / size])


def _prepared(estimate: np.ndarray, support: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Return the values in the mask, relative to their mean in it, with the mean in voxels without a value."""
    have = support[mask]
    values = np.where(have, estimate[mask], 0).astype(np.float64)
    if have.any():
        values[have] -= values[have].mean()
    return values


def by_distance(error: np.ndarray, mask: np.ndarray, grid: Grid) -> dict[str, float]:
    """Return the share of the squared error by the distance to the edge of the mask; shells without voxels are omitted.

    Args:
        error: (nx, ny, nz).
        mask: (nx, ny, nz) bool; beyond the grid is outside.
        grid: of both.
    """
    padded = ndimage.distance_transform_edt(np.pad(mask, 1), sampling=grid.voxel_size)
    distance, squared = np.asarray(padded)[1:-1, 1:-1, 1:-1][mask], np.square(error[mask].astype(np.float64))
    total = squared.sum()
    found = {}
    for low, high in pairwise(EDGES):
        its = (distance > low) & (distance <= high)
        if its.any():
            name = f"{low:g}–{high:g} mm" if high < math.inf else f"over {low:g} mm"
            found[name] = float(squared[its].sum() / total)
    return found


def by_tissue(
    error: np.ndarray, mask: np.ndarray, labels: np.ndarray, regions: Sequence[tuple[int, str, str]]
) -> dict[str, float]:
    """Return the share of the squared error in each group of regions; regions without a group count as other.

    Args:
        error: (nx, ny, nz).
        mask: (nx, ny, nz) bool.
        labels: (nx, ny, nz) integer.
        regions: (index, name, group) of each label.
    """
    group_of = {index: group or "other" for index, _, group in regions}
    names = list(dict.fromkeys([*group_of.values(), "other"]))
    lookup = np.full(int(labels.max()) + 1, names.index("other"))
    for index, group in group_of.items():
        if index < lookup.size:
            lookup[index] = names.index(group)
    squared = np.square(error[mask].astype(np.float64))
    sums = np.bincount(lookup[labels[mask]], squared, minlength=len(names))
    count = np.bincount(lookup[labels[mask]], minlength=len(names))
    return {name: float(s / squared.sum()) for name, s, n in zip(names, sums, count, strict=True) if n}


def by_cone(error: np.ndarray, mask: np.ndarray, grid: Grid, threshold: float = CONE) -> dict[str, float]:
    """Return the share of the squared error in the cone of k-space where the dipole kernel is small, and off it.

    Args:
        error: (nx, ny, nz); taken as 0 outside the mask.
        mask: (nx, ny, nz) bool.
        grid: of both.
        threshold: largest |D| within the cone.
    """
    spectrum = np.square(np.abs(np.fft.fftn(np.where(mask, error, 0))))
    spectrum.flat[0] = 0  # the mean is undetermined
    k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(grid.shape, grid.voxel_size, strict=True)), indexing="ij")
    along = sum(ki * bi for ki, bi in zip(k, grid.b0_dir, strict=True))
    square = sum(np.square(ki) for ki in k)
    kernel = np.divide(np.square(along), square, out=np.full(grid.shape, 1 / 3), where=square > 0)
    share = float(spectrum[np.abs(1 / 3 - kernel) < threshold].sum() / spectrum.sum())
    return {"in the cone": share, "off the cone": 1 - share}


def attribution_rows(maps: Sequence[Map], stages: Sequence[str], reference: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rows of a chain: parts of its stages, and its error by distance, tissue and place in k-space, in %.

    Args:
        maps: of the chain, and fed the truth through each of its stages but the last.
        stages: names of the stages.
        reference: truth, study_mask, labels, regions and grid, as for `metrics.Reference`.
    """
    study, truth = np.asarray(reference["study_mask"], bool), reference["truth"]
    common = np.logical_and.reduce([support for _, support in maps]) & study
    rows = []
    for where, mask in (("study", study), ("common", common)):
        if mask.any():
            found = dict(zip([*stages, COVERAGE], parts(maps, truth, mask), strict=True))
            rows += list(_rows(ATTRIBUTION, where, found))
    if common.any():
        error = np.zeros(study.shape)
        estimate, true = (volume[common].astype(np.float64) for volume in (maps[0][0], truth))
        error[common] = estimate - estimate.mean() - (true - true.mean())
        if error.any():
            rows += list(_rows(BY_DISTANCE, "common", by_distance(error, common, reference["grid"])))
            rows += list(_rows(BY_CONE, "common", by_cone(error, common, reference["grid"])))
            if reference["labels"] is not None:
                tissues = by_tissue(error, common, reference["labels"], reference["regions"])
                rows += list(_rows(BY_TISSUE, "common", tissues))
    return rows


def _rows(metric: str, support: str, shares: Mapping[str, float]) -> Iterator[dict[str, Any]]:
    for region, share in shares.items():
        reason = "" if math.isfinite(share) else "the chain has no error"
        yield {
            "metric": metric,
            "region": region,
            "support": support,
            "value": 100 * share,
            "unit": "%",
            "reason": reason,
        }
