"""Maps against the truth: scores and pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from qsmbench.api.result import Result
from qsmbench.api.scan import Scan, Truth
from qsmbench.api.values import known, volume
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params
from qsmbench.errors import QsmbenchError
from qsmbench.study.reconstruct import rows
from qsmbench.view.picture import draw, draw_scan

if TYPE_CHECKING:
    import pandas as pd


def score(estimate: Any, truth: Truth | Scan, *, artifact: str | None = None, mask: Any = None) -> pd.DataFrame:
    """Score a map on the mask of the truth, with the same results as `qsmbench score`.

    Args:
        estimate: result of `reconstruct`, or your own (nx, ny, nz) array, in the unit of `artifact`.
        truth: of a scan, or a scan that has one.
        artifact: artifact to score; by default all products of the chain's last step, or chi for an array.
        mask: (nx, ny, nz), non-zero in reconstructed voxels of an array; by default its non-zero voxels.

    Returns:
        a row for each metric and region, as `metrics.score` returns them, with a column `artifact`.

    Raises:
        QsmbenchError: the map is not on the grid of the truth, is not scored, or the truth lacks it.

    Example:
        table = qb.score(chi, scan.truth).set_index("metric")
    """
    import pandas as pd

    true = _truth(truth)
    if isinstance(estimate, Result):
        if mask is not None:
            raise QsmbenchError("mask cannot be given with the result of a chain, which has its own mask")
        chosen = estimate.scored if artifact is None else (artifact,)
        return pd.concat(
            [_scored(_compared(estimate, true, a), true, estimate.chain) for a in chosen], ignore_index=True
        )
    artifact = known(artifact or "chi")
    return _scored(_compared(estimate, true, artifact, mask), true, "estimate")


def show(
    what: Any,
    truth: Truth | Scan | None = None,
    *,
    artifact: str | None = None,
    echo: int = 0,
    centre: tuple[int, int, int] | None = None,
) -> Image.Image:
    """Draw three planes, like the pictures of a study.

    Args:
        what: result of `reconstruct`, a scan (magnitude and phase), a truth, or an array (if `truth` is given).
        truth: to compare with; the picture then also shows the truth and the error.
        artifact: artifact to draw; by default the result's map, otherwise chi.
        echo: index of a scan's echo.
        centre: voxel that the planes pass through; by default one near the centre of the mask.

    Returns:
        an image that notebooks display; `.save("picture.png")` writes it.

    Raises:
        QsmbenchError: there is nothing to draw, an artifact has no colour scale, or a map is not on the truth's grid.

    Example:
        qb.show(chi, scan.truth).save("chi.png")
    """
    if isinstance(what, Scan) and truth is None and artifact is None:
        if not -len(what.te) <= echo < len(what.te):
            raise QsmbenchError(f"echo is {echo}; choose from 0…{len(what.te) - 1}")
        te = f"TE {1000 * what.te[echo]:.3g} ms"
        title = f"{what.name} · {te}"
        return draw_scan(
            what.phase, what.magnitude, what.mask, what.grid, title, echo=echo, centre=_voxel(centre, what)
        )
    if isinstance(what, Scan):
        what = _truth(what)
    true = None if truth is None else _truth(truth)
    if isinstance(what, Truth):
        name = known(artifact or "chi")
        shown = _Map(_map_of(what, name), what.mask, what.mask, None, what.params, name)
        title = f"true {name}"
    elif isinstance(what, Result):
        name = known(artifact or what.artifact)
        shown = _compared(what, true, name)
        title = f"{what.chain} · {what.scan}"
    elif true is not None:
        name = known(artifact or "chi")
        shown, title = _compared(what, true, name), name
    else:
        raise QsmbenchError(f"cannot draw {type(what).__name__} alone; give a result, a scan, or an array and a truth")
    return draw(
        shown.estimate,
        None if true is None else true.get(name),
        shown.study_mask,
        shown.params.grid,
        ARTIFACTS[name].unit,
        title,
        artifact=name,
        support=shown.support,
        centre=_voxel(centre, shown),
        names=("truth", "truth" if isinstance(what, Truth) else "reconstruction", "error"),
    )


@dataclass(frozen=True)
class _Map:
    """A map, its reconstructed voxels, its study mask, and the field that it was computed from, if any."""

    estimate: np.ndarray
    support: np.ndarray
    study_mask: np.ndarray
    field: np.ndarray | None
    params: Params
    artifact: str


def _scored(shown: _Map, truth: Truth, where: str) -> pd.DataFrame:
    """Return the scores of a map; `where` begins error messages."""
    found = {**truth.of(shown.artifact), "study_mask": shown.study_mask, "grid": shown.params.grid}
    given = {"estimate": shown.estimate, "support": shown.support, "field": shown.field}
    return rows({**found, "artifact": shown.artifact}, given, where, shown.params)


def _compared(estimate: Any, truth: Truth | None, artifact: str, mask: Any = None) -> _Map:
    """Return a map prepared for scoring and drawing, with its own voxels and those of the truth."""
    if isinstance(estimate, Result):
        values, support, field = _map_of(estimate, artifact), estimate.mask, estimate.field
        params = estimate.params
        if truth is not None and truth.grid.shape != values.shape[:3]:
            raise QsmbenchError(f"{artifact} has shape {values.shape}; the truth has {truth.grid.shape}")
        study_mask = support if truth is None else truth.mask
        return _Map(values, support & study_mask, study_mask, field, params, artifact)
    assert truth is not None
    within = None if mask is None else volume("mask", mask, truth.grid.shape)
    if within is None and np.asarray(estimate).dtype.kind == "f":  # what is not finite was not reconstructed
        estimate = np.nan_to_num(estimate, nan=0.0, posinf=0.0, neginf=0.0)
    values = volume(artifact, estimate, truth.grid.shape, mask=within)
    support = values != 0 if within is None else within
    if values.ndim == 4:
        support = support[..., 0] if support.ndim == 4 else support
    return _Map(values, support & truth.mask, truth.mask, None, truth.params, artifact)


def _map_of(maps: Result | Truth, artifact: str) -> np.ndarray:
    try:
        return maps[known(artifact)]
    except KeyError as e:
        raise QsmbenchError(str(e.args[0])) from e


def _truth(of: Any) -> Truth:
    """Return the truth of a truth or a scan."""
    found = of.truth if isinstance(of, Scan) else of
    if isinstance(found, Truth):
        return found
    if isinstance(of, Scan):
        raise QsmbenchError(f"{of.name}: has no truth; only simulated scans have one")
    raise QsmbenchError(f"truth is {type(of).__name__}; it must be the truth of a scan, such as scan.truth")


def _voxel(centre: Any, on: Any) -> tuple[int, int, int] | None:
    if centre is None:
        return None
    shape = on.params.grid.shape
    try:
        x, y, z = (int(c) for c in centre)
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"centre is {centre!r}; it must be three indices of a voxel") from e
    if not all(0 <= c < n for c, n in zip((x, y, z), shape, strict=True)):
        raise QsmbenchError(f"centre is {(x, y, z)}; the grid has {shape} voxels")
    return x, y, z
