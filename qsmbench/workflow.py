"""Run a study: Snakemake with our Snakefile, and a progress bar."""

from __future__ import annotations

from pathlib import Path

from qsmbench.artifacts import make_folder
from qsmbench.config import Study
from qsmbench.paths import share


def run(config: Path, study: Study, *, cores: int, results: Path | None = None, quiet: bool = False) -> bool:
    """Bring a study up to date: what is there already, and still true to its code and settings, is kept.

    Args:
        config: the YAML of the study.
        study: what it holds.
        cores: how many processors to use.
        results: folder to write below, instead of the configuration's.
        quiet: no progress bar.

    Returns:
        whether all of it could be made.

    Raises:
        QsmbenchError: the results folder cannot be written to.
    """
    from snakemake.cli import main
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from qsmbench import progress

    make_folder(study.folder)
    progress.LogHandler.parallel = cores
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_qsmbench", progress)
    arguments = ["--snakefile", str(share() / "Snakefile"), "--configfile", str(config), "--cores", str(cores)]
    arguments += ["--rerun-incomplete", "--keep-going"]
    arguments += ["--config", f"results={results}"] if results else []
    arguments += ["--quiet", "all"] if quiet else ["--logger", "qsmbench"]
    try:
        main(arguments)
    except SystemExit as e:
        return not e.code
    return True
