"""Output of the command line: tables and plain text."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

if TYPE_CHECKING:
    import pandas as pd

    from qsmbench.listing import Listing


console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)


def plain(text: object) -> str:
    """Return a text that others wrote as it can be printed: no markup, and nothing that a terminal obeys."""
    return escape("".join(c if c.isprintable() or c == "\n" else "�" for c in str(text)))


def print_listing(listing: Listing) -> None:
    """Print a table of texts without lines, as wide as the terminal, or 80 columns without a terminal.

    Long texts are wrapped, never cut. COLUMNS sets another width.
    """
    from rich.table import Table

    page = Console(highlight=False, width=shutil.get_terminal_size((80, 24)).columns)
    if listing.title:
        page.print(plain(listing.title))
    if not listing.rows:
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.show_header = bool(listing.columns)
    for i, heading in enumerate(listing.columns or ("",) * len(listing.rows[0])):
        table.add_column(heading, no_wrap=i == 0, overflow="fold")
    for row in listing.rows:
        table.add_row(*map(plain, row))
    page.print(table)


def show_scores(file: Path) -> None:
    """Print the main scores averaged over the datasets, one line per chain."""
    import pandas as pd

    from qsmbench.data.score_table import is_fed

    scores = pd.read_parquet(file)
    shown = ["nrmse", "detrended_nrmse", "correlation", "hfen", "xsim", "coverage", "data_consistency", "time"]
    whole = scores[(scores["region"] == "") & scores["support"].isin(["study", "run"]) & scores["metric"].isin(shown)]
    if whole.empty:
        return
    units = dict(zip(whole["metric"], whole["unit"], strict=True))
    made = whole.groupby("chain")["artifact"].agg(lambda names: "chi" if "chi" in set(names) else names.iloc[0])
    whole = whole[whole["artifact"] == whole["chain"].map(made)]  # χ+ and χ− are shown in the report only
    means = whole.pivot_table(index="chain", columns="metric", values="value", aggfunc="mean", dropna=False)
    chains = [c for c in scores["chain"].unique() if not is_fed(c)]  # those of an attribution are in the report
    means = means.reindex(index=chains, columns=[m for m in shown if means.get(m) is not None])
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
