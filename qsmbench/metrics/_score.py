"""All metrics of one reconstruction, on both supports, as a tidy table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import METRIC_COLUMNS as COLUMNS
from qsmbench.data.score_table import source_name
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.metrics._declaration import MARGIN, Metric, find, names
from qsmbench.metrics._once import frozen
from qsmbench.metrics._values import centred_values, cut_to_mask, scatter
from qsmbench.ops.arrays.box import Box, bounding_box

if TYPE_CHECKING:
    import pandas as pd

    from qsmbench.data.source_table import PlacedSource


LISTS = ("regions", "source_table", "vein_table")
"""Inputs that are missing if they are empty."""


def score(
    estimate: np.ndarray,
    support: np.ndarray,
    study_mask: np.ndarray,
    common: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    regions: Sequence[tuple[int, str, str]] = (),
    sources: np.ndarray | None = None,
    source_table: Sequence[PlacedSource] = (),
    *,
    grid: Grid,
    field: np.ndarray | None = None,
    vein_diameter: np.ndarray | None = None,
    vein_angle: np.ndarray | None = None,
    vein_name: np.ndarray | None = None,
    vein_table: Sequence[tuple[int, str, str]] = (),
    metrics: Iterable[str] | None = None,
    artifact: str = "chi",
    supports: Sequence[str] = ("study", "common"),
) -> pd.DataFrame:
    """Score a reconstruction on the study mask (`study`) and on the voxels that all methods reconstructed (`common`).

    On the study mask, voxels that the method did not reconstruct count as errors: the estimate is 0 there, so that the
    error is the truth itself. If the artifact is known up to a constant, the mean over its support is subtracted
    before. A metric that takes no mask (coverage, Dice) is scored once, as `study`. An undefined score is NaN, with the
    reason. An artifact that is not scored has no rows; see `not_scored`.

    Args:
        estimate: (nx, ny, nz) float32, in the unit of `artifact`, or bool for a mask.
        support: (nx, ny, nz) bool, voxels that the method reconstructed; for a mask, its voxels.
        study_mask: (nx, ny, nz) bool, the study mask.
        common: (nx, ny, nz) bool, voxels that all methods reconstructed; required for the support `common`.
        truth: as `estimate`, or None if unknown (real data).
        labels: (nx, ny, nz) integer, or None.
        regions: (index, name, group) of each label.
        sources: (nx, ny, nz) integer, index of the source in each voxel, or None.
        source_table: a row for each source.
        grid: of all volumes.
        field: (nx, ny, nz) float32, ppm of B0, the input field of the inversion.
        vein_diameter: (nx, ny, nz) mm, the true diameter of veins, 0 elsewhere, or None.
        vein_angle: (nx, ny, nz) degrees, the true angle of veins to B0, or None.
        vein_name: (nx, ny, nz) integer, number of the name of veins, or None.
        vein_table: (number, name, region) of each name.
        metrics: names of the metrics; by default all that can score `artifact`, those of sources only if there are any.
        artifact: name of the artifact that `estimate` is.
        supports: on which to score.

    Returns:
        one row per metric, region (or source) and support, with the columns `COLUMNS`.

    Raises:
        QsmbenchError: a volume is not on the grid, or a metric is unknown.
    """
    reference = Reference(
        study_mask,
        common,
        truth,
        labels,
        regions,
        sources,
        source_table,
        grid=grid,
        artifact=artifact,
        vein_diameter=vein_diameter,
        vein_angle=vein_angle,
        vein_name=vein_name,
        vein_table=vein_table,
    )
    return as_table(reference.rows(estimate, support, field, metrics=metrics, supports=supports))


def as_table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """Return rows of `Reference.rows` as a table."""
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})


class Reference:
    """Truth, masks and labels for scoring all maps of one artifact of a scan, prepared once.

    Args:
        study_mask, common, truth, labels, regions, sources, source_table, grid, artifact, vein_diameter, vein_angle,
            vein_name, vein_table: see `score`.

    Raises:
        QsmbenchError: a volume is not on the grid.
    """

    def __init__(
        self,
        study_mask: np.ndarray,
        common: np.ndarray | None = None,
        truth: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        regions: Sequence[tuple[int, str, str]] = (),
        sources: np.ndarray | None = None,
        source_table: Sequence[PlacedSource] = (),
        *,
        grid: Grid,
        artifact: str = "chi",
        vein_diameter: np.ndarray | None = None,
        vein_angle: np.ndarray | None = None,
        vein_name: np.ndarray | None = None,
        vein_table: Sequence[tuple[int, str, str]] = (),
    ) -> None:
        self.artifact, self.grid, self.regions = artifact, grid, list(regions)
        self.source_table, self.vein_table = list(source_table), list(vein_table)
        self._study_mask = _mask(study_mask)
        self._volumes = {
            "study_mask": self._study_mask,
            "common": None if common is None else _mask(common),
            "truth": truth,
            "labels": labels,
            "sources": sources,
            "vein_diameter": vein_diameter,
            "vein_angle": vein_angle,
            "vein_name": vein_name,
        }
        if not not_scored(artifact):
            _check_shapes(self._volumes, grid)
        self._cuts: dict[bool, _Cut] = {}

    def rows(
        self,
        estimate: np.ndarray,
        support: np.ndarray,
        field: np.ndarray | None = None,
        *,
        metrics: Iterable[str] | None = None,
        supports: Sequence[str] = ("study", "common"),
    ) -> list[dict[str, Any]]:
        """Score a map; see `score`.

        Returns:
            a row per metric, region and support, with the keys `COLUMNS`.

        Raises:
            QsmbenchError: a volume is not on the grid, or a metric is unknown.
        """
        if not_scored(self.artifact):
            return []
        given = {"estimate": estimate, "support": _mask(support), "field": field}
        _check_shapes(given, self.grid)
        if "common" in supports and self._volumes["common"] is None:
            raise QsmbenchError("common: the mask of the voxels that all methods reconstructed is required")
        fitting = (n for n in names() if find(n).can_score(self.artifact))
        if not self.source_table:
            fitting = (n for n in fitting if "source_table" not in find(n).consumes)
        chosen = [find(n) for n in (fitting if metrics is None else metrics)]
        rows: list[dict[str, Any]] = []
        for where in supports:
            maps: dict[bool, _Map] = {}
            for m in chosen:
                if where == "study" or "mask" in m.consumes:
                    if m.local not in maps:
                        maps[m.local] = _Map(self._cut(local=m.local), where, given)
                    rows += [{"metric": m.name, "support": where, **row} for row in _rows(m, maps[m.local])]
        return rows

    def _cut(self, *, local: bool) -> _Cut:
        """Return the volumes cropped around the study mask, or the whole volumes."""
        if local not in self._cuts:
            box: Box = (slice(None), slice(None), slice(None))
            if local and self._study_mask.any():
                box = bounding_box(self._study_mask, MARGIN)
            self._cuts[local] = _Cut(self, self._volumes, box)
        return self._cuts[local]


def _check_shapes(volumes: Mapping[str, np.ndarray | None], grid: Grid) -> None:
    for name, volume in volumes.items():
        if volume is not None and volume.shape != grid.shape:
            raise QsmbenchError(f"{name}: shape {volume.shape} differs from the grid's {grid.shape}")


class _Cut:
    """A box of the reference volumes.

    Attributes:
        grid: of the box.
        masks: the voxels to score, by support.
        volumes: study_mask, labels, sources, what is known of veins, and (unprepared) truth, read-only.
    """

    def __init__(self, reference: Reference, volumes: Mapping[str, np.ndarray | None], box: Box) -> None:
        self.artifact, self.regions, self.box = reference.artifact, reference.regions, box
        self.source_table, self.vein_table = reference.source_table, reference.vein_table
        self.grid = _within(reference.grid, box)
        self.volumes = {name: self.take(volume) for name, volume in volumes.items()}
        study_mask, common = self.volumes["study_mask"], self.volumes.pop("common")
        self.masks = {"study": study_mask}
        if common is not None:
            self.masks["common"] = frozen(common & study_mask)
        if ARTIFACTS[self.artifact].is_mask and self.volumes["truth"] is not None:
            self.volumes["truth"] = frozen(_mask(self.volumes["truth"]))
        self._truths: dict[tuple[str, bool], np.ndarray | None] = {}

    def take(self, volume: np.ndarray | None) -> Any:
        """Return the box of a volume, read-only."""
        if volume is None:
            return None
        box = volume[self.box]
        return frozen(box if box.shape == volume.shape else np.array(box, order="C"))

    def truth(self, where: str, centred: bool | None) -> np.ndarray | None:
        """Return the truth prepared as `Metric.centres` requires."""
        truth = self.volumes["truth"]
        if truth is None or centred is None:
            return truth
        if (where, centred) not in self._truths:
            self._truths[where, centred] = frozen(cut_to_mask(truth, self.masks[where], centred=centred))
        return self._truths[where, centred]


class _Map:
    """A box of one map on one support, prepared for the metrics."""

    def __init__(self, cut: _Cut, where: str, given: Mapping[str, Any]) -> None:
        self.cut, self.where, self.mask = cut, where, cut.masks[where]
        self.field = cut.take(given["field"])
        self.support = frozen(cut.take(given["support"]) & cut.volumes["study_mask"])
        estimate, row = cut.take(given["estimate"]), ARTIFACTS[cut.artifact]
        filled = _mask(estimate) if row.is_mask else _filled(estimate, self.support, self.mask, own_zero=row.own_zero)
        self._estimates: dict[bool | None, np.ndarray] = {None: frozen(filled)}

    def arguments(self, m: Metric) -> dict[str, Any]:
        """Return the inputs of the metric.

        Raises:
            NotApplicable: it cannot score the artifact, or an input is missing.
        """
        cut = self.cut
        if not m.can_score(cut.artifact):
            raise NotApplicable(f"scores {', '.join(m.artifacts) or 'maps'}, not {cut.artifact}")
        available = {
            **cut.volumes,
            "estimate": self._estimates[None],
            "mask": self.mask,
            "support": self.support,
            "regions": list(cut.regions),
            "source_table": list(cut.source_table),
            "vein_table": list(cut.vein_table),
            "field": self.field,
            "grid": cut.grid,
        }
        missing = [n for n in m.consumes if available[n] is None or (n in LISTS and not available[n])]
        if missing:
            name = missing[0].replace("_", " ")
            raise NotApplicable(f"there are no {name}" if name.endswith("s") else f"there is no {name}")
        if "mask" in m.consumes and not self.mask.any():
            raise NotApplicable("the mask is empty")
        centred = m.centres(cut.artifact)
        taken = {n: available[n] for n in m.consumes}
        if "estimate" in taken:
            taken["estimate"] = self._estimate(centred)
        if "truth" in taken:
            taken["truth"] = cut.truth(self.where, centred)
        return taken

    def _estimate(self, centred: bool | None) -> np.ndarray:
        if centred not in self._estimates:
            self._estimates[centred] = frozen(cut_to_mask(self._estimates[None], self.mask, centred=bool(centred)))
        return self._estimates[centred]


def _within(grid: Grid, box: Box) -> Grid:
    """Return the grid of a box of a volume on `grid`."""
    ends = [s.indices(n)[:2] for s, n in zip(box, grid.shape, strict=True)]
    return grid.part([start for start, _ in ends], [stop - start for start, stop in ends])


def not_scored(artifact: str) -> str | None:
    """Return the reason why an artifact is not scored; None if it is scored."""
    row = ARTIFACTS[artifact]
    if row.truth == "never":
        return row.unscored or "a simulation has no truth for it"
    return row.unscored or None


def _mask(volume: np.ndarray) -> np.ndarray:
    return np.asarray(volume) != 0


def _filled(estimate: np.ndarray, support: np.ndarray, mask: np.ndarray, *, own_zero: bool) -> np.ndarray:
    """Return the estimate in its support, and 0 elsewhere.

    If it is known up to a constant and does not cover the mask, it is taken relative to the mean of its support, since
    0 would otherwise be arbitrary.
    """
    have = support & mask
    if not have.any():
        return np.zeros_like(estimate)
    if own_zero or np.array_equal(have, mask):
        return np.where(support, estimate, 0)  # as it is, so that the truth scores exactly 0
    return scatter(centred_values(estimate, have), have)


def _rows(m: Metric, taken: _Map) -> Iterator[dict[str, Any]]:
    """Yield the rows of one metric on one support: a single row, or one per region."""
    unit = m.unit_of(taken.cut.artifact)
    try:
        result = m.function(**taken.arguments(m))
    except NotApplicable as e:
        yield {"region": "", "value": np.nan, "unit": unit, "reason": str(e)}
        return
    except Exception as e:  # a metric may raise anything; the others are still scored
        reason = " ".join(f"failed: {type(e).__name__}: {e}".split())
        yield {"region": "", "value": np.nan, "unit": unit, "reason": reason}
        return
    if not isinstance(result, dict):
        yield {"region": "", "unit": unit, **_checked(result, "the value is not finite")}
        return
    if m.per == "source":
        for index, value in result.items():
            checked = _checked(value, "the source has no voxel that was reconstructed")
            yield {"region": source_name(int(index)), "unit": unit, **checked}
        return
    by_name: dict[Any, float] = {**result}
    regions, none = [name for _, name, _ in taken.cut.regions], "the region has no voxel in the mask"
    if "regions" not in m.consumes:  # the metric has groups of its own
        regions, none = list(by_name), "nothing of it is in the mask"
    for name in regions:
        value = by_name.get(name, np.nan)
        yield {"region": name, "unit": unit, **_checked(value, none)}


def _checked(value: float, reason: str) -> dict[str, Any]:
    finite = bool(np.isfinite(value))
    return {"value": float(value) if finite else np.nan, "reason": "" if finite else reason}
