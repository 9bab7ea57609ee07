"""Job: a study's tables and pictures → its report."""

from __future__ import annotations

from pathlib import Path

from qsmbench.data.folders import write_json
from qsmbench.report import build
from qsmbench.run.specs import ReportSpec
from qsmbench.study.versions import reported_versions


def run(spec: ReportSpec, out: Path) -> None:
    """Write the report, the configuration, the versions of packages, and where settings come from, below `out`."""
    study = Path(spec.study)
    versions = reported_versions()
    for folder in (out, study):  # the report reads them off the study, which they are moved to when it is written
        (folder / "config.yaml").write_text(spec.config)
        write_json(folder / "versions.json", versions)
        write_json(folder / "origins.json", spec.origins)
    build(study, out / "report")
