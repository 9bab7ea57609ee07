"""Job: the results of all chains of a dataset → their pictures, and volumes to look through in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import CONTROLS, is_fed
from qsmbench.run.specs import PicturesSpec, ScoreSpec
from qsmbench.study.scoring import FAILED_CHAINS, Scan, finished
from qsmbench.view.packed import (
    VOLUMES,
    pack_labels,
    pack_map,
    packed_chain,
    packed_regions,
    packed_truth,
    write_packed,
)
from qsmbench.view.picture import can_draw, draw, first_echo
from qsmbench.view.scales import reference_mean, widening
from qsmbench.view.volumes import save


def run(spec: PicturesSpec, out: Path) -> dict[str, Any]:
    """Draw the first product of each chain below `out`, and pack it; return the reasons for missing pictures."""
    (out / "pictures").mkdir()
    (out / VOLUMES).mkdir()
    not_drawn, failed = {}, {}
    scan: Scan | None = None
    for chain in finished(spec.scores):
        if not can_draw(chain.artifacts[0]):
            not_drawn[chain.chain] = f"{chain.artifacts[0]} has no colour scale"
            continue
        scan = scan or Scan(chain)  # all chains are of one
        try:
            save(picture(scan, chain), out / "pictures" / f"{chain.chain}.webp")
            if spec.volumes and chain.chain not in CONTROLS and not is_fed(chain.chain):
                _pack(scan, chain, out / VOLUMES)
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


def _pack(scan: Scan, spec: ScoreSpec, folder: Path) -> None:
    """Write a chain's first product for a browser; with the first of its kind, also the truth and the regions."""
    artifact, mask, grid = spec.artifacts[0], scan.study_mask, scan.params.grid
    estimate, support, truth = first_echo(scan.estimate(spec, artifact)), scan.support(spec), scan.truth(artifact)
    truth = None if truth is None else first_echo(truth)
    own = mask | (estimate != 0) if ARTIFACTS[artifact].is_mask else support
    packed = pack_map(estimate, artifact, own, mask, grid, reference_mean(truth, own, mask, artifact))
    write_packed(packed_chain(folder, artifact, spec.chain), packed)
    true, regions = packed_truth(folder, artifact), packed_regions(folder)
    if truth is not None and not true.is_file():
        packed = pack_map(truth, artifact, mask, mask, grid)
        write_packed(true, packed, widening=widening(truth, mask, artifact))
    if scan.labels is not None and not regions.is_file():
        write_packed(regions, pack_labels(scan.labels, mask, grid), names={i: name for i, name, _ in scan.regions})
