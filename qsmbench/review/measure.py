"""Measurements of a finished study: its scores, and what images of contrast show of lesions and regions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from qsmbench.analysis.blooming import apparent, total_chi
from qsmbench.analysis.endpoints import with_truth
from qsmbench.analysis.results import read_study
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import REGIONS_FILE, read, read_params, read_regions
from qsmbench.data.score_table import source_index
from qsmbench.data.source_table import SOURCES_FILE, PlacedSource, read_sources
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.metrics._detection import detected, detections
from qsmbench.metrics._lesions import Scene, inner, rows_of, scattered
from qsmbench.review.evaluate import COLUMNS
from qsmbench.study.datasets import Simulated

if TYPE_CHECKING:
    import pandas as pd

    from qsmbench.study.config import Study

FAR = 0.02
"""Error of the field from which a voxel counts as far off, ppm."""

IMAGES = ("chi", "r2star", "swi", "t2star_weighted", "local_field", "total_field", "oef")
"""Artifacts of which lesions and regions are measured, whether or not they are scored."""

FEWEST = 8
"""Fewest voxels of a region without its border; below, the border is included."""


def measurements(study: Study, probes: Mapping[str, Sequence[float]] | None = None) -> pd.DataFrame:
    """Return the measurements of a finished study, with the columns `evaluate.COLUMNS`.

    Beside the scores on the study mask, they are `lesion_contrast` (mean of a lesion minus the median around it) and
    `lesion_detected` (by an observer; sources are dark in weighted images) of every image; `apparent_volume` [mm³] and
    `total_chi` [ppm·mm³] of lesions, see `analysis.blooming`; `probe`, the value at a place; `mean` and `sd` of regions
    without their border voxels (for the mean: if it has no score); `group_mean` and `group_sd` of the regions of a
    group together, such as the layers of cartilage, without the border of the whole; `mean_oef` of the vessels that
    have a value; and `far_off`, the share of voxels whose field is more than 0.02 ppm from the true one [%].

    Args:
        study: the study.
        probes: places by name, mm, at which images are sampled.

    Raises:
        QsmbenchError: the study has no scores.
    """
    import pandas as pd

    simulated = [s for s in study.sources if isinstance(s, Simulated)]
    arms = {f"{s.group}_seed-{seed}": (s.name, s.set.get("subject"), s.group) for s in simulated for seed in s.seeds}
    people = {d: str(_subject(subject, d)) for d, (_, subject, _) in arms.items()}
    scored = read_study(study.folder)
    kept = scored.scores[scored.scores["support"] == "study"]
    rows, sources = [], {d: _sources(study.folder / group) for d, (_, _, group) in arms.items()}
    for dataset, chain, artifact, metric, region, value in zip(
        *(with_truth(kept)[c] for c in ("dataset", "chain", "artifact", "metric", "region", "value")), strict=True
    ):
        source = sources.get(str(dataset), {}).get(source_index(str(region)) or -1)
        rows.append((str(dataset), str(chain), str(artifact), str(metric), *_about(str(region), source), float(value)))
    scored_rows = {(r[0], r[1], r[2], r[3]) for r in rows}
    for dataset, (_, _, group) in arms.items():
        for row in _of_images(study, dataset, group, probes or {}):
            if (row[0], row[1], row[2], row[3]) not in scored_rows:
                rows.append(row)
    table = [(arms[r[0]][0], people[r[0]], r[0], *r[1:]) for r in rows if r[0] in arms]
    return pd.DataFrame(table, columns=list(COLUMNS))


def _subject(subject: Any, dataset: str) -> Any:
    """Return the subject of a dataset; of a phantom without subjects, its replicate."""
    return dataset.rpartition("_seed-")[2] if subject is None else subject


def _sources(folder: Path) -> dict[int, PlacedSource]:
    path = folder / "truth" / SOURCES_FILE
    return {s.index: s for s in read_sources(path)} if path.is_file() else {}


def _about(region: str, source: PlacedSource | None) -> tuple[str, float, int]:
    """Return the name, the diameter [mm] and the sign of a region or a lesion."""
    if source is None:
        return region, math.nan, 0
    return source.name or source.region, source.diameter, source.sign


Row = tuple[str, str, str, str, str, float, int, float]


def _of_images(study: Study, dataset: str, group: str, probes: Mapping[str, Sequence[float]]) -> Iterator[Row]:
    """Yield the measurements of the images of a scan."""
    truth = study.folder / group / "truth"
    scan = study.folder / dataset / "scan"
    if not (truth / ARTIFACTS["mask"].file).is_file() or not scan.is_dir():
        return
    grid = read_params(scan).grid
    mask = read(truth, "mask", grid)
    labels = read(truth, "labels", grid)
    regions = [r for r in read_regions(truth / REGIONS_FILE) if r[0] != 0]
    places = _places(labels, mask, {name: (index,) for index, name, _ in regions})
    groups = _places(labels, mask, {g: tuple(i for i, _, own in regions if own == g) for _, _, g in regions if g})
    table = read_sources(truth / SOURCES_FILE)
    sources = read(truth, "sources", grid) if (truth / ARTIFACTS["sources"].file).is_file() else np.zeros(mask.shape)
    for chain in study.chains:
        folder = study.folder / dataset / "chains" / chain
        for artifact in IMAGES:
            path = folder / ARTIFACTS[artifact].file
            if not path.is_file():
                continue
            image = read(folder, artifact, grid)
            support = mask & _support(study.folder / dataset, chain, grid)
            scene = Scene(mask, support, sources, table, labels, regions, grid)
            lesions = list(scene.lesions(rows_of(table))) if table else []
            about = (dataset, chain, artifact)
            if artifact == "oef":
                found = image[np.isfinite(image) & (image != 0)]
                if found.size:
                    yield (*about, "mean_oef", "", math.nan, 0, float(found.mean()))
                continue
            for prefix, parts in (("group_", groups), ("", places)):
                for name, place in parts.items():
                    values = image.ravel()[place]
                    yield (*about, f"{prefix}mean", name, math.nan, 0, float(values.mean()))
                    yield (*about, f"{prefix}sd", name, math.nan, 0, float(values.std()))
            for name, at in probes.items():
                yield (*about, "probe", name, math.nan, 0, _at(image, at, grid))
            yield from ((*about, *row) for row in _found(artifact, image, scene))
            for lesion in lesions:
                what = _about("", lesion.source)
                yield (*about, "lesion_contrast", *what, lesion.contrast(image))
                if lesion.source.place != "region":
                    yield from ((*about, name, *what, value) for name, value in _extent(lesion, image, support, grid))
            if artifact == "total_field":
                yield (*about, "far_off", "", math.nan, 0, _far_off(image, read(truth, artifact, grid), mask))


DARK = ("swi", "t2star_weighted")
"""Images in which sources are dark."""


def _found(artifact: str, image: np.ndarray, scene: Scene) -> Iterator[tuple[str, str, float, int, float]]:
    """Yield whether the observer of `lesion_detected` finds each lesion in an image."""
    rows = scattered(scene.source_table)
    if not rows:
        return
    shown = -image if artifact in DARK else image
    try:
        scores, false = detections(shown, None, **{f.name: getattr(scene, f.name) for f in fields(scene)})
    except NotApplicable:
        return
    for lesion, found in zip(rows, detected(scores, false), strict=True):
        yield ("lesion_detected", *_about("", lesion), float(found))


def _support(folder: Path, chain: str, grid: Any) -> np.ndarray:
    """Return the voxels that a chain reconstructed: the mask of its last step that made one, else that of the scan."""
    steps = chain.split(".")
    for count in range(len(steps), 0, -1):
        made = folder / "chains" / ".".join(steps[:count])
        if (made / ARTIFACTS["mask"].file).is_file():
            return read(made, "mask", grid)
    return read(folder / "scan", "mask", grid)


def _at(image: np.ndarray, place: Sequence[float], grid: Any) -> float:
    """Return the value of an image at a place [mm], by trilinear interpolation."""
    index = np.linalg.inv(grid.affine) @ np.array([*place, 1.0])
    return float(ndimage.map_coordinates(image, index[:3, None], order=1, mode="nearest")[0])


def _places(labels: np.ndarray, mask: np.ndarray, named: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """Return the flat indices of places in the mask, without their border voxels unless few are left; no empty ones.

    Args:
        labels: (nx, ny, nz) int, index of the region of each voxel.
        mask: (nx, ny, nz) bool.
        named: indices of the regions of each place.
    """
    boxes, found = ndimage.find_objects(labels.astype(np.int32)), {}
    for name, indices in named.items():
        parts = [boxes[i - 1] for i in indices if i <= len(boxes) and boxes[i - 1] is not None]
        if not parts:
            continue
        box = tuple(
            slice(max(min(s.start for s in along) - 1, 0), max(s.stop for s in along) + 1)
            for along in zip(*parts, strict=True)
        )
        place = np.isin(labels[box], indices)
        within = inner(place)
        kept = (within if np.count_nonzero(within) >= FEWEST else place) & mask[box]
        if kept.any():
            at = np.nonzero(kept)
            shifted = tuple(i + s.start for i, s in zip(at, box, strict=True))
            found[name] = np.ravel_multi_index(shifted, labels.shape)
    return found


def _extent(lesion: Any, image: np.ndarray, mask: np.ndarray, grid: Any) -> Iterator[tuple[str, float]]:
    """Yield the apparent volume and the total χ of a lesion, in the part of the image around it."""
    size = np.array(grid.voxel_size)
    margin = np.ceil(12 / size).astype(int)
    box = tuple(
        slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(lesion.box, margin, image.shape, strict=True)
    )
    place = np.zeros(image.shape, bool)
    place[lesion.box] = lesion.own
    try:
        yield "apparent_volume", apparent(image[box], place[box], mask[box], grid).volume
        yield "total_chi", total_chi(image[box], place[box], mask[box], grid)
    except QsmbenchError:
        return


def _far_off(field: np.ndarray, true: np.ndarray, mask: np.ndarray) -> float:
    difference = (field - true)[mask]
    return 100 * float(np.mean(np.abs(difference - np.median(difference)) > FAR))
