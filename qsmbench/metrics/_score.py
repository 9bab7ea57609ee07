"""All metrics of one reconstruction, on both supports, as a tidy table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import METRIC_COLUMNS as COLUMNS
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.metrics._declaration import Metric, apply_centring, find, names
from qsmbench.metrics._values import centred_values, scatter

if TYPE_CHECKING:
    import pandas as pd


def score(
    estimate: np.ndarray,
    support: np.ndarray,
    study_mask: np.ndarray,
    common: np.ndarray | None = None,
    truth: np.ndarray | None = None,
    labels: np.ndarray | None = None,
    regions: Sequence[tuple[int, str, str]] = (),
    *,
    grid: Grid,
    field: np.ndarray | None = None,
    metrics: Iterable[str] | None = None,
    artifact: str = "chi",
    supports: Sequence[str] = ("study", "common"),
) -> pd.DataFrame:
    """Score a reconstruction on the study mask (`study`) and on the voxels that all methods share (`common`).

    On the study mask, the voxels that the method did not reconstruct count as errors: the estimate holds 0 there, after
    it was taken relative to the mean of its own support if the artifact is known up to a constant, so that the error is
    the truth itself. A metric that takes no mask (coverage, Dice) is scored once, as `study`. A score that is undefined
    is NaN, with its reason. An artifact that is not scored has no rows; see `not_scored`.

    Args:
        estimate: (nx, ny, nz) float32, in the unit of `artifact`, or bool if that is a mask.
        support: (nx, ny, nz) bool, voxels that the method reconstructed; of a mask, what it holds.
        study_mask: (nx, ny, nz) bool, voxels that the study asks for.
        common: (nx, ny, nz) bool, voxels that all methods reconstructed; needed for the support `common`.
        truth: as `estimate`, or None where there is none (real data).
        labels: (nx, ny, nz) integer, or None.
        regions: (index, name, group) of each label.
        grid: the grid of all of them.
        field: (nx, ny, nz) float32, ppm of B0, the field that the inversion was fed.
        metrics: names of the metrics; by default all that can score `artifact`.
        artifact: what `estimate` is.
        supports: on which to score.

    Returns:
        one row per metric, region and support, with the columns `COLUMNS`.

    Raises:
        QsmbenchError: a volume is not on the grid, or a metric is unknown.
    """
    if not_scored(artifact):
        return _frame([])
    volumes: dict[str, Any] = {
        "estimate": estimate,
        "support": _mask(support) & _mask(study_mask),
        "study_mask": _mask(study_mask),
        "common": None if common is None else _mask(common),
        "truth": truth,
        "labels": labels,
        "field": field,
    }
    for name, volume in volumes.items():
        if volume is not None and volume.shape != grid.shape:
            raise QsmbenchError(f"{name}: shape {volume.shape} differs from the grid's {grid.shape}")
    if "common" in supports and common is None:
        raise QsmbenchError("common: the mask of the voxels that all methods reconstructed is needed to score on it")
    fitting = (n for n in names() if find(n).can_score(artifact))
    chosen = [find(n) for n in (fitting if metrics is None else metrics)]
    rows: list[dict[str, Any]] = []
    for where in supports:
        mask = volumes["study_mask"] if where == "study" else volumes["common"] & volumes["study_mask"]
        available = {**volumes, "grid": grid, "regions": list(regions), "mask": mask}
        available |= _maps(artifact, estimate, truth, volumes["support"], mask)
        here = [m for m in chosen if where == "study" or "mask" in m.consumes]
        rows += [{"support": where, **row} for row in _on_support(here, available, artifact)]
    return _frame(rows)


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"value": float})


def not_scored(artifact: str) -> str | None:
    """Return why an artifact is not scored, in words; None if it is."""
    row = ARTIFACTS[artifact]
    if row.truth == "never":
        return row.unscored or "a simulation holds no truth of it"
    return row.unscored or None


def _mask(volume: np.ndarray) -> np.ndarray:
    return np.asarray(volume) != 0


def _maps(
    artifact: str, estimate: np.ndarray, truth: np.ndarray | None, support: np.ndarray, mask: np.ndarray
) -> dict[str, np.ndarray | None]:
    """Return the estimate and the truth, the voxels that were not reconstructed filled."""
    if ARTIFACTS[artifact].is_mask:
        return {"estimate": _mask(estimate), "truth": None if truth is None else _mask(truth)}
    return {"estimate": _filled(estimate, support, mask, own_zero=ARTIFACTS[artifact].own_zero), "truth": truth}


def _filled(estimate: np.ndarray, support: np.ndarray, mask: np.ndarray, *, own_zero: bool) -> np.ndarray:
    """Return the estimate in its support, and 0 elsewhere.

    If it has no zero of its own and leaves voxels of the mask out, it is relative to the mean of its support: else 0
    would mean nothing.
    """
    have = support & mask
    if not have.any():
        return np.zeros_like(estimate)
    if own_zero or np.array_equal(have, mask):
        return np.where(support, estimate, 0)  # as it is, so that the truth scores exactly 0
    return scatter(centred_values(estimate, have), have)


def _on_support(chosen: Sequence[Metric], available: dict[str, Any], artifact: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of all metrics on one support. Metrics that take the maps alike share them: they are large."""
    ready: dict[bool | None, dict[str, Any]] = {}
    for m in chosen:
        centred = m.centres(artifact) if available["mask"].any() else None
        if centred not in ready:
            ready[centred] = apply_centring(available, centred)
        yield from ({"metric": m.name, **row} for row in _rows(m, ready[centred], artifact))


def _rows(m: Metric, available: dict[str, Any], artifact: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one metric on one support: one, or one per region."""
    unit = m.unit_of(artifact)
    try:
        result = m.function(**_arguments(m, available, artifact))
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
    for _, name, _ in available["regions"]:
        value = result.get(name, np.nan)
        yield {"region": name, "unit": unit, **_checked(value, "the region has no voxel in the mask")}


def _arguments(m: Metric, available: dict[str, Any], artifact: str) -> dict[str, Any]:
    """Return what the metric consumes.

    Raises:
        NotApplicable: the artifact is not its, or something is missing.
    """
    if not m.can_score(artifact):
        raise NotApplicable(f"scores {', '.join(m.artifacts) or 'maps'}, not {artifact}")
    missing = [n for n in m.consumes if available[n] is None or (n == "regions" and not available[n])]
    if missing:
        name = missing[0].replace("_", " ")
        raise NotApplicable(f"there are no {name}" if name.endswith("s") else f"there is no {name}")
    if "mask" in m.consumes and not available["mask"].any():
        raise NotApplicable("the mask is empty")
    return {n: available[n] for n in m.consumes}


def _checked(value: float, reason: str) -> dict[str, Any]:
    finite = bool(np.isfinite(value))
    return {"value": float(value) if finite else np.nan, "reason": "" if finite else reason}
