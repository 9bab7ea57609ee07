"""What the command line shows: tables, lists, plain text."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from qsmbench.errors import QsmbenchError

if TYPE_CHECKING:
    import pandas as pd


console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def plain(text: object) -> str:
    return escape(str(text))


def _methods() -> list[tuple[str, str]]:
    from qsmbench.run import registry

    rows = []
    for name in registry.names():
        try:
            m = registry.describe(name)
        except QsmbenchError as e:  # another package's; ours are there
            rows.append((name, f"cannot be used: {e}"))
            continue
        if m.broken:
            rows.append((name, f"cannot be used: {m.broken}"))
            continue
        settings = ", ".join(f"{k}={v}" for k, v in m.settings.items()) or "no settings"
        rows.append(
            (name, f"{', '.join(m.produces)} ← {', '.join(m.consumes)} · {m.summary} · {settings} · {m.reference}")
        )
    return rows


def _metrics() -> list[tuple[str, str]]:
    from qsmbench import metrics

    rows = []
    for m in map(metrics.find, metrics.names()):
        unit = m.unit_of("chi") or "no unit"
        rows.append((m.name, f"{unit} · {m.definition.splitlines()[0]} · {m.reference}"))
    return rows


def _protocols() -> list[tuple[str, str]]:
    from qsmbench.scan.protocol import load_protocol, protocols

    return [(name, f"{p.description} · {p.source}") for name in protocols() for p in [load_protocol(name)]]


def _phantoms() -> list[tuple[str, str]]:
    from qsmbench.paths import data_dir

    files = sorted((data_dir() / "phantoms").glob("*.yaml"))
    return [(f.stem, f.read_text().split("\n", 1)[0].lstrip("# ")) for f in files]  # the first line says what it is


def _scenarios() -> list[tuple[str, str]]:
    from qsmbench.phantom.description.scenario import Scenario, scenarios
    from qsmbench.typed_yaml import load_yaml

    loaded = {name: load_yaml(path, Scenario) for name, path in scenarios().items()}
    return [
        (name, f"{s.question} · {s.endpoint} · cases {', '.join(s.cases)}{' (assumed)' if s.assumed else ''}")
        for name, s in loaded.items()
    ]


def _artifacts() -> list[tuple[str, str]]:
    from qsmbench.data.artifacts import ARTIFACTS

    return [(name, f"{a.file} · {a.unit or 'no unit'} · {a.meaning}") for name, a in ARTIFACTS.items()]


LISTS: dict[str, Callable[[], list[tuple[str, str]]]] = {
    "phantoms": _phantoms,
    "scenarios": _scenarios,
    "protocols": _protocols,
    "methods": _methods,
    "metrics": _metrics,
    "artifacts": _artifacts,
}


def show_scores(file: Path) -> None:
    """Mean over the datasets of the main scores, one line a chain."""
    import pandas as pd

    scores = pd.read_parquet(file)
    shown = ["nrmse", "detrended_nrmse", "correlation", "hfen", "xsim", "coverage", "data_consistency", "time"]
    whole = scores[(scores["region"] == "") & scores["support"].isin(["study", "run"]) & scores["metric"].isin(shown)]
    if whole.empty:
        return
    units = dict(zip(whole["metric"], whole["unit"], strict=True))
    made = whole.groupby("chain")["artifact"].agg(lambda names: "chi" if "chi" in set(names) else names.iloc[0])
    whole = whole[whole["artifact"] == whole["chain"].map(made)]  # χ+ and χ− are other maps; the report has them
    means = whole.pivot_table(index="chain", columns="metric", values="value", aggfunc="mean", dropna=False)
    means = means.reindex(index=scores["chain"].unique(), columns=[m for m in shown if means.get(m) is not None])
    means = means.dropna(axis="columns", how="all")
    means.columns = pd.Index([f"{m.replace('_', ' ')} {units[m]}".strip().replace(" ", "\n") for m in means.columns])
    print_table(means.reset_index(), "Means over the datasets, on the study mask")
    failed: dict[str, list[str]] = {}
    for row in scores[scores["metric"] == "status"].itertuples():
        failed.setdefault(f"{row.chain} on {{}}: {plain(row.reason)}", []).append(str(row.dataset))
    for line, datasets in failed.items():
        where = datasets[0] if len(datasets) == 1 else f"{len(datasets)} datasets"
        console.print("  " + line.replace("{}", where, 1), soft_wrap=True)


def print_table(frame: pd.DataFrame, title: str) -> None:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for column in frame.columns:
        numeric = frame[column].dtype.kind == "f"
        table.add_column(str(column), justify="right" if numeric else "left", no_wrap=not numeric, overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    console.print(table)


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return plain(value)
