"""Job: the scores of all datasets and chains, and the outcome of each chain → the tables of the study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.score_table import COLUMNS, NOT_SCORED
from qsmbench.run.specs import RUN_FILE, Record, TablesSpec, read_record

if TYPE_CHECKING:
    import pandas as pd


def run(spec: TablesSpec, out: Path) -> None:
    """Write `scores.parquet`, `scores.csv` and `datasets.csv` below `out`."""
    import pandas as pd

    study = Path(spec.study)
    datasets = _typed(pd.DataFrame(spec.datasets))
    rows = pd.DataFrame(_run_rows(study, spec), columns=list(COLUMNS)).astype({"value": float})
    scores = pd.concat([*_scores(study, spec), rows], ignore_index=True)
    scores = scores.merge(datasets, on="dataset", how="left")
    scores.to_parquet(out / "scores.parquet", index=False)
    scores.to_csv(out / "scores.csv", index=False)
    datasets.to_csv(out / "datasets.csv", index=False)


def _typed(table: pd.DataFrame) -> pd.DataFrame:
    """Give each column one type: integers, numbers or text."""

    for name in table:
        values = table[name]
        known = [v for v in values if v is not None and v == v]
        if name == "seed" or (known and all(isinstance(v, int) and not isinstance(v, bool) for v in known)):
            table[name] = values.astype("Int64")
        elif known and all(isinstance(v, int | float) and not isinstance(v, bool) for v in known):
            table[name] = values.astype(float)
        else:
            table[name] = ["" if v is None or v != v else str(v) for v in values]
    return table


def _scores(study: Path, spec: TablesSpec) -> list[pd.DataFrame]:
    """Return a table of the scores of all chains, each dataset's followed by its common voxels; no table if empty.

    Files are concatenated before the conversion to pandas, which takes longer per file than reading it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for folder in (study / row["dataset"] for row in spec.datasets):
        for file in (*(folder / "scores" / f"{chain}.parquet" for chain in spec.chains), folder / "common.parquet"):
            if file.is_file():
                with pq.ParquetFile(file) as content:
                    tables.append(content.read(use_threads=False))
    tables = [t for t in tables if t.num_rows]
    return [pa.concat_tables(tables, promote_options="permissive").to_pandas()] if tables else []


def _run_rows(study: Path, spec: TablesSpec) -> list[dict[str, Any]]:
    """Return time and memory of each chain on each dataset, or the reason why it has no result."""
    rows = []
    for row in spec.datasets:
        folder = study / row["dataset"]
        scan = read_record(folder / "scan.json")
        if scan is None or not scan.ok:
            rows.append(_row(row["dataset"], "", "", "status", np.nan, "", _reason(scan)))
            continue
        made = dict.fromkeys(step for chain in spec.chains for step in spec.steps[chain])
        records = {step: read_record(folder / "chains" / step / RUN_FILE) for step in made}
        for chain in spec.chains:
            steps = [records[step] for step in spec.steps[chain]]
            scores = read_record(folder / "scores" / f"{chain}.json")
            for artifact in spec.artifacts[chain] or [""]:
                rows += [_row(row["dataset"], chain, artifact, *r) for r in _of_chain(steps, scores)]
                if reason := spec.not_scored.get(artifact):
                    rows.append(_row(row["dataset"], chain, artifact, NOT_SCORED, np.nan, "", reason))
    return rows


def _row(dataset: str, chain: str, artifact: str, metric: str, value: float, unit: str, reason: str) -> dict[str, Any]:
    row = (dataset, chain, artifact, metric, "", "run", value, unit, reason)
    return dict(zip(COLUMNS, row, strict=True))


def _of_chain(steps: list[Record | None], scores: Record | None) -> list[tuple[str, float, str, str]]:
    """Return the total time of a chain's steps and their peak memory, or the reason why it has no result."""
    done = [s for s in steps if s is not None and s.ok]
    if len(done) < len(steps):
        return [("status", np.nan, "", _reason(steps[-1]))]
    peaks = [s.peak_memory for s in done]
    memory = (np.nan, "not measured in a container") if None in peaks else (max(p for p in peaks if p is not None), "")
    rows = [
        ("time", sum(s.seconds or 0.0 for s in done), "s", ""),
        ("peak_memory", memory[0], "MiB", memory[1]),
    ]
    if scores is None or not scores.ok:
        rows.append(("status", np.nan, "", f"{'failed' if scores is None else scores.status}: scoring: {_why(scores)}"))
    return rows


def _reason(record: Record | None) -> str:
    return "missing: the job wrote no record" if record is None else f"{record.status}: {record.reason}"


def _why(record: Record | None) -> str:
    return "the job wrote no record" if record is None else record.reason
