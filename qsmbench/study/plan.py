"""What a study consists of: its datasets, its steps, their folders. The Snakefile asks this and does the rest."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from qsmbench.data.artifacts import ARTIFACTS, SCAN_ARTIFACTS, TRUE_ARTIFACTS
from qsmbench.data.folders import PARAMS_FILE, REGIONS_FILE
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE
from qsmbench.dependencies import PACKAGE, sources
from qsmbench.paths import share
from qsmbench.phantom.load import load
from qsmbench.run import chains, registry
from qsmbench.run.chains import Step
from qsmbench.scan.protocol import protocol_file
from qsmbench.study.config import Study
from qsmbench.study.datasets import Measured, Simulated

SCAN_FILES = [*(ARTIFACTS[name].file for name in SCAN_ARTIFACTS), PARAMS_FILE]
BASIS_FILES = [PROVENANCE_FILE, SCENARIO_FILE]
TRUTH_FILES = [*(ARTIFACTS[name].file for name in (*TRUE_ARTIFACTS, "mask")), REGIONS_FILE, PARAMS_FILE]


@dataclass(frozen=True)
class Dataset:
    """One scan of a study; scans of one group differ by the seed of their noise alone."""

    name: str
    group: str
    seed: int | None
    source: Simulated | Measured

    @property
    def has_truth(self) -> bool:
        """Whether the scan was simulated."""
        return isinstance(self.source, Simulated)


class Plan:
    """The datasets and steps of a study, by name, and the folders that they are written to."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.folder = study.folder
        self.datasets = {d.name: d for source in study.datasets for d in _scans(source)}
        self.steps: dict[str, Step] = {s.chain: s for chain in study.chains for s in study.steps(chain)}

    def scan(self, dataset: str) -> Path:
        """What methods read."""
        return self.folder / dataset / "scan"

    def truth(self, dataset: str) -> Path | None:
        """What no method reads, unless its chain begins with truth; None for a measured scan."""
        d = self.datasets[dataset]
        return self.folder / d.group / "truth" if d.has_truth else None

    def run(self, dataset: str, chain: str) -> Path:
        """The record of a step."""
        return self.folder / dataset / "chains" / chain / "run.json"

    def before(self, dataset: str, chain: str) -> list[Path]:
        """What a step waits for: the step before it, or the scan (and the truth)."""
        parent = self.steps[chain].parent
        if parent:
            return [self.run(dataset, parent)]
        files = [self.scan(dataset) / f for f in SCAN_FILES]
        truth = self.truth(dataset)
        return files + ([truth / f for f in TRUTH_FILES] if truth and chain == chains.TRUTH else [])

    def spec(self, dataset: str, chain: str) -> str:
        """The specification of a step, as JSON; see `qsmbench.run.step.run`."""
        folder = self.folder / dataset / "chains"
        turned = chain in chains.over_orientations(self.steps.values())
        scan, truth, limits = self.scan(dataset), self.truth(dataset), self.study.limits
        spec = self.steps[chain].spec(folder, scan, truth, limits, orientations=turned)
        return json.dumps(spec, sort_keys=True)

    def score_spec(self, dataset: str, chain: str) -> dict[str, Any]:
        """Where the reconstruction of a chain, its truth and its picture lie; see `scoring.Reconstruction`."""
        folder = self.folder / dataset / "chains"
        truth = self.truth(dataset)
        return {
            "dataset": dataset,
            "chain": chain,
            "artifacts": self.steps[chain].artifacts,
            "folders": [
                str(folder / chain),
                *(str(f) for f in chains.folders(chain, folder, self.scan(dataset), truth)),
            ],
            "scan": str(self.scan(dataset)),
            "truth": str(truth) if truth else None,
            "picture": str(self.folder / dataset / "pictures" / f"{chain}.webp"),
        }

    def source_spec(self, group: str) -> str:
        """The entry of the configuration that a group of datasets comes from, as JSON."""
        return self._source(group).model_dump_json(exclude={"seeds"})

    def _source(self, group: str) -> Simulated | Measured:
        return next(d.source for d in self.datasets.values() if d.group == group)

    def phantom_files(self, group: str) -> list[Path]:
        """The files that the phantom and its protocol are described in."""
        source = self._source(group)
        assert isinstance(source, Simulated)
        tables = [share() / "phantoms" / name for name in ("tissues.csv", "sources.csv")]
        return sorted({*load(source.phantom, source.set).files, *tables, protocol_file(source.protocol)})

    def measured_files(self, group: str) -> list[Path]:
        """The files of a measured scan."""
        source = self._source(group)
        assert isinstance(source, Measured)
        files = sorted(source.bids.rglob("*_MEGRE.*"))
        return files + ([source.mask] if source.mask else [])

    def config_text(self) -> str:
        """The whole configuration, defaults included, as YAML."""
        return yaml.safe_dump(self.study.model_dump(mode="json"), sort_keys=False, allow_unicode=True)

    def code(self, chain: str) -> list[Path]:
        """The files whose change reruns a step, those of methods that its settings name among them."""
        step = self.steps[chain]
        settings = {**step.method.settings, **step.use.settings}.values()
        named = [registry.find(v).source for v in settings if isinstance(v, str) and v in registry.names()]
        found = sources(step.method.source, *named, PACKAGE / "run" / "step.py", PACKAGE / "run" / "worker.py")
        return [*found, *step.method.files]

    def chain_pattern(self) -> str:
        """Regular expression of all steps' names."""
        return "|".join(re.escape(c) for c in self.steps)


def _scans(source: Simulated | Measured) -> list[Dataset]:
    if isinstance(source, Measured):
        return [Dataset(source.group, source.group, None, source)]
    return [Dataset(f"{source.group}_seed-{seed}", source.group, seed, source) for seed in source.seeds]
