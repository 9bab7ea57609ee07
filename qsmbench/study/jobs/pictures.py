"""Job: the results of all chains of a dataset → their pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.run.specs import PicturesSpec, ScoreSpec
from qsmbench.study.scoring import FAILED_CHAINS, Scan, finished
from qsmbench.view.picture import can_draw, draw
from qsmbench.view.volumes import save


def run(spec: PicturesSpec, out: Path) -> dict[str, Any]:
    """Draw the first product of each chain below `out`; return the reasons for missing pictures."""
    (out / "pictures").mkdir()
    not_drawn, failed = {}, {}
    scan: Scan | None = None
    for chain in finished(spec.scores):
        if not can_draw(chain.artifacts[0]):
            not_drawn[chain.chain] = f"{chain.artifacts[0]} has no colour scale"
            continue
        scan = scan or Scan(chain)  # all chains are of one
        try:
            save(picture(scan, chain), out / "pictures" / f"{chain.chain}.webp")
        except Exception as e:  # the pictures of the other chains are still drawn
            failed[chain.chain] = f"{type(e).__name__}: {e}"
    return {"not_drawn": not_drawn, FAILED_CHAINS: failed, "transient": bool(failed)}


def picture(scan: Scan, spec: ScoreSpec) -> Image.Image:
    """Draw truth, reconstruction and error of a chain's first product."""
    artifact = spec.artifacts[0]
    return draw(
        scan.estimate(spec, artifact),
        scan.truth(artifact),
        scan.study_mask,
        scan.params.grid,
        ARTIFACTS[artifact].unit,
        f"{spec.chain} · {spec.dataset}",
        artifact=artifact,
        support=scan.support(spec),
    )
