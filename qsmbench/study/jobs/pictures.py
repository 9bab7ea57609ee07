"""Job: the results of all chains of a dataset → their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.run.specs import PicturesSpec, ScoreSpec
from qsmbench.study.scoring import Reconstruction, finished, load_truth
from qsmbench.view.picture import can_draw, draw


def run(spec: PicturesSpec, out: Path) -> dict[str, Any]:
    """Draw the first product of each chain below `out`; return what was not drawn, and why."""
    (out / "pictures").mkdir()
    left_out = {}
    for score in finished(spec.scores):
        if can_draw(score.artifacts[0]):
            picture(score, out / "pictures" / f"{score.chain}.webp")
        else:
            left_out[score.chain] = f"{score.artifacts[0]} has no colour scale"
    return {"not_drawn": left_out}


def picture(spec: ScoreSpec, path: Path) -> None:
    """Draw truth, reconstruction and error of a chain's first product."""
    artifact = spec.artifacts[0]
    reconstruction = Reconstruction.load(spec, artifact)
    draw(
        reconstruction.estimate,
        load_truth(spec, artifact, reconstruction.params)["truth"],
        reconstruction.study_mask,
        reconstruction.params.grid,
        ARTIFACTS[artifact].unit,
        path,
        f"{spec.chain} · {spec.dataset}",
        artifact=artifact,
        support=reconstruction.support,
    )
