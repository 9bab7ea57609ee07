"""The verbs `qsmbench challenge …`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from qsmbench.cli_show import console, plain
from qsmbench.errors import ExitCode, QsmbenchError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Run a challenge with secret subjects: new, pack, verify, score, board, reveal. See docs/challenge.md.",
)

PrivateFolder = Annotated[Path, typer.Argument(metavar="PRIVATE", help="folder written by `challenge new`")]
Container = Annotated[str, typer.Option(help="where submitted methods run: bubblewrap, docker, podman or apptainer")]


def _note(text: str) -> None:
    console.print(plain(text), soft_wrap=True)


@app.command(epilog="[bold]Example:[/bold] qsmbench challenge new spring.yaml private")
def new(
    config: Annotated[Path, typer.Argument(help="YAML file of the challenge")],
    out: Annotated[Path, typer.Argument(help="private folder to write; only you may read it")],
    nonce: Annotated[
        Path | None, typer.Option(help="file with a published nonce, to make a challenge again; by default a new one")
    ] = None,
) -> None:
    """Draw a nonce, simulate the secret subjects, and write the commitment to publish."""
    from qsmbench.challenge.make import new as make

    found = make(config, out, nonce=nonce, note=_note)
    console.print(f"Private: {plain(out.resolve())}; keep it secret, and keep it", soft_wrap=True)
    console.print(f"Commitment: {found}; publish it before the inputs", soft_wrap=True)


@app.command(epilog="[bold]Example:[/bold] qsmbench challenge pack private inputs --bids")
def pack(
    private: PrivateFolder,
    out: Annotated[Path, typer.Argument(help="folder to write, for participants")],
    bids: Annotated[bool, typer.Option("--bids", help="as a BIDS dataset, instead of folders of artifacts")] = False,
) -> None:
    """Write the inputs for participants: no truth, and nothing that reveals it, with checksums."""
    from qsmbench.challenge.make import read_private
    from qsmbench.challenge.pack import pack as write

    scans = write(read_private(private), out, bids=bids)
    console.print(f"Inputs: {plain(out.resolve())}, {len(scans)} scans", soft_wrap=True)


@app.command(
    epilog="[bold]Example:[/bold] qsmbench challenge verify mine --inputs inputs\n\n"
    "[bold]qsmbench challenge verify revealed --commitment commitment.json --simulate[/bold]"
)
def verify(
    folder: Annotated[Path, typer.Argument(help="a submission; or with --commitment, what was revealed")],
    inputs: Annotated[Path | None, typer.Option(help="the inputs of the challenge")] = None,
    commitment: Annotated[
        Path | None, typer.Option(help="commitment.json, as it was published before the truth")
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="with --commitment: simulate all scans again from the nonce")
    ] = False,
    no_run: Annotated[bool, typer.Option("--no-run", help="do not run a submitted method, only load it")] = False,
    container: Container = "bubblewrap",
) -> None:
    """Check a submission before it is sent, or check that a revealed truth is the one that was promised.

    A submission needs no truth: names, grids, values and finiteness are checked, and the field that a map would cause
    is compared with the phase, which reveals a wrong unit, sign or axis. The exit code is 1 if it would be refused.
    """
    if (inputs is None) == (commitment is None):
        raise QsmbenchError("give one of --inputs (for a submission) and --commitment (for a revealed truth)")
    if commitment is not None:
        from qsmbench.challenge.reveal import verify_commitment

        found = verify_commitment(folder, commitment, simulate=simulate, note=_note)
        console.print(f"As promised: {found}", soft_wrap=True)
        return
    from qsmbench.challenge.verify import verify as look
    from qsmbench.run.chains import Limits

    assert inputs is not None
    limits, refused = Limits(3600, container=container), False  # type: ignore[arg-type]  # the registry checks it
    for name, reason, notes in look(folder, inputs, limits, run=not no_run):
        refused = refused or bool(reason)
        start = f"{name}: " if name else ""
        _note(f"{start}{f'refused: {reason}' if reason else 'accepted' if name else ''}".rstrip() or "method")
        for text in notes if not reason else ():
            _note(f"{start}note: {text}")
    if refused:
        raise typer.Exit(ExitCode.WORSE)


@app.command(epilog="[bold]Example:[/bold] qsmbench challenge score private submissions")
def score(
    private: PrivateFolder,
    submissions: Annotated[
        Path,
        typer.Argument(help="folder with a folder for each submission, and perhaps received.csv"),
    ],
    container: Container = "bubblewrap",
    force: Annotated[bool, typer.Option("--force", help="score again what has not changed")] = False,
) -> None:
    """Score all submissions: maps, or methods, which run isolated and see neither truth nor other submissions.

    The exit code is 4 if some submission has no score on some scan; the others are scored all the same.
    """
    from qsmbench.challenge.make import read_private
    from qsmbench.challenge.score import outcome_of
    from qsmbench.challenge.score import score as run

    found = run(private, submissions, container=container, force=force, note=_note)  # type: ignore[arg-type]
    scans = list(read_private(private).entries)
    whole = [r for r in found if not any(outcome_of(private, r, name).reason for name in scans)]
    console.print(f"{len(whole)} of {len(found)} submissions have a score on all {len(scans)} scans", soft_wrap=True)
    if len(whole) < len(found):
        raise typer.Exit(ExitCode.FAILED)


@app.command(epilog="[bold]Example:[/bold] qsmbench challenge board private board")
def board(
    private: PrivateFolder,
    out: Annotated[Path, typer.Argument(help="folder to write: index.html, board.csv and a page for each submission")],
    freeze: Annotated[bool, typer.Option("--freeze", help="freeze the ranking now, without waiting")] = False,
) -> None:
    """Write the board: ranks with their intervals, ties, and what is not ranked. After the deadline it is frozen."""
    from collections import Counter

    from qsmbench.challenge.board import board as write
    from qsmbench.challenge.make import read_private

    page, found = write(read_private(private), out, datetime.now(UTC), freeze=freeze)
    counted = Counter(s.place for s in found)
    console.print(", ".join(f"{number} {place}" for place, number in counted.items()), soft_wrap=True)
    console.print(f"Board: {plain(page.resolve())}", soft_wrap=True)


@app.command(epilog="[bold]Example:[/bold] qsmbench challenge reveal private revealed")
def reveal(
    private: PrivateFolder,
    out: Annotated[Path, typer.Argument(help="folder to write, for publication")],
    early: Annotated[bool, typer.Option("--early", help="even before the deadline")] = False,
) -> None:
    """Write the nonce, the configuration, the scans and their truth, for anyone to check against the commitment."""
    from qsmbench.challenge.make import read_private
    from qsmbench.challenge.reveal import reveal as write

    write(read_private(private), out, datetime.now(UTC), early=early)
    console.print(f"Revealed: {plain(out.resolve())}", soft_wrap=True)
