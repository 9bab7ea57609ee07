"""Run a study: Snakemake with our Snakefile, and a progress bar."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from qsmbench.data.folders import make_folder
from qsmbench.errors import QsmbenchError
from qsmbench.paths import share
from qsmbench.study.config import Study


def run(config: Path, study: Study, *, cores: int, instead: Mapping[str, str]) -> bool:
    """Bring a study up to date: what is there already, and still true to its code and settings, is kept.

    Args:
        config: the YAML of the study.
        study: what it holds.
        cores: how many processors to use.
        instead: values of keys of the configuration that are replaced.

    Returns:
        whether all of it could be made.

    Raises:
        QsmbenchError: the results folder cannot be written to, or another run is at work on the study.
    """
    from snakemake_interface_logger_plugins.registry import LoggerPluginRegistry

    from qsmbench.study import progress

    make_folder(study.folder)
    progress.LogHandler.parallel = cores
    progress.LogHandler.history = study.folder / ".durations.json"
    LoggerPluginRegistry().register_plugin("snakemake_logger_plugin_qsmbench", progress)
    arguments = ["--snakefile", str(share() / "Snakefile"), "--configfile", str(config), "--cores", str(cores)]
    arguments += ["--config", *(f"{key}={value}" for key, value in instead.items())] if instead else []
    with _alone(study.folder):
        if any(Path(".snakemake/locks").glob("*")):  # left by a run that was killed: we hold the study now
            # in a process of its own, since Snakemake runs once in a process
            subprocess.run(
                [sys.executable, "-m", "snakemake", *arguments, "--unlock"], check=False, capture_output=True
            )
        return _snakemake([*arguments, "--rerun-incomplete", "--keep-going", "--logger", "qsmbench"])


def _snakemake(arguments: list[str]) -> bool:
    from snakemake.cli import main

    try:
        main(arguments)
    except SystemExit as e:
        return not e.code
    return True


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a study; the hold ends with this process, however it ends."""
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as e:
            raise QsmbenchError(f"{folder}: another run is at work on this study; wait for it, or stop it") from e
        yield
