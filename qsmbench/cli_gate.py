"""The verbs of the regression gate, `qsmbench baseline`, `check` and `history`, and of the reference board, `board`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qsmbench.cli_show import console, plain
from qsmbench.data.score_table import STATUS
from qsmbench.errors import ExitCode, FailedError, QsmbenchError

FAIL_ON = ("worse", "change", "time")


def baseline(
    results: Annotated[Path, typer.Argument(help="folder of a study, such as results/regression")],
    file: Annotated[Path, typer.Argument(help="file to write, such as baseline.parquet")],
) -> None:
    """Keep the scores of a study as a baseline: a small file to commit.

    The exit code is 4 if a chain failed: the file is written, but guards nothing of that chain.
    """
    from qsmbench.gate.baseline import of_results

    found = of_results(results)
    found.save(file)
    console.print(
        f"Baseline: {plain(file.resolve())}, {len(found.scans)} scans, {len(found.scores)} scores", soft_wrap=True
    )
    if found.failed:
        (dataset, chain), reason = next(iter(found.failed.items()))
        raise FailedError(
            f"baseline: {len(found.failed)} results failed, which the baseline does not guard "
            f"({chain or 'all chains'} on {dataset}: {reason}); mend them and write it again"
        )


def check(
    results: Annotated[Path, typer.Argument(help="folder of a study, run on the suite of the baseline")],
    baseline: Annotated[Path, typer.Option(help="file written by `qsmbench baseline`")],
    margins: Annotated[
        Path | None, typer.Option(help="YAML file of margins; by default qsmbench/gate/margins.yaml")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="worse (always), change (any beyond rounding), time (and memory); repeatable"),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="JUnit XML file to write")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Markdown file to write, fit for a pull request")] = None,
    history: Annotated[
        Path | None, typer.Option(help="CSV file to append the scores to; see `qsmbench history`")
    ] = None,
    commit: Annotated[str, typer.Option(help="name of this version in the history")] = "",
    old: Annotated[Path | None, typer.Option(help="folder of the baseline's study, for pictures")] = None,
    pictures: Annotated[Path | None, typer.Option(help="folder for pictures of what got worse; needs --old")] = None,
) -> None:
    """Compare the scores of a study with a baseline on the same scans.

    Exit codes: 0 nothing is worse; 1 worse; 2 invalid input; 3 slower or larger (with --fail-on time); 4 a result
    failed, is missing, or is of another scan than the baseline's.
    """
    from qsmbench.gate import write
    from qsmbench.gate.baseline import of_results, read_baseline
    from qsmbench.gate.compare import compare, exit_code
    from qsmbench.gate.margins import read_margins

    chosen = tuple(fail_on or ("worse",))
    for name in chosen:
        if name not in FAIL_ON:
            raise QsmbenchError(f"--fail-on is {name!r}; choose from {', '.join(FAIL_ON)}")
    if pictures and not old:
        raise QsmbenchError("--pictures needs --old, the folder of the baseline's study")
    if history and not commit:
        raise QsmbenchError("--history needs --commit, the name of this version")
    known = read_baseline(baseline)
    rows = compare(of_results(results), known, read_margins(margins))
    _print(rows)
    if junit:
        write.junit(rows, junit)
    if markdown:
        write.markdown(rows, markdown, f"{known.study}: {results} against {baseline}")
    if history:
        write.history(rows, history, commit)
    if pictures and old:
        for file in write.pictures(rows, results, old, pictures):
            console.print(f"Picture: {plain(file.resolve())}", soft_wrap=True)
    console.print(write.sentence(rows), soft_wrap=True)
    code = exit_code(rows, chosen)
    if code != ExitCode.OK:
        raise typer.Exit(code)


def _print(rows: list) -> None:
    """Print the verdicts that are not equal as a table."""
    from rich.table import Table

    from qsmbench.gate.write import change, noteworthy

    shown = noteworthy(rows)
    if not shown:
        return
    table = Table(title="Against the baseline", title_justify="left")
    for heading in ("verdict", "chain", "metric", "change", "worst scan"):
        table.add_column(heading, overflow="fold")
    for r in shown:
        table.add_row(r.verdict, plain(r.chain), f"{r.artifact} {r.metric}".strip(), plain(change(r)), plain(r.scan))
    console.print(table)


def history(
    file: Annotated[Path, typer.Argument(help="CSV file written by `qsmbench check --history`")],
    out: Annotated[Path, typer.Argument(help="picture to write: .svg, .png or .pdf")],
    metric: Annotated[str, typer.Option(help="metric to plot")] = "nrmse",
) -> None:
    """Plot a metric of every chain over the versions of a history."""
    from qsmbench.gate.plot import plot

    console.print(f"Plot: {plain(plot(file, out, metric).resolve())}", soft_wrap=True)


def board(
    results: Annotated[Path, typer.Argument(help="folder of a finished study, such as results/board-head")],
    folder: Annotated[Path, typer.Argument(help="folder to write, such as results/board/head")],
) -> None:
    """Keep the scores of a study as a reference board, with which other methods are compared by `run --against`.

    If FOLDER is a board of the same scans, the rows of the study's chains are replaced and the others stay. So after a
    change to one method, only its chains are run again: `qsmbench run CONFIG --chain …`. If the code of the metrics has
    changed since, also run an unchanged chain of each kind of map: the other rows stay if its scores are the same. A
    study that is not finished is refused, since ranks and intervals over fewer subjects would not be those of the
    suite.
    """
    from qsmbench.gate.board import write_board
    from qsmbench.study.unfinished import unfinished

    missing = unfinished(results)
    if missing:
        named = ", ".join(list(missing)[:3]) + (", …" if len(missing) > 3 else "")
        scores = sum(map(len, missing.values()))
        raise QsmbenchError(
            f"{results}: is not finished; {scores} scores are missing on {len(missing)} scans ({named})"
        )
    found, new = write_board(results, folder)
    counted = f"{len(found.factors)} scans, {len(found.chains)} chains"
    kept = f", {len(found.chains) - len(new)} of them kept" if len(new) < len(found.chains) else ""
    console.print(f"Board: {plain(folder.resolve())}, {counted}{kept}", soft_wrap=True)
    gone = found.scores[found.scores["metric"] == STATUS]
    for row in gone.to_dict("records"):
        console.print(f"No score: {plain(row['chain'])} on {plain(row['dataset'])}: {plain(row['reason'])}")


def compare_with_board(results: Path, reference: Path) -> None:
    """Print the place of each chain of a study among those of a board, and write a report with both.

    Args:
        results: folder of the study.
        reference: folder of the board.
    """
    from qsmbench.analysis.columns import column
    from qsmbench.analysis.results import read_study
    from qsmbench.analysis.verdict import DEFAULT
    from qsmbench.data.score_table import CONTROLS
    from qsmbench.gate.board import joined, standing
    from qsmbench.report import build

    own = read_study(results)
    study = joined(own, reference)
    unit = dict(zip(study.scores["metric"].astype(str), study.scores["unit"].astype(str), strict=True))
    metric = column(DEFAULT[0], unit.get(DEFAULT[0], ""))
    for chain in own.chains:
        for said in standing(study, chain, metric) if chain not in CONTROLS else ():
            console.print(plain(said), soft_wrap=True)
    page = build(study, results / "against")
    console.print(f"Report with the board: {plain(page.resolve())}", soft_wrap=True)
