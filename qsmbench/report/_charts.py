"""The charts of the report, as SVG that takes its ink from the page, so that it reads on light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from qsmbench.analysis.columns import Column
from qsmbench.analysis.regions import Regional
from qsmbench.analysis.replicates import whole_mask
from qsmbench.analysis.results import Study
from qsmbench.analysis.summary import Table
from qsmbench.report._summary import direction

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

INK = "#010203"
"""Stands for the text colour of the page; replaced in the SVG."""

_FAINT, _METHOD, _CONTROL = "#8a8f98", "#3b82c4", "#a0a4ab"
_REGIONS = ("#3b82c4", "#e0803a", "#3fa46a", "#c9524e", "#8f6bbf", "#b08a3c", "#4fb0b5", "#d078a8", "#7d8795")
_BOX_FROM = 5  # replicates from which quartiles say more than the points alone
_STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "qsmbench",
    "text.parse_math": False,  # a dollar in a name is a dollar
    "font.family": "sans-serif",
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
}


def scores_chart(study: Study, table: Table, support: str, name: str) -> str:
    """Draw strip plots, one panel a metric and one line a chain: a point per seed, and a box from five seeds on.

    Points far beyond the others are drawn as arrows at the border.
    """
    chains = [r.chain for r in (*table.methods, *table.controls)]
    columns = table.measured
    if not chains or not columns:
        return ""
    mine = study.scores[(study.scores["group"] == table.group) & study.scores["value"].notna()]
    figure, panels = _panels(len(columns), 3, (3.1, 0.21 * len(chains) + 0.3), _names_width(chains), sharey=True)
    for axes, c in zip(panels, columns, strict=False):
        _strips(axes, _values(whole_mask(mine, table.artifact, c, support), chains), c)
        axes.set_yticks(range(len(chains)), chains)
    panels[0].invert_yaxis()  # the others share its axis
    return _svg(figure, name, f"{table.group}: scores of every seed on {support}")


def cost_chart(study: Study, table: Table, name: str) -> str:
    """Draw run time and peak memory of every chain: the mean as a bar, a point per seed."""
    columns = table.costs
    chains = [r.chain for r in table.methods]
    if not chains or not columns:
        return ""
    mine = study.scores[(study.scores["group"] == table.group) & study.scores["value"].notna()]
    figure, panels = _panels(len(columns), 2, (4.8, 0.21 * len(chains) + 0.3), _names_width(chains), sharey=True)
    for axes, c in zip(panels, columns, strict=False):
        values = _values(whole_mask(mine, table.artifact, c, "run"), chains)
        axes.barh(range(len(chains)), [v.mean() if v.size else 0 for v in values], 0.6, color=_METHOD, alpha=0.45)
        _points(axes, values, _METHOD)
        axes.set_yticks(range(len(chains)), chains)
        _head(axes, c)
    panels[0].invert_yaxis()
    return _svg(figure, name, f"{table.group}: run time and peak memory")


def regional_chart(regional: Regional, name: str) -> str:
    """Draw reconstructed over true regional means, one panel a chain, with the line of identity."""
    if not regional.rows or not any(np.isfinite(t.mean) for t in regional.truth.values()):
        return ""
    figure, panels = _panels(len(regional.rows), 4, (2.35, 2.1), 0.75, head=0.45, sharex=True, sharey=True)
    true = {r: t.mean for r, t in regional.truth.items()}
    ends = np.array([min(true.values()), max(true.values())])
    for axes, row in zip(panels, regional.rows, strict=False):
        axes.plot(ends, ends, color=_FAINT, linewidth=0.8, linestyle=(0, (4, 3)))
        for i, (region, cell) in enumerate(row.cells.items()):
            sd = cell.sd if np.isfinite(cell.sd) else None
            colour = _REGIONS[i % len(_REGIONS)]
            axes.errorbar(true[region], cell.mean, sd, fmt="o", color=colour, markersize=4, elinewidth=1)
        axes.set_title(row.chain, fontsize=8, loc="left", color=INK)
        axes.grid(color=_FAINT, alpha=0.25, linewidth=0.5)
    _clip(panels, [c.mean for r in regional.rows for c in r.cells.values()], ends)
    figure.text(0.5, 0.01, f"true mean [{regional.unit}]", ha="center", va="bottom")
    figure.text(0.01, 0.5, f"reconstructed mean [{regional.unit}]", rotation=90, ha="left", va="center")
    labels = [_legend_point(_REGIONS[i % len(_REGIONS)], r) for i, r in enumerate(true)]
    if len(labels) <= len(_REGIONS):
        figure.legend(handles=labels, loc="upper left", ncols=5, frameon=False, fontsize=8)
    return _svg(figure, name, f"{regional.group}: reconstructed over true regional means")


def _values(rows: pd.DataFrame, chains: Sequence[str]) -> list[np.ndarray]:
    """Return the values of each chain."""
    return [rows.loc[rows["chain"] == chain, "value"].to_numpy() for chain in chains]


def _panels(
    count: int,
    across: int,
    size: tuple[float, float],
    left: float,
    *,
    head: float = 0.0,
    sharex: bool = False,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels of `size` [inch], `across` in a row, with room to their left and above them."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        across = min(across, count)
        down = -(-count // across)
        # Placed by hand: matplotlib's automatic layout would draw every figure twice.
        gap_x, gap_y, right, bottom, top = 0.25, 0.55, 0.2, 0.5, 0.3 + head
        width = left + across * size[0] + (across - 1) * gap_x + right
        height = top + down * size[1] + (down - 1) * gap_y + bottom
        figure = Figure(figsize=(width, height))
        grid = figure.subplots(down, across, squeeze=False, sharex=sharex, sharey=sharey)
        figure.subplots_adjust(
            left / width, bottom / height, 1 - right / width, 1 - top / height, gap_x / size[0], gap_y / size[1]
        )
    panels = list(grid.flat)
    for axes in panels[count:]:
        axes.set_visible(False)
    return figure, panels[:count]


def _names_width(names: Sequence[str]) -> float:
    """Return the width of the names beside an axis [inch]."""
    return 0.2 + 0.072 * max(map(len, names))


def _strips(axes: Axes, values: Sequence[np.ndarray], c: Column) -> None:
    """Draw the values of each chain on a line, within a range that lone outliers do not stretch."""
    inliers = _range(np.concatenate(values)) if any(v.size for v in values) else (0.0, 1.0)
    for y, v in enumerate(values):
        if v.size >= _BOX_FROM:
            _box(axes, v, y)
    _points(axes, [v[(v >= inliers[0]) & (v <= inliers[1])] for v in values], _METHOD)
    for y, v in enumerate(values):
        for edge, marker, beyond in ((0.0, "<", v < inliers[0]), (1.0, ">", v > inliers[1])):
            if beyond.any():
                across = axes.get_yaxis_transform()
                axes.plot(edge, y, marker, color="#c9524e", markersize=5, clip_on=False, transform=across)
    margin = 0.06 * ((inliers[1] - inliers[0]) or abs(inliers[0]) or 1.0)
    axes.set_xlim(inliers[0] - margin, inliers[1] + margin)
    _head(axes, c)


def _box(axes: Axes, values: np.ndarray, y: float) -> None:
    """Draw quartiles and whiskers behind the points."""
    ink: dict[str, Any] = {"color": _FAINT}
    axes.boxplot(
        values,
        positions=[y],
        orientation="horizontal",
        widths=0.55,
        showfliers=False,
        manage_ticks=False,
        boxprops=ink,
        whiskerprops=ink,
        capprops=ink,
        medianprops=ink,
    )


def _points(axes: Axes, values: Sequence[np.ndarray], colour: str) -> None:
    """Draw one point per seed."""
    for y, v in enumerate(values):
        axes.plot(v, np.full(v.size, y), "o", color=colour, markersize=4.2, alpha=0.75, markeredgewidth=0)


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the range of the values within three interquartile ranges of the quartiles."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low) or np.inf
    near = values[(values >= low - reach) & (values <= high + reach)]
    return float(near.min()), float(near.max())


def _clip(panels: Sequence[Axes], values: Sequence[float], ends: np.ndarray) -> None:
    """Show the line of identity, and keep outliers of one chain from squeezing the panels of the others."""
    low, high = _range(np.array([v for v in values if np.isfinite(v)]))
    low, high = min(low, float(ends[0])), max(high, float(ends[1]))
    margin = 0.08 * (high - low) or 0.01
    panels[0].set_ylim(low - margin, high + margin)


def _head(axes: Axes, c: Column) -> None:
    """Write name, unit and direction of a panel."""
    axes.set_title(c.label + (f" [{c.unit}]" if c.unit else ""), fontsize=9, loc="left", color=INK)
    axes.set_title(direction(c), fontsize=7.5, loc="right", color=_FAINT)
    axes.grid(axis="both", color=_FAINT, alpha=0.25, linewidth=0.5)
    axes.tick_params(length=2)
    axes.locator_params(axis="x", nbins=5)


def _legend_point(colour: str, label: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", marker="o", color=colour, label=label, markersize=4)


def _svg(figure: Figure, name: str, title: str) -> str:
    """Return the figure as an SVG element: no metadata, own ids, ink of the page, a label for screen readers."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context(_STYLE):  # type: ignore[arg-type]
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="', f'id="{name}-', text)
    text = re.sub(r"url\(#", f"url(#{name}-", text)
    text = re.sub(r'xlink:href="#', f'xlink:href="#{name}-', text)
    text = text.replace(INK, "currentColor").replace("'DejaVu Sans', ", "")
    width = re.search(r'width="([\d.]+)pt"', text)
    points = float(width.group(1)) if width else 600.0
    text = re.sub(r' (width|height)="[\d.]+pt"', "", text, count=2)
    label = re.sub(r"[^\w .:,×±-]", " ", title)
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" style="width:{points * 4 / 3:.0f}px" ', 1)
