"""A submitted method, run on a scan: isolated, within limits, on a copy of what participants have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from qsmbench.challenge.check import Map
from qsmbench.challenge.entries import MINE, PYTHON_FILE, About, Refused, told
from qsmbench.data.folders import Params, present, read, read_json
from qsmbench.data.score_table import CONTROLS, FED
from qsmbench.errors import FailedError, QsmbenchError
from qsmbench.run import chains, registry
from qsmbench.run.chains import Limits, Use
from qsmbench.run.specs import ScoreSpec
from qsmbench.study.reconstruct import CHAIN_FILE, reconstruct

BEFORE = {"local_field": f"romeo.fit.vsharp.{MINE}", "total_field": f"romeo.fit.{MINE}", "unwrapped": f"romeo.{MINE}"}
"""Chain of a submission that states none, by what its method needs; one that starts from the phase is a chain alone."""


def method_path(staged: Path, kind: str) -> str:
    """Return the path of a submitted method."""
    return str(staged / PYTHON_FILE if kind == "python" else staged)


def chain_of(staged: Path, kind: str, about: About, limits: Limits) -> str:
    """Return the chain in which a submitted method runs.

    Raises:
        Refused: the method cannot be loaded, or its chain holds something else than it and built-in methods, or does
            not give χ.
    """
    path = method_path(staged, kind)
    try:
        found = registry.describe(path, container=limits.container)
    except QsmbenchError as e:
        raise Refused(told(e, staged)) from e
    if found.broken:
        raise Refused(told(FailedError(found.broken), staged))
    needed = [n for n in BEFORE if n in found.consumes and n not in found.optional]
    chain = about.chain or (BEFORE[needed[0]] if needed else MINE)
    names = chain.split(".")
    if names.count(MINE) != 1:
        raise Refused(f"chain is {chain!r}; it must hold {MINE} once, which stands for the submitted method")
    for name in names:
        if name in (*CONTROLS, *FED, "noisy"):
            raise Refused(f"chain is {chain!r}; {name} gives what a scan does not have")
        if name != MINE and not registry.is_own(name):
            raise Refused(f"chain is {chain!r}; {name} is not a built-in method")
    try:
        steps = chains.steps(
            chain,
            lambda n: Use(path if n == MINE else n),
            describe=lambda n: registry.describe(n, container=limits.container),
        )
    except QsmbenchError as e:
        raise Refused(told(e, staged)) from e
    last = steps[-1].method
    if not last.broken and "chi" not in last.produces:
        raise Refused(f"chain is {chain!r}, which gives {', '.join(last.produces)}; it must give chi")
    return chain


def perform(
    staged: Path,
    kind: str,
    chain: str,
    scan: Path,
    params: Params,
    mask: np.ndarray,
    work: Path,
    *,
    limits: Limits,
    hidden: Sequence[Path],
) -> Map:
    """Run a submitted method on a scan; return its map.

    Args:
        staged: the copied submission.
        kind: folder or python.
        chain: from `chain_of`.
        scan: folder of the scan, without truth beside it.
        params: of the scan.
        mask: (nx, ny, nz) bool, of the scan.
        work: folder to write.
        limits: of each step.
        hidden: folders that it must not see.

    Raises:
        Refused: it failed, or what it gave is not a map.
    """
    methods = {MINE: method_path(staged, kind)}
    try:
        reconstruct(chain, scan, work, methods=methods, limits=limits, note=lambda _: None, hidden=hidden)
        spec = ScoreSpec.from_json(read_json(work / CHAIN_FILE), CHAIN_FILE)
        chi = read(work, "chi", params.grid)
        place = work / spec.support
        support = read(place, "mask", params.grid) & mask if "mask" in present(place) else mask
    except QsmbenchError as e:
        raise Refused(told(e, staged, work)) from e
    if not (chi[support] != 0).any():
        raise Refused("its map has no voxel other than 0 in the mask of the scan")
    return Map(np.where(mask, chi, 0).astype(np.float32), chi.astype(np.float32), support, [])
