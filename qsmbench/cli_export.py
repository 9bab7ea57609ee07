"""The verbs `qsmbench export …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmbench.cli_show import console, plain

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Write scans, methods and results in the formats of others."
)


@app.command("qsm-ci", epilog="[bold]Example:[/bold] qsmbench export qsm-ci scan qsm-ci-scan")
def qsm_ci(
    simulation: Annotated[Path, typer.Argument(help="folder written by `simulate`; or a scan, with --truth")],
    out: Annotated[Path, typer.Argument(help="output folder")],
    truth: Annotated[Path | None, typer.Option(help="folder of the truth, if it is not in SIMULATION")] = None,
) -> None:
    """Write a simulated scan for QSM-CI: its inputs, and its truth with QSM-CI's label numbers.

    Then, for example: qsm-ci run METHOD --localfield OUT/groundtruth/localfield.nii.gz --mask OUT/inputs/mask.nii.gz
    --params OUT/inputs/params.json --truth OUT/groundtruth/chimap.nii.gz --seg OUT/groundtruth/dseg.nii.gz
    """
    from qsmbench.export.qsm_ci import export

    for folder in export(simulation, out, note=console.print, truth=truth):
        console.print(f"Written: {plain(folder.resolve())}", soft_wrap=True)


@app.command("folder", epilog="[bold]Example:[/bold] qsmbench export folder romeo.fit.vsharp.tv my-submission")
def folder(
    chain: Annotated[str, typer.Argument(help="a built-in method, or built-in methods joined by dots")],
    out: Annotated[Path, typer.Argument(help="output folder; it must not exist")],
) -> None:
    """Write a built-in method as a folder that follows the QSM-CI contract: algorithm.yml, run.sh and Dockerfile."""
    from qsmbench.export.folder import export

    for file in export(chain, out):
        console.print(f"Written: {plain(file.resolve())}", soft_wrap=True)


@app.command("bids", epilog="[bold]Example:[/bold] qsmbench export bids results/quick derivatives")
def bids(
    results: Annotated[Path, typer.Argument(help="folder of a study, or folder written by `reconstruct`")],
    out: Annotated[Path, typer.Argument(help="output folder; it must not exist")],
) -> None:
    """Write reconstructions as BIDS derivatives, one dataset per chain: χ in ppm, R2* in 1/s, fields in Hz."""
    from qsmbench.export.bids import export

    for folder in export(results, out, note=console.print):
        console.print(f"Written: {plain(folder.resolve())}", soft_wrap=True)
