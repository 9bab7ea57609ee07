"""Job: a study's folder → its report."""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import version
from pathlib import Path

from qsmbench.data.folders import write_json
from qsmbench.report import build

REPORTED = ("qsmbench", "numpy", "scipy", "numba", "nibabel", "nilearn", "pandas", "snakemake")


def main(arguments: list[str]) -> None:
    """Run the job: the study's folder and its configuration as YAML text."""
    parser = argparse.ArgumentParser(prog="report")
    parser.add_argument("study", type=Path)
    parser.add_argument("config")
    args = parser.parse_args(arguments)
    (args.study / "config.yaml").write_text(args.config)
    versions = {name: version(name) for name in REPORTED}
    versions |= {"python": platform.python_version(), "platform": f"{platform.system()} {platform.machine()}"}
    write_json(args.study / "versions.json", versions)
    build(args.study, args.study / "report")
