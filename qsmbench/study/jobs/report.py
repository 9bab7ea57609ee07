"""Job: a study's tables and pictures → its report."""

from __future__ import annotations

from pathlib import Path

from qsmbench.analysis.results import ORIGINS_FILE, PROTOCOLS_FILE
from qsmbench.data.folders import write_json
from qsmbench.report import build
from qsmbench.run.specs import ReportSpec
from qsmbench.study.versions import reported_versions


def run(spec: ReportSpec, out: Path) -> None:
    """Write the report, and what it says of the study: configuration, versions, origins of settings, protocols."""
    (out / "config.yaml").write_text(spec.config)
    write_json(out / "versions.json", reported_versions())
    write_json(out / ORIGINS_FILE, spec.origins)
    write_json(out / PROTOCOLS_FILE, spec.protocols)
    build(Path(spec.study), out / "report", about=out)
