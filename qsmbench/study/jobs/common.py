"""Job: the common voxels of all chains of a dataset, and every chain's scores on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.analysis.attribution import ATTRIBUTION, attribution_rows
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.volumes import save_volume
from qsmbench.metrics import Reference, not_scored
from qsmbench.run.specs import CommonSpec, ScoreSpec
from qsmbench.study.scoring import FAILED_CHAINS, Scan, finished, named, write_table


def run(spec: CommonSpec, out: Path) -> dict[str, Any]:
    """Write the table and the mask of the common voxels below `out`; return the chains that failed."""
    chains = [s for s in finished(spec.scores) if any(map(_is_scored_map, s.artifacts))]
    rows, failed = scored(chains, out / "common.nii.gz")
    rows += attributed(chains, spec.attribution)
    write_table(out / "common.parquet", rows)
    return {FAILED_CHAINS: failed, "transient": bool(failed)}


def attributed(specs: list[ScoreSpec], attribution: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """Divide the errors of chains among their stages, and describe where they lie.

    Args:
        specs: of the chains that have a result, all of one scan.
        attribution: for each chain, the chain that is fed the truth through each stage; see `stages.fed`.

    Returns:
        rows with the columns of a study's table; a chain without one of the results has a row with the reason.
    """
    by_chain = {s.chain: s for s in specs}
    rows: list[dict[str, Any]] = []
    for chain, fed in attribution.items():
        spec = by_chain.get(chain)
        if spec is None:
            continue
        missing = [c for c in fed.values() if c and c not in by_chain]
        if missing:
            reason = f"{missing[0]} has no result"
            row = {"metric": ATTRIBUTION, "region": "", "support": "study", "value": np.nan, "unit": "%"}
            rows += named(spec, "chi", [{**row, "reason": reason}])
            continue
        scan = Scan(spec)
        maps = [(scan.estimate(s, "chi"), scan.support(s)) for s in (spec, *(by_chain[c] for c in fed.values() if c))]
        rows += named(spec, "chi", attribution_rows(maps, list(fed), scan.reference("chi")))
    return rows


def _is_scored_map(artifact: str) -> bool:
    """Whether chains that end in an artifact determine the common voxels."""
    return not not_scored(artifact) and not ARTIFACTS[artifact].is_mask


def scored(specs: list[ScoreSpec], mask_file: Path) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Score all chains on their common voxels, and write these as a mask.

    Args:
        specs: of chains that have a result, all of one scan.
        mask_file: NIfTI file to write.

    Returns:
        rows: with the columns of a study's table.
        failed: chains that could not be read or scored, with the reason; they are ignored for the common voxels.
    """
    rows: list[dict[str, Any]] = []
    failed: dict[str, str] = {}
    if not specs:
        return rows, failed
    scan = Scan(specs[0])
    shared, readable = _shared(scan, specs, failed)
    if shared is None:
        return rows, failed
    save_volume(mask_file, shared, scan.params.grid.affine)
    references: dict[str, Reference] = {}
    for spec in readable:
        try:
            rows += _on_common(scan, spec, references, shared)
        except Exception as e:
            failed[spec.chain] = f"{type(e).__name__}: {e}"
    return rows, failed


def _shared(scan: Scan, specs: list[ScoreSpec], failed: dict[str, str]) -> tuple[np.ndarray | None, list[ScoreSpec]]:
    """Return the voxels reconstructed by all chains whose masks can be read, and these chains."""
    shared, readable = None, []
    for spec in specs:
        try:
            support = scan.support(spec)
        except Exception as e:
            failed[spec.chain] = f"{type(e).__name__}: {e}"
            continue
        shared = support if shared is None else shared & support
        readable.append(spec)
    return shared, readable


def _on_common(
    scan: Scan, spec: ScoreSpec, references: dict[str, Reference], shared: np.ndarray
) -> list[dict[str, Any]]:
    """Return the scores of a chain's maps on the common voxels; `references` caches the prepared truth."""
    rows = []
    for artifact in filter(_is_scored_map, spec.artifacts):
        given = scan.reconstruction(spec, artifact)
        if artifact not in references:
            references[artifact] = Reference(**scan.reference(artifact), common=shared)
        rows += named(spec, artifact, references[artifact].rows(**given, supports=("common",)))
    return rows
