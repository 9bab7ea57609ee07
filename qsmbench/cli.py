"""The command `qsmbench`. Each verb imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import logging
import math
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer import Abort

from qsmbench import __version__, cli_challenge, cli_export, cli_gate, cli_review, supervise
from qsmbench.cli_show import console, plain, print_listing, print_table, show_scores
from qsmbench.errors import ExitCode, FailedError, QsmbenchError

if TYPE_CHECKING:
    from qsmbench.study.config import Study
    from qsmbench.study.workflow import Outcome

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Susceptibility phantoms with known truth, and a benchmark of QSM reconstructions against it.",
)

app.add_typer(cli_export.app, name="export")
app.add_typer(cli_challenge.app, name="challenge")

Container = Annotated[
    str, typer.Option(help="where third-party code runs: none (directly), bubblewrap, docker, podman or apptainer")
]
Device = Annotated[str, typer.Option(help="where methods that support it compute: numpy, cupy, torch, torch:cuda …")]
Setting = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a key (qsmbench list keys); repeatable")
]


def main() -> None:
    """Run the command line; errors that the user can correct are one line, with exit code 2."""
    _show_notes()
    if "" in sys.argv[1:]:  # such as a variable of the shell that is not set; as a path, it would be this folder
        _refuse(f"argument {sys.argv.index('', 1)} is empty; see qsmbench --help")
    try:
        code = app(prog_name="qsmbench", standalone_mode=False)
        supervise.done(code or 0)
        sys.exit(code)
    except QsmbenchError as error:
        _refuse(str(error), error.exit_code)
    except supervise.Interrupted as error:
        _refuse("stopped; finished results are kept", supervise.exit_code_of(error.number))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError as error:
        _refuse(f"there is not enough memory ({' '.join(str(error).split()) or 'allocation failed'})")
    except Abort:
        _refuse("stopped", supervise.exit_code_of(signal.SIGINT))
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer makes of arguments that cannot be used
            raise
        _refuse(_usage(error))


def _refuse(message: str, code: int = ExitCode.USAGE) -> NoReturn:
    line = plain(message).replace("\n", " ")
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]qsmbench:[/red] {line}")
    supervise.done(code)
    sys.exit(code)


def _usage(error: Any) -> str:
    """Return a one-line message about invalid arguments. Without arguments, typer has shown the help."""
    told = " ".join(error.format_message().split())
    given: Any = getattr(error.__cause__ or error.__context__, "errors", list)()
    told += f", not {given[0]['input']!r}" if given else ""
    if not told:
        sys.exit(2)
    verb = error.ctx.command_path if error.ctx else "qsmbench"
    return f"{told.removesuffix('.')}; see {verb} --help"


def _show_notes() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("qsmbench: note: %(message)s"))
    logger = logging.getLogger("qsmbench")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False


def _example(*commands: str) -> str:
    """Return the examples at the end of a help text, as separate paragraphs, so that no command is broken."""
    return "\n\n".join([f"Example: [bold]{commands[0]}[/bold]", *(f"[bold]{c}[/bold]" for c in commands[1:])])


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"qsmbench {__version__}")
        raise typer.Exit


@app.callback(epilog=_example("qsmbench run configs/quick.yaml --cores 2"))
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_example(
        "qsmbench run configs/quick.yaml --cores 2",
        "qsmbench run configs/board-head.yaml --chain romeo.fit.vsharp.mine --method mine=mine.py "
        "--against results/board/head",
    )
)
def run(
    config: Annotated[Path, typer.Argument(help="YAML file of the study")],
    cores: Annotated[int, typer.Option(min=1, show_default="all", help="number of processors to use")] = (
        os.cpu_count() or 1
    ),
    results: Annotated[Path | None, typer.Option(help="folder for the results; overrides CONFIG")] = None,
    device: Annotated[str | None, typer.Option(help="where methods compute; overrides CONFIG")] = None,
    force: Annotated[bool, typer.Option("--force", help="run all jobs again")] = False,
    rerun: Annotated[
        list[str] | None, typer.Option(metavar="CHAIN", help="run the steps of this chain again; repeatable")
    ] = None,
    chain: Annotated[
        list[str] | None, typer.Option(metavar="CHAIN", help="chain to run in place of those of CONFIG; repeatable")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="file or folder to use as method NAME of the chains; repeatable"),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Snakemake profile: slurm, or a folder with a config.yaml; replaces --cores"),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(metavar="BOARD", help="reference board to compare with, such as results/board/head"),
    ] = None,
) -> None:
    """Run a study: simulate, reconstruct, score, report. Up-to-date results are reused.

    With --against, the chains are compared with those of a reference board, which are not run again: CONFIG defines
    the scans of the board. The report is in the folder `against` of the study.

    The exit code is 4 if a dataset, a chain or a job failed; the report shows why.
    """
    if not supervise.is_child():
        supervise.run_in_child(sys.argv[1:])
    from qsmbench.data.folders import read_json
    from qsmbench.study import config as configuration
    from qsmbench.study import workflow
    from qsmbench.study.against import check_same_scans

    given = {"results": str(results) if results else None, "device": device}
    overrides: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if chain:
        overrides |= {"chains": chain, "attribution": []}
    study = configuration.load(config, overrides, methods=_paths(method))
    if against:
        check_same_scans(study, against)
    outcome = workflow.run(study, cores=cores, force=force, rerun=rerun or (), profile=profile)
    for name in (d.group for d in study.sources):
        notes = study.folder / name / "scan" / "notes.json"
        which = f" on {name}" if len(study.sources) > 1 else ""
        for note in read_json(notes)["notes"] if notes.is_file() else ():
            console.print(f"Note{which}: {plain(note)}", soft_wrap=True)
    if "tables" not in outcome.broken:
        show_scores(study.folder / "scores.parquet")
    page = study.folder / "report" / "index.html"
    if "report" not in outcome.broken:
        console.print(f"Report: {plain(page.resolve())}", soft_wrap=True)
    if against and "tables" not in outcome.broken:
        cli_gate.compare_with_board(study.folder, against)
    if not outcome.complete:
        raise FailedError(_incomplete(study, outcome))


@app.command(epilog=_example("qsmbench plan configs/quick.yaml --cores 2"))
def plan(
    config: Annotated[Path, typer.Argument(help="YAML file of the study")],
    cores: Annotated[int, typer.Option(min=1, show_default="all", help="number of processors to use")] = (
        os.cpu_count() or 1
    ),
    results: Annotated[Path | None, typer.Option(help="folder for the results; overrides CONFIG")] = None,
) -> None:
    """Print how many scans, steps and scores a study has, and roughly what it takes. Nothing is run."""
    from qsmbench.study import config as configuration
    from qsmbench.study.estimate import estimate
    from qsmbench.study.plan import Plan

    study = configuration.load(config, {"results": str(results)} if results else None)
    found = estimate(Plan(study), cores)
    counted = ", ".join(f"{n} {what.removesuffix('s') if n == 1 else what}" for what, n in found.counts.items())
    console.print(f"{study.study}: {counted}", soft_wrap=True)
    if found.done:
        console.print(f"Finished before: {found.done} jobs")
    hours, minutes = divmod(max(round(found.seconds / 60), 1), 60)
    lasts = f"{hours} h {minutes} min" if hours else f"{minutes} min"
    console.print(
        f"Roughly, on {cores} core{'s' if cores > 1 else ''}: {lasts}, {found.disk / 1024:.1f} GiB of disk, "
        f"{found.memory / 1024:.1f} GiB of memory",
        soft_wrap=True,
    )
    if found.guessed:
        console.print(f"No recorded duration: {', '.join(map(plain, found.guessed))}", soft_wrap=True)


def _incomplete(study: Study, outcome: Outcome) -> str:
    """Describe the failures of a study in one line: counts, and the first reason of each kind."""
    # a measured scan has no seeds, and is one more dataset with planted sources
    datasets = sum(len(getattr(s, "seeds", (None,))) + bool(getattr(s, "plant", ())) for s in study.sources)
    found: list[tuple[str, int | None, dict[Any, str]]] = [
        ("dataset", datasets, outcome.datasets),
        ("result", datasets * len(study.chains), outcome.chains),
        ("other job", None, outcome.broken),
    ]
    said = []
    for what, total, failed in found:
        if failed:
            first, reason = next(iter(failed.items()))
            where = " on ".join(reversed(first)) if isinstance(first, tuple) else first
            of = f" of {total}" if total else ""
            plural = "s" if (total or len(failed)) > 1 else ""
            said.append(f"{len(failed)}{of} {what}{plural} failed ({where}: {reason})")
    return f"{study.study}: {'; '.join(said)}"


@app.command(epilog=_example("qsmbench simulate head scan --protocol brain-3t --seed 1 --set voxel_size=1"))
def simulate(
    phantom: Annotated[str, typer.Argument(help="name of a phantom or scenario, or path of a YAML file")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    protocol: Annotated[str, typer.Option(help="name of a protocol, or path of a YAML file")] = "brain-3t",
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise")] = 0,
    set_: Setting = None,
    set_protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="override a key of the protocol (qsmbench list keys); repeatable"),
    ] = None,
    orientation: Annotated[
        int | None, typer.Option(min=0, help="index of an orientation of the protocol; all by default")
    ] = None,
    format_: Annotated[str, typer.Option("--format", help="artifacts (a folder of maps) or bids")] = "artifacts",
) -> None:
    """Simulate a scan of a phantom. The scan is written to OUT/scan, the true maps to OUT/truth.

    If the protocol has several orientations, the others are in the subfolders orientation-1, orientation-2, …
    """
    from qsmbench.study.datasets import Simulated
    from qsmbench.study.simulate import simulated
    from qsmbench.typed_yaml import check

    if format_ not in ("artifacts", "bids"):
        raise QsmbenchError(f"--format is {format_!r}; choose from artifacts, bids")
    content: dict[str, Any] = {"phantom": phantom, "protocol": protocol, "seeds": [seed], "orientation": orientation}
    content |= {"set": _settings(set_), "set_protocol": _settings(set_protocol)}
    source = check(content, Simulated, "simulate")
    simulated(source, out, bids=format_ == "bids")
    console.print(f"Scan and truth: {plain(out.resolve())}", soft_wrap=True)


@app.command(
    epilog=_example(
        "qsmbench reconstruct romeo.fit.vsharp.tv scan/scan maps --set tv.regularisation=0.0003",
        "qsmbench reconstruct romeo.fit.vsharp.tv dataset maps --subject 02 --run 1 --phase-unit siemens",
    )
)
def reconstruct(
    chain: Annotated[str, typer.Argument(help="method names joined by dots")],
    scan: Annotated[
        Path, typer.Argument(metavar="IN", help="folder of a scan, of a BIDS dataset, or with a table echoes.tsv")
    ],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    subject: Annotated[str | None, typer.Option(help="of a BIDS dataset: label without sub-; first by default")] = None,
    session: Annotated[str | None, typer.Option(help="of a BIDS dataset: label without ses-; first by default")] = None,
    acq: Annotated[str | None, typer.Option(help="of a BIDS dataset: label without acq-")] = None,
    rec: Annotated[str | None, typer.Option(help="of a BIDS dataset: label without rec-")] = None,
    run: Annotated[str | None, typer.Option(help="of a BIDS dataset: label without run-")] = None,
    entities: Annotated[
        str | None, typer.Option(help="of a BIDS dataset: further entities with labels, such as ce-gd_dir-AP")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(help="of a measured scan: NIfTI mask; by default made from the magnitude")
    ] = None,
    b0_dir: Annotated[
        str | None,
        typer.Option(metavar="X,Y,Z", help="of a measured scan: B0 in voxel axes; by default read from the header"),
    ] = None,
    phase_sign: Annotated[int, typer.Option(help="of a measured scan: -1 if its phase falls with the field")] = 1,
    phase_unit: Annotated[
        str | None,
        typer.Option(help="of a measured scan: rad, mrad, siemens, degrees, pi or cycles; by default as files show"),
    ] = None,
    phase_scale: Annotated[
        float | None, typer.Option(help="of a measured scan: rad per stored number, in place of a unit")
    ] = None,
    truth: Annotated[
        Path | None, typer.Option(help="folder of the true maps, for chains that begin with truth")
    ] = None,
    time_limit: Annotated[float, typer.Option(help="limit for each step, s")] = 3600,
    memory_limit: Annotated[float | None, typer.Option(help="limit for each step, MiB; none by default")] = None,
    container: Container = "none",
    device: Device = "numpy",
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="file or folder to use as method NAME of CHAIN; repeatable"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="METHOD.KEY=VALUE", help="override a setting (qsmbench list settings); repeatable"
        ),
    ] = None,
) -> None:
    """Run a chain of methods on a scan. Maps of the last step are written to OUT, those of all steps to OUT/steps."""
    from qsmbench.data.measured import Stated
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct as run_chain

    limits = Limits(time_limit, memory_limit, container, device)  # type: ignore[arg-type]  # it checks
    settings, methods = _by_method(set_), _paths(method)
    direction = _direction(b0_dir)
    stated = Stated(subject, session, acq, rec, run, mask, direction, phase_sign, phase_unit, phase_scale, entities)
    run_chain(
        chain,
        scan,
        out,
        truth=truth,
        stated=stated,
        settings=settings,
        methods=methods,
        limits=limits,
        note=lambda line: console.print(plain(line), soft_wrap=True),
    )
    console.print(f"Reconstruction: {plain(out.resolve())}", soft_wrap=True)


def _direction(text: str | None) -> tuple[float, float, float] | None:
    if text is None:
        return None
    try:
        x, y, z = (float(part) for part in text.strip("[]() ").replace(",", " ").split())
    except ValueError as e:
        raise QsmbenchError(f"--b0-dir is {text!r}; it must be three numbers, such as 0,0.5,0.866") from e
    return x, y, z


@app.command(
    epilog=_example(
        "qsmbench plant dataset planted --source '{source: iron, chi: 1, at: [10, -20, 5], radii: 3, name: bleed}'",
    )
)
def plant(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="folder of a scan, or of a BIDS dataset")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    source: Annotated[
        list[str],
        typer.Option(help="a source in the words of the phantoms, as YAML (qsmbench list sources); repeatable"),
    ],
    tissue: Annotated[str, typer.Option(help="tissue that the sources are planted in")] = "white_matter",
    supersampling: Annotated[int, typer.Option(min=1, max=8, help="sub-voxels along each axis near sources")] = 3,
    tr: Annotated[float | None, typer.Option(help="repetition time of the scan, s")] = None,
    flip_angle: Annotated[float | None, typer.Option(help="flip angle of the scan, degrees")] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise that replaces lost signal")] = 0,
) -> None:
    """Plant sources of known susceptibility into a scan, in its complex signal.

    The scan with the sources is written to OUT/scan, without them to OUT/without, and what they change to OUT/truth.
    Positions are in mm in the scan's affine; the only region is mask. The difference of the reconstructions with and
    without the sources is scored against the truth.
    """
    import shutil
    import tempfile

    from qsmbench.data.measured import Stated, is_measured
    from qsmbench.study.jobs.measure import convert
    from qsmbench.study.plant import plant_into, read_sources

    sources, without = read_sources(source), scan
    with tempfile.TemporaryDirectory(prefix="qsmbench-") as work:  # what is refused leaves nothing in OUT
        if is_measured(scan):
            without = Path(work)
            for line in convert(scan, without, Stated()):
                console.print(plain(line), soft_wrap=True)
        notes = plant_into(
            without,
            out / "scan",
            out / "truth",
            sources,
            tissue=tissue,
            supersampling=supersampling,
            tr=tr,
            flip_angle=flip_angle,
            seed=seed,
        )
        if without != scan:
            without = shutil.copytree(without, out / "without", dirs_exist_ok=True)
    for line in notes:
        console.print(f"Note: {plain(line)}", soft_wrap=True)
    console.print(
        f"Scan with sources and truth: {plain(out.resolve())}; without: {plain(without.resolve())}", soft_wrap=True
    )


@app.command(epilog=_example("qsmbench score maps scan/truth"))
def score(
    out: Annotated[Path, typer.Argument(help="folder written by `reconstruct`, or any with a chimap.nii.gz")],
    truth: Annotated[Path, typer.Argument(help="folder of the true maps")],
    without: Annotated[
        Path | None, typer.Option(help="of a planted scan: reconstruction without the sources, which is subtracted")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="also write the whole table, with regions, to this file")] = None,
) -> None:
    """Score a reconstruction against the truth, on the true mask."""
    from qsmbench.study.reconstruct import scores

    table = scores(out, truth, without)
    if csv:
        table.to_csv(csv, index=False)
    for artifact, rows in table[table["region"] == ""].groupby("artifact", sort=False):
        print_table(rows[["metric", "value", "unit", "reason"]], f"{artifact} of {out} against {truth}")


@app.command(epilog=_example("qsmbench tune truth.noisy.tv tv.regularisation dev-1 dev-2 --out tuned/tv.yaml"))
def tune(
    chain: Annotated[str, typer.Argument(help="method names joined by dots")],
    setting: Annotated[
        str, typer.Argument(metavar="METHOD.KEY", help="setting to tune; its default must be a positive number")
    ],
    data: Annotated[list[Path], typer.Argument(help="development data: folders written by `simulate`")],
    out: Annotated[Path, typer.Option(help="YAML file to write, which a study uses as methods: {NAME: {tuned: FILE}}")],
    metric: Annotated[str, typer.Option(help="metric to optimise")] = "nrmse",
    span: Annotated[float, typer.Option(min=1.1, help="ratio of the largest value tried to the smallest")] = 1000,
    trials: Annotated[int, typer.Option(min=2, max=1000, help="number of values tried")] = 12,
    time_limit: Annotated[float, typer.Option(help="limit for each step, s")] = 3600,
    device: Device = "numpy",
) -> None:
    """Find the best value of a setting on development data. A study refuses to score these scans."""
    from qsmbench.data.folders import make_folder
    from qsmbench.run.chains import Limits
    from qsmbench.study.tune import tune as search
    from qsmbench.study.tuned import write_tuned

    make_folder(out.parent)
    limits = Limits(time_limit, device=device)
    found = search(chain, setting, data, metric=metric, span=span, trials=trials, limits=limits, note=console.print)
    write_tuned(out, found)
    console.print(f"Tuned: {plain(out.resolve())}", soft_wrap=True)


@app.command(epilog=_example("qsmbench report results/quick report"))
def report(
    results: Annotated[Path, typer.Argument(help="folder of a study")],
    out: Annotated[Path, typer.Argument(help="output folder for index.html and its pages, pictures and volumes")],
    single: Annotated[
        bool, typer.Option("--single", help="one file of less than 15 MB; it says what is left out")
    ] = False,
) -> None:
    """Write the report of a study as HTML that works offline."""
    from qsmbench.data.folders import make_folder
    from qsmbench.report import build

    if not (results / "scores.parquet").is_file():
        raise QsmbenchError(f"{results}: contains no scores.parquet; give the folder of a study, such as results/quick")
    make_folder(out)
    console.print(f"Report: {plain(build(results, out, single=single).resolve())}", soft_wrap=True)


@app.command(epilog=_example("qsmbench compare results/mine romeo.fit.vsharp.tv romeo.fit.pdf.tv --metric nrmse"))
def compare(
    results: Annotated[Path, typer.Argument(help="folder of a study")],
    a: Annotated[str, typer.Argument(metavar="A", help="a chain of the study")],
    b: Annotated[str, typer.Argument(metavar="B", help="the chain to compare it with")],
    metric: Annotated[
        list[str] | None, typer.Option(help="metric to compare by; repeatable. By default the NRMSE")
    ] = None,
    support: Annotated[str, typer.Option(help="voxels that are scored: study or common")] = "study",
    margin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[METRIC=]VALUE",
            help="largest difference that counts as equivalent: a share (0.05) of an error, or a difference of scores "
            "such as the correlation; repeatable",
        ),
    ] = None,
    all_pairs: Annotated[
        bool, typer.Option("--all-pairs", help="adjust for all pairs of chains, if A and B were chosen by their scores")
    ] = False,
    difference: Annotated[
        float | None,
        typer.Option(min=0.001, help="also say how many subjects would show this difference of errors: 0.05"),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="file to write; by default compare_A_B[_METRIC].csv in RESULTS")
    ] = None,
) -> None:
    """Say whether one chain is better than another, with intervals and tests over subjects.

    The chains are compared on the same scans, over all conditions and in each. Scans of one subject count as one. See
    docs/statistics.md.
    """
    from qsmbench.analysis import verdict
    from qsmbench.analysis.comparison import sentence
    from qsmbench.analysis.results import read_study

    study = read_study(results)
    found = verdict.compare_chains(
        study,
        a,
        b,
        names=metric or (),
        support=support,
        margins=_margins(margin),
        against_all=all_pairs,
    )
    file = csv or results / f"compare_{'_'.join([a, b, *(metric or ())])}.csv"
    verdict.table(found).to_csv(file, index=False)
    for comparison in found:
        said = f"{sentence(comparison)} {verdict.outlook(comparison, difference or math.nan)}".strip()
        console.print(plain(said), soft_wrap=True)
    for name in dict.fromkeys(c.column.metric for c in found):
        if said := verdict.mixed_view(study, a, b, name, support):
            console.print(plain(said), soft_wrap=True)
    console.print(f"Table: {plain(file.resolve())}", soft_wrap=True)


@app.command(
    epilog=_example("qsmbench rank results/mine --metric xsim", "qsmbench rank results/heads --between phantom")
)
def rank(
    results: Annotated[Path, typer.Argument(help="folder of a study, or a reference board")],
    metric: Annotated[str, typer.Option(help="metric to rank by")] = "nrmse",
    artifact: Annotated[str, typer.Option(help="the scored artifact")] = "chi",
    support: Annotated[str, typer.Option(help="voxels that are scored: study or common")] = "study",
    between: Annotated[
        str | None,
        typer.Option(metavar="FACTOR", help="say whether the ranking carries over between its values, such as phantom"),
    ] = None,
    to: Annotated[
        list[Path] | None,
        typer.Option(metavar="RESULTS", help="say whether the ranking carries over to this study; repeatable"),
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="file to write; by default rank_METRIC.csv in RESULTS")] = None,
) -> None:
    """Rank the chains by every rule, and say whether the ranking carries over to other scans.

    The rules are by the mean over subjects, by the mean of the ranks on each subject, and by the number of chains that
    a chain is significantly better than. Intervals are over resampled subjects. See docs/statistics.md.
    """
    from qsmbench import cli_rank

    cli_rank.rank(results, metric, artifact, support, between, to or [], csv or results / f"rank_{metric}.csv")


app.command(epilog=_example("qsmbench baseline results/regression baseline.parquet"))(cli_gate.baseline)
app.command(epilog=_example("qsmbench check results/regression --baseline baseline.parquet --junit junit.xml"))(
    cli_gate.check
)
app.command(epilog=_example("qsmbench board results/board-head results/board/head"))(cli_gate.board)
app.command(epilog=_example("qsmbench review --quick", "qsmbench review --claim calcium-or-blood"))(cli_review.review)
app.command(epilog=_example("qsmbench history history.csv history.svg --metric nrmse"))(cli_gate.history)


@app.command("new-method", epilog=_example("qsmbench new-method mine --produces chi"))
def new_method(
    name: Annotated[str, typer.Argument(help="name of the method: lower-case letters and digits")],
    produces: Annotated[str, typer.Option(help="artifact that it computes, such as chi (qsmbench list artifacts)")],
    from_: Annotated[
        str | None,
        typer.Option("--from", help="its input artifact; by default the previous one in the pipeline"),
    ] = None,
    language: Annotated[
        str, typer.Option(help="python: a file with a function; shell: a folder with a run.sh, for any language")
    ] = "python",
    folder: Annotated[Path, typer.Option(help="folder to write to")] = Path(),
) -> None:
    """Write a working method as a template for your own, and a test for it."""
    from qsmbench.scaffold.start import write_start

    files = write_start(name, folder, produces=produces, source=from_, language=language)
    for file in files:
        console.print(f"Written: {plain(file)}", soft_wrap=True)
    place = files[0] if language == "python" else files[0].parent
    console.print(f"Test it: python -m pytest {plain(files[-1])}", soft_wrap=True)
    console.print(f"Use it in a study: methods: {{{name}: {{use: {plain(place)}}}}}", soft_wrap=True)


@app.command(epilog=_example("qsmbench conform tkd --set threshold=0.1 --out tkd-conform"))
def conform(
    method: Annotated[str, typer.Argument(help="name of a method, or path of its file or folder")],
    out: Annotated[Path | None, typer.Option(help="folder to write; conform-METHOD by default")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="override a setting (qsmbench list settings); repeatable"),
    ] = None,
    time_limit: Annotated[float, typer.Option(min=1, help="limit for all checks together, s")] = 300,
    container: Container = "none",
) -> None:
    """Check that a method follows the conventions for signs, units, axes and masks.

    The method runs on small simulated objects with a known solution. A page with pictures and conform.json are
    written to OUT. The exit code is 1 if a check fails.
    """
    if not supervise.is_child():
        supervise.run_in_child(sys.argv[1:], time_limit=time_limit + 60)
    from rich.table import Table

    from qsmbench.conform import FAIL, PASS, page
    from qsmbench.conform import conform as run_checks
    from qsmbench.data.folders import make_folder
    from qsmbench.run import registry
    from qsmbench.run.settings import check_settings

    settings = _settings(set_)
    found = registry.find(method, container=container, settings=settings)  # type: ignore[arg-type]  # it checks
    check_settings(found.name, found, settings)
    out = out or Path(f"conform-{found.name}")
    make_folder(out)  # before the checks, which take a while
    checks = run_checks(found, settings, time_limit=time_limit)
    colours = {PASS: "green", FAIL: "red"}
    table = Table(title=f"{plain(found.name)}: {page.counted(checks)}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("found", overflow="fold")
    for c in checks:
        table.add_row(c.name, f"[{colours.get(c.status, 'dim')}]{c.status}[/]", plain(c.reason))
    console.print(table)
    written = page.write(found, settings, checks, out)
    console.print(f"Page: {plain(written.resolve())}", soft_wrap=True)
    if not page.passed(checks):
        raise typer.Exit(ExitCode.WORSE)


@app.command("list", epilog=_example("qsmbench list methods", "qsmbench list settings tv", "qsmbench list keys head"))
def list_(
    what: Annotated[
        str,
        typer.Argument(
            help="phantoms, scenarios, protocols, methods, metrics, endpoints, claims, artifacts or sources; settings, "
            "regions or keys"
        ),
    ],
    name: Annotated[
        str | None,
        typer.Argument(help="for settings: a method; for regions: a phantom; for keys: a phantom or a protocol"),
    ] = None,
    set_: Setting = None,
) -> None:
    """List the contents of qsmbench, or the properties of one method, phantom or protocol.

    settings METHOD: its settings, with default, unit and meaning.

    regions PHANTOM: the regions that scores are reported for.

    sources: the susceptibility sources that can be added to a phantom.

    keys PHANTOM: the keys that --set can override; keys PROTOCOL: those of --set-protocol.

    A scenario counts as a phantom; --set case=CASE chooses one of its cases.

    In a pipe or a file the tables are 80 columns wide; COLUMNS=200 widens them.
    """
    from qsmbench.listing import listings

    for i, listing in enumerate(listings(what, name, _settings(set_))):
        if i:
            console.print()
        print_listing(listing)


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    """Return KEY=VALUE pairs as a mapping, with values read as YAML."""
    from qsmbench.typed_yaml import parse_yaml

    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise QsmbenchError(f"--set {pair!r}: must be KEY=VALUE, such as voxel_size=1")
        try:
            settings[key.strip()] = parse_yaml(value)
        except ValueError as e:
            shown = [text if len(text) < 100 else f"{text[:97]}…" for text in (pair, value)]
            told = f"--set {shown[0]!r}: {shown[1]!r} is not YAML that can be used, such as 1, [1, 2] or text"
            raise QsmbenchError(f"{told} ({e})") from e
    return settings


def _margins(given: list[str] | None) -> dict[str, float]:
    """Return [METRIC=]VALUE as margins by metric; "" is that of all others."""
    found = {}
    for text in given or []:
        name, _, value = text.rpartition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            found[name.strip()] = -1.0
        if not 0 < found[name.strip()] < float("inf"):
            raise QsmbenchError(f"--margin {text!r}: must be a positive number, such as 0.05 or correlation=0.01")
    return found


def _paths(pairs: list[str] | None) -> dict[str, str]:
    """Return NAME=PATH pairs as a mapping."""
    found = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise QsmbenchError(f"--method {pair!r}: must be NAME=PATH, such as mine=folder/of/mine")
        found[name.strip()] = path
    return found


def _by_method(pairs: list[str] | None) -> dict[str, dict[str, Any]]:
    """Return METHOD.KEY=VALUE pairs as mappings of settings by method."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in _settings(pairs).items():
        name, dot, setting = key.partition(".")
        if not dot:
            raise QsmbenchError(f"--set {key}: must be METHOD.KEY=VALUE, such as tkd.threshold=0.2")
        found.setdefault(name, {})[setting] = value
    return found


if __name__ == "__main__":
    main()
