"""Job: the scores of all datasets and chains, and the outcome of each chain → the tables of the study."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.data.score_table import COLUMNS, NOT_SCORED
from qsmbench.run.specs import RUN_FILE, Record, TablesSpec, read_record

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


ROWS = 200_000
"""Rows that are written at once: a study may have millions, which need not be in memory together."""


def run(spec: TablesSpec, out: Path) -> None:
    """Write `scores.parquet`, `scores.csv` and `datasets.csv` below `out`."""
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow.csv import CSVWriter, WriteOptions

    study = Path(spec.study)
    datasets = _typed(pd.DataFrame(spec.datasets))
    types = {c: "float64" if c == "value" else "str" for c in COLUMNS}
    factors = [str(c) for c in datasets if c != "dataset"]
    schema = pa.Schema.from_pandas(
        pd.DataFrame({c: pd.Series(dtype=t) for c, t in types.items()}).join(datasets[factors].head(0)),
        preserve_index=False,
    )
    about = pa.Table.from_pandas(datasets, preserve_index=False)
    as_text = WriteOptions(quoting_style="needed")
    with (
        pq.ParquetWriter(out / "scores.parquet", schema) as parquet,
        CSVWriter(out / "scores.csv", schema, write_options=as_text) as text,
    ):
        for part in _in_parts(_scores(study, spec)):
            whole = _with_factors(part, about, factors).cast(schema)
            parquet.write_table(whole)
            text.write_table(_without_nan(whole))
    datasets.to_csv(out / "datasets.csv", index=False)


def _in_parts(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Join tables until they have `ROWS` rows: few large parts take less room than many small ones."""
    import pyarrow as pa

    waiting: list[pa.Table] = []
    for table in tables:
        waiting.append(table)
        if sum(t.num_rows for t in waiting) >= ROWS:
            yield pa.concat_tables(waiting, promote_options="permissive")
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting, promote_options="permissive")


def _with_factors(scores: pa.Table, datasets: pa.Table, factors: list[str]) -> pa.Table:
    """Add the columns `factors` of the dataset of each row."""
    import pyarrow.compute as pc

    place = pc.index_in(scores["dataset"], datasets["dataset"].combine_chunks())
    found = scores
    for name in factors:
        found = found.append_column(name, datasets[name].combine_chunks().take(place))
    return found


def _without_nan(scores: pa.Table) -> pa.Table:
    """Return the scores with an empty value where there is none, as a text has it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    value = pc.if_else(pc.is_nan(scores["value"]), pa.scalar(None, pa.float64()), scores["value"])
    return scores.set_column(scores.column_names.index("value"), scores.field("value"), value)


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


def _scores(study: Path, spec: TablesSpec) -> Iterator[pa.Table]:
    """Yield the scores of each dataset: those of all chains, then those on its common voxels; at last how each ran."""
    import pandas as pd
    import pyarrow as pa

    damaged = []
    for name in (row["dataset"] for row in spec.datasets):
        tables = []
        for chain in (*spec.chains, ""):
            file = study / name / (f"scores/{chain}.parquet" if chain else "common.parquet")
            if file.is_file():
                try:
                    tables.append(_read(file))
                except (OSError, ValueError, KeyError) as e:
                    why = f"failed: {file.relative_to(study)} cannot be read ({' '.join(str(e).split())[:200]})"
                    damaged.append(_row(name, chain or spec.chains[0], "", "status", np.nan, "", why))
        if tables := [t for t in tables if t.num_rows]:
            yield pa.concat_tables(tables, promote_options="permissive")
    rows = pd.DataFrame([*_run_rows(study, spec), *damaged], columns=list(COLUMNS)).astype({"value": float})
    yield pa.Table.from_pandas(rows, preserve_index=False)


def _read(file: Path) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as content:
        return content.read(use_threads=False).select(list(COLUMNS))


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
