"""An observer that looks for lesions in a map, without knowing where they are."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from qsmbench.errors import NotApplicable
from qsmbench.metrics._lesions import Scene, inner, require, scattered, tissues

FINE, COARSE = 0.6, 4.0
"""Standard deviations of the Gaussians: in voxels, for the lesion; in mm, for its surroundings (assumed)."""


def detections(estimate, truth, study_mask, support, sources, source_table, labels, regions, grid):
    """Return the observer's score of each lesion, (n,), and of each false candidate, (m,), falling; ppm.

    The observer knows in which tissues lesions may lie (anywhere, if the table names none of the labels), and their
    sign if all have the same. It compares each voxel with the tissue around it: the difference of two Gaussian means
    over those tissues (normalised convolution, Knutsson & Westin 1993), without the voxels at their borders.
    Its candidates are the local maxima. A lesion has the largest score in it and in the voxels next to it, 0 where it
    was not reconstructed.

    Args: see `CONSUMABLE`.

    Raises:
        NotApplicable: the truth has no scattered lesion, or none of their tissues is in the mask.
    """
    rows = scattered(source_table)
    require(rows)
    scene = Scene(study_mask, support, sources, source_table, labels, regions, grid)
    parts = [scene.parts(row) for row in rows]
    own = np.isin(sources, [i for its in parts for i in its]) & study_mask
    ids = tissues(rows, regions)
    tissue = (np.isin(labels, ids) if ids else study_mask) & ((sources == 0) | own) & study_mask
    search = inner(tissue | own) | own
    if not search.any():
        raise NotApplicable("no tissue in which lesions may lie is in the mask")
    box = ndimage.find_objects(search.astype(np.uint8))[0]
    own, sources, seen = own[box], sources[box], search[box] & support[box]
    response = _response(estimate[box], seen, grid) * _direction(rows)
    if len({row.sign for row in rows} - {0}) > 1:
        response = np.abs(response)
    response[~seen] = 0
    grown = ndimage.grey_dilation(np.where(own, sources, 0), size=(3, 3, 3))
    best = ndimage.maximum(response, grown, range(1, int(sources.max(initial=0)) + 1))
    scores = [max([best[i - 1] for i in its if i <= len(best)], default=0.0) for its in parts]
    peaks = (response == ndimage.maximum_filter(response, size=3)) & (response > 0) & (grown == 0)
    return np.array(scores), np.sort(response[peaks])[::-1]


def detected(scores, false):
    """Return which lesions are found at one false positive per scan, (n,) bool, from what `detections` returns."""
    return scores > (false[1] if false.size > 1 else 0.0)


def _direction(rows) -> int:
    signs = {row.sign for row in rows} - {0}
    return signs.pop() if len(signs) == 1 else 1


def _response(volume, inside, grid):
    """Return the difference of two normalised Gaussian means over the voxels `inside`, (nx, ny, nz)."""
    values = np.where(inside, volume, 0).astype(np.float32)
    weight = inside.astype(np.float32)
    means = []
    for sigma in ([FINE] * 3, [COARSE / size for size in grid.voxel_size]):
        total, share = (ndimage.gaussian_filter(v, sigma, mode="constant", truncate=3) for v in (values, weight))
        means.append(total / np.maximum(share, 1e-3))
    return means[0] - means[1]
