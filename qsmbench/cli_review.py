"""The verb `qsmbench review`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from qsmbench import supervise
from qsmbench.cli_show import console, plain
from qsmbench.errors import FailedError

if TYPE_CHECKING:
    from qsmbench.review.evaluate import Outcome
    from qsmbench.study.estimate import Estimate


def review(
    claim: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="claim to test, by id or number (qsmbench list claims); repeatable"),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="coarser voxels and fewer subjects")] = False,
    cores: Annotated[int, typer.Option(min=1, show_default="all", help="number of processors to use")] = (
        os.cpu_count() or 1
    ),
    results: Annotated[Path, typer.Option(help="folder for the studies and the page")] = Path("results/review"),
    plan: Annotated[bool, typer.Option("--plan", help="print what the studies will take; nothing is run")] = False,
    claims: Annotated[
        Path | None, typer.Option(help="YAML file of claims; by default those of configs/review/claims.yaml")
    ] = None,
) -> None:
    """Test the claims of a clinical review: run their studies, decide, and write one page.

    Claims share studies; up-to-date results are reused, so that a run that was stopped goes on. The page is written
    again after each study. It and the studies are in the subfolder quick or full of RESULTS. A verdict holds in this
    phantom only. See docs/review.md.

    The exit code is 4 if a study failed; the page shows why.
    """
    if not plan and not supervise.is_child():
        supervise.run_in_child(sys.argv[1:])
    from qsmbench.report.review import VERDICTS, write_review
    from qsmbench.review.claims import load_claims
    from qsmbench.review.lines import comparisons, line_of
    from qsmbench.review.perform import estimates, perform

    known = load_claims(claims)
    chosen = known.chosen(claim or ())
    scale = "quick" if quick else "full"
    folder = results / scale
    if plan:
        _print_plan(estimates(known, chosen, scale, folder, cores), cores)
        return
    size = known.scales[scale]  # type: ignore[index]
    most = f"{size.subjects} subjects of each arm and voxels of {size.voxel_size} mm"
    said = f"Studies of the scale {scale}: mostly {most}."
    for found in perform(known, chosen, scale, folder, cores=cores, note=_say):
        for outcome in found.new:
            _say(f"  {_verdict(outcome)}")
        lines, tables = [line_of(known, o, folder) for o in found.outcomes], comparisons(known, found.cells)
        so_far = "" if found.complete else " Not all studies have run yet."
        page = write_review(lines, folder, review=known.review, scale=said + so_far, tables=tables)
    for outcome in found.outcomes:
        _say(_verdict(outcome))
    counts = {v: sum(o.verdict == v for o in found.outcomes) for v in VERDICTS}
    _say(", ".join(f"{n} {v}" for v, n in counts.items() if n))
    _say(f"Page: {page.resolve()}")
    failed = [o for o in found.outcomes if o.verdict == "failed"]
    if failed:
        raise FailedError(
            f"review: {len(failed)} of {len(chosen)} claims failed ({failed[0].claim.id}: {failed[0].reason})"
        )


def _verdict(outcome: Outcome) -> str:
    effect = next((f"{p.quantity} {p.effect:.3g}" for p in outcome.parts), outcome.reason)
    return f"{outcome.claim.number:2d} {outcome.claim.id}: {outcome.verdict} ({effect})"


def _say(text: str) -> None:
    console.print(plain(text), soft_wrap=True)


def _print_plan(found: Iterable[tuple[str, Estimate]], cores: int) -> None:
    minutes = disk = 0.0
    for name, e in found:
        minutes, disk = minutes + e.seconds / 60, disk + e.disk / 1024
        what = f"{e.counts['scans']} scans, {e.seconds / 60:.0f} min, {e.disk / 1024:.1f} GiB of disk"
        console.print(f"{name}: {what}", soft_wrap=True)
    on = f"on {cores} core{'s' if cores > 1 else ''}"
    console.print(f"Roughly, {on}: {minutes:.0f} min, {disk:.1f} GiB of disk", soft_wrap=True)
