"""The command `qsmbench`. Each verb imports what it needs when it runs, so that `--help` is quick."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from typer import Abort

from qsmbench import supervise
from qsmbench.cli_show import console, plain, print_table, show_scores
from qsmbench.errors import ExitCode, FailedError, QsmbenchError
from qsmbench.listing import LISTS

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Susceptibility phantoms with known truth, and a benchmark of QSM reconstructions against it.",
)

Container = Annotated[
    str, typer.Option(help="where folders of others' code run: none, bubblewrap, docker, podman or apptainer")
]
Device = Annotated[str, typer.Option(help="where portable methods compute: numpy, cupy, torch, torch:cuda …")]
Setting = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="override a key; repeatable")]


def main() -> None:
    """Entry point: an error of the user's making is one line and exit code 2."""
    _show_notes()
    try:
        code = app(prog_name="qsmbench", standalone_mode=False)
        supervise.done(code or 0)
        sys.exit(code)
    except QsmbenchError as error:
        _refuse(str(error), error.exit_code)
    except supervise.Interrupted as error:
        _refuse("stopped; what was done is kept", supervise.exit_code_of(error.number))
    except OSError as error:
        _refuse(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except MemoryError as error:
        _refuse(f"there is not enough memory ({' '.join(str(error).split()) or 'no more could be had'})")
    except Abort:
        _refuse("stopped", supervise.exit_code_of(signal.SIGINT))
    except Exception as error:
        if not hasattr(error, "format_message"):  # what typer makes of arguments that cannot be used
            raise
        _refuse(_usage(error))


def _refuse(message: str, code: int = ExitCode.USAGE) -> NoReturn:
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]qsmbench:[/red] {plain(message)}")
    supervise.done(code)
    sys.exit(code)


def _usage(error: Any) -> str:
    """What is wrong with the arguments, in one line. Without any, typer has shown the help."""
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
    logger.addHandler(handler)
    logger.propagate = False


def _example(text: str) -> str:
    return f"Example: [bold]{text}[/bold]"


@app.command(epilog=_example("qsmbench run configs/quick.yaml --cores 2"))
def run(
    config: Annotated[Path, typer.Argument(help="YAML of the study")],
    cores: Annotated[int, typer.Option(min=1, help="processors to use")] = os.cpu_count() or 1,
    results: Annotated[Path | None, typer.Option(help="folder to write below, instead of the configuration's")] = None,
    device: Annotated[
        str | None, typer.Option(help="where portable methods compute, instead of the configuration's")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="run everything again")] = False,
    rerun: Annotated[
        list[str] | None, typer.Option(metavar="CHAIN", help="run the steps of a chain again; repeatable")
    ] = None,
) -> None:
    """Run a study: simulate, reconstruct, score, report. Up-to-date results are reused.

    Exit code 0 if all is well, 4 if chains or datasets failed or are missing: their reasons stand in the report.
    """
    if not supervise.is_child():
        supervise.run_in_child(sys.argv[1:])
    from qsmbench.data.folders import read_json
    from qsmbench.study import config as configuration
    from qsmbench.study import workflow

    given = {"results": str(results) if results else None, "device": device}
    overrides = {key: value for key, value in given.items() if value is not None}
    study = configuration.load(config, overrides)
    outcome = workflow.run(study, cores=cores, force=force, rerun=rerun or ())
    for notes in (study.folder / d.group / "scan" / "notes.json" for d in study.datasets):
        for note in read_json(notes)["notes"] if notes.is_file() else ():
            console.print(f"Note: {plain(note)}", soft_wrap=True)
    if "tables" not in outcome.broken:
        show_scores(study.folder / "scores.parquet")
    page = study.folder / "report" / "index.html"
    if "report" not in outcome.broken:
        console.print(f"Report: {page.resolve()}", soft_wrap=True)
    if not outcome.complete:
        raise FailedError(_incomplete(study.study, outcome))


def _incomplete(name: str, outcome: Any) -> str:
    """What is missing of a study, in one line: how many of each, and the first reason."""
    counted = []
    for what, found in (("datasets", outcome.datasets), ("chains", outcome.chains), ("jobs", outcome.broken)):
        if found:
            first, reason = next(iter(found.items()))
            where = " on ".join(reversed(first)) if isinstance(first, tuple) else first
            counted.append(
                f"{len(found)} {what if len(found) > 1 else what[:-1]} failed or missing ({where}: {reason})"
            )
    return f"{name}: {'; '.join(counted)}"


@app.command(epilog=_example("qsmbench simulate head scan --protocol brain-3t --seed 1 --set voxel_size=1"))
def simulate(
    phantom: Annotated[str, typer.Argument(help="name of a phantom, or path of its YAML")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    protocol: Annotated[str, typer.Option(help="name of a protocol, or path of its YAML")] = "brain-3t",
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise")] = 0,
    set_: Setting = None,
    set_protocol: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="override a key of the protocol; repeatable")
    ] = None,
    orientation: Annotated[int | None, typer.Option(min=0, help="one of the protocol's; by default all")] = None,
    format_: Annotated[str, typer.Option("--format", help="artifacts or bids")] = "artifacts",
) -> None:
    """Simulate a scan of a phantom: OUT/scan is what is measured, OUT/truth what is true.

    Of a protocol with several orientations, the further ones lie within both, in orientation-1, orientation-2, …
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
    console.print(f"Scan and truth: {out.resolve()}", soft_wrap=True)


@app.command(epilog=_example("qsmbench reconstruct romeo.fit.vsharp.tv scan/scan maps --set tv.regularisation=0.0003"))
def reconstruct(
    chain: Annotated[str, typer.Argument(help="method names joined by dots")],
    scan: Annotated[Path, typer.Argument(metavar="IN", help="folder of a scan, or of a BIDS dataset")],
    out: Annotated[Path, typer.Argument(help="folder to write")],
    truth: Annotated[Path | None, typer.Option(help="folder of the truth, for chains that begin with truth")] = None,
    time_limit: Annotated[float, typer.Option(help="s, for each step")] = 3600,
    memory_limit: Annotated[float | None, typer.Option(help="MiB, for each step; by default none")] = None,
    container: Container = "none",
    device: Device = "numpy",
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=PATH", help="a name in CHAIN, and the folder or file it stands for; repeatable"),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="METHOD.KEY=VALUE", help="a setting of one of the methods; repeatable"),
    ] = None,
) -> None:
    """Run a chain of methods on a scan; OUT receives what its last step makes, OUT/steps all of them."""
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct as run_chain

    limits = Limits(time_limit, memory_limit, container, device)  # type: ignore[arg-type]  # it checks
    settings, methods = _by_method(set_), _paths(method)
    run_chain(chain, scan, out, truth=truth, settings=settings, methods=methods, limits=limits, note=console.print)
    console.print(f"Reconstruction: {out.resolve()}", soft_wrap=True)


@app.command(epilog=_example("qsmbench score maps scan/truth"))
def score(
    out: Annotated[Path, typer.Argument(help="folder that `reconstruct` wrote, or any with a chimap.nii.gz")],
    truth: Annotated[Path, typer.Argument(help="folder of the truth")],
    csv: Annotated[Path | None, typer.Option(help="write the whole table here, too")] = None,
) -> None:
    """Score a reconstruction against the truth, on the mask of the scan."""
    from qsmbench.study.reconstruct import scores

    table = scores(out, truth)
    if csv:
        table.to_csv(csv, index=False)
    for artifact, rows in table[table["region"] == ""].groupby("artifact", sort=False):
        print_table(rows[["metric", "value", "unit", "reason"]], f"{artifact} of {out} against {truth}")


@app.command(epilog=_example("qsmbench tune truth.noisy.tv tv.regularisation dev-1 dev-2 --out tuned/tv.yaml"))
def tune(
    chain: Annotated[str, typer.Argument(help="method names joined by dots")],
    setting: Annotated[str, typer.Argument(metavar="METHOD.KEY", help="the setting, a positive number")],
    data: Annotated[list[Path], typer.Argument(help="folders that simulate wrote: the development data")],
    out: Annotated[Path, typer.Option(help="YAML to write; a study names it under methods: {NAME: {tuned: FILE}}")],
    metric: Annotated[str, typer.Option(help="what to bring to its best value")] = "nrmse",
    span: Annotated[float, typer.Option(min=1.1, help="ratio of the largest to the smallest value tried")] = 1000,
    trials: Annotated[int, typer.Option(min=2, help="values tried")] = 12,
    time_limit: Annotated[float, typer.Option(help="s, for each step")] = 3600,
    device: Device = "numpy",
) -> None:
    """Tune a setting on development data; a study refuses to score it on the same scans."""
    from qsmbench.data.folders import make_folder
    from qsmbench.run.chains import Limits
    from qsmbench.study.tune import tune as search
    from qsmbench.study.tuned import write_tuned

    make_folder(out.parent)
    limits = Limits(time_limit, device=device)
    found = search(chain, setting, data, metric=metric, span=span, trials=trials, limits=limits, note=console.print)
    write_tuned(out, found)
    console.print(f"Tuned: {out.resolve()}", soft_wrap=True)


@app.command(epilog=_example("qsmbench report results/quick report"))
def report(
    results: Annotated[Path, typer.Argument(help="folder of a study")],
    out: Annotated[Path, typer.Argument(help="folder to write index.html into")],
) -> None:
    """Write the report of a study as one HTML page that needs no network."""
    from qsmbench.data.folders import make_folder
    from qsmbench.report import build

    if not (results / "scores.parquet").is_file():
        raise QsmbenchError(f"{results}: holds no scores.parquet; name the folder of a study, such as results/quick")
    make_folder(out)
    console.print(f"Report: {build(results, out).resolve()}", soft_wrap=True)


@app.command("new-method", epilog=_example("qsmbench new-method mine --produces chi"))
def new_method(
    name: Annotated[str, typer.Argument(help="of the method: small letters and digits")],
    produces: Annotated[str, typer.Option(help="the artifact that it makes; see qsmbench list artifacts")],
    from_: Annotated[
        str | None, typer.Option("--from", help="what it makes that of; by default the artifact before it")
    ] = None,
    language: Annotated[
        str, typer.Option(help="python: a file with a function; shell: a folder with a run.sh, for any language")
    ] = "python",
    folder: Annotated[Path, typer.Option(help="where to write it")] = Path(),
) -> None:
    """Write a method of your own that runs already, and a test that it passes."""
    from qsmbench.scaffold.start import write_start

    files = write_start(name, folder, produces=produces, source=from_, language=language)
    for file in files:
        console.print(f"Written: {plain(file)}", soft_wrap=True)
    place = files[0] if language == "python" else files[0].parent
    console.print(f"Test it: python -m pytest {plain(files[-1])}", soft_wrap=True)
    console.print(f"Use it in a study: methods: {{{name}: {{use: {plain(place)}}}}}", soft_wrap=True)


@app.command(epilog=_example("qsmbench conform tkd --set threshold=0.1 --out tkd-conform"))
def conform(
    method: Annotated[str, typer.Argument(help="name of a method, or path of the file that holds it")],
    out: Annotated[Path | None, typer.Option(help="folder to write; by default conform-METHOD")] = None,
    set_: Setting = None,
    time_limit: Annotated[float, typer.Option(min=1, help="s, for all checks together")] = 300,
    container: Container = "none",
) -> None:
    """Check that a method keeps to signs, units, axes and masks; exit code 1 if it does not.

    It runs on small scenes with a known answer. OUT receives a page with pictures, and conform.json.
    """
    if not supervise.is_child():
        supervise.run_in_child(sys.argv[1:], time_limit=time_limit + 60)
    from rich.table import Table

    from qsmbench.conform import FAIL, PASS, page
    from qsmbench.conform import conform as run_checks
    from qsmbench.run import registry

    found = registry.find(method, container=container)  # type: ignore[arg-type]  # it checks
    settings = _settings(set_)
    checks = run_checks(found, settings, time_limit=time_limit)
    colours = {PASS: "green", FAIL: "red"}
    table = Table(title=f"{plain(found.name)}: {page.counted(checks)}", title_justify="left")
    table.add_column("check", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("found", overflow="fold")
    for c in checks:
        table.add_row(c.name, f"[{colours.get(c.status, 'dim')}]{c.status}[/]", plain(c.reason))
    console.print(table)
    written = page.write(found, settings, checks, out or Path(f"conform-{found.name}"))
    console.print(f"Page: {written.resolve()}", soft_wrap=True)
    if not page.passed(checks):
        raise typer.Exit(ExitCode.WORSE)


@app.command("list", epilog=_example("qsmbench list methods"))
def list_(
    what: Annotated[str, typer.Argument(help="phantoms, scenarios, protocols, methods, metrics or artifacts")],
) -> None:
    """List what there is: a line each, the name first."""
    if what not in LISTS:
        raise QsmbenchError(f"cannot list {what!r}; choose from {', '.join(LISTS)}")
    rows = LISTS[what]()
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        console.print(f"{name:<{width}}  {plain(text)}", soft_wrap=True)


def _settings(pairs: list[str] | None) -> dict[str, Any]:
    """KEY=VALUE pairs, the values read as YAML."""
    import yaml

    from qsmbench.typed_yaml import numbers

    settings = {}
    for pair in pairs or []:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise QsmbenchError(f"--set {pair!r}: must be KEY=VALUE, such as voxel_size=1")
        try:
            settings[key.strip()] = numbers(yaml.safe_load(value))
        except yaml.YAMLError as e:
            raise QsmbenchError(f"--set {pair!r}: {value!r} is not YAML, such as 1, [1, 2] or text") from e
    return settings


def _paths(pairs: list[str] | None) -> dict[str, str]:
    """NAME=PATH pairs."""
    found = {}
    for pair in pairs or []:
        name, equals, path = pair.partition("=")
        if not equals or not name or not path:
            raise QsmbenchError(f"--method {pair!r}: must be NAME=PATH, such as mine=folder/of/mine")
        found[name.strip()] = path
    return found


def _by_method(pairs: list[str] | None) -> dict[str, dict[str, Any]]:
    """METHOD.KEY=VALUE pairs, by method."""
    found: dict[str, dict[str, Any]] = {}
    for key, value in _settings(pairs).items():
        name, dot, setting = key.partition(".")
        if not dot:
            raise QsmbenchError(f"--set {key}: must be METHOD.KEY=VALUE, such as tkd.threshold=0.2")
        found.setdefault(name, {})[setting] = value
    return found


if __name__ == "__main__":
    main()
