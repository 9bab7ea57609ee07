"""The charts of the report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import escape

from qsmbench.analysis.columns import Column
from qsmbench.analysis.intervals import SUBJECTS
from qsmbench.analysis.regions import Regional
from qsmbench.analysis.results import Study
from qsmbench.analysis.robustness import Curve
from qsmbench.analysis.summary import Table
from qsmbench.report._summary import direction
from qsmbench.report._svg import Layout, Panel, fitting_ticks, gap_between, names_width

ROW = 20.0
"""Height of a chain's line [px]."""

_MANY = 25  # chains from which a panel is so tall that its scale is repeated above it
_COLOURS = ("#3b82c4", "#e0803a", "#3fa46a", "#c9524e", "#8f6bbf", "#b08a3c", "#4fb0b5", "#d078a8", "#7d8795")
_SHAPES = ("●", "■", "▲", "◆", "▼")
_BOX_FROM = 5  # replicates from which quartiles say more than the points alone

Values = Sequence[np.ndarray]
"""Values of each chain."""


def scores_chart(study: Study, table: Table, support: str) -> str:
    """Draw strip plots, one panel per metric and one line per chain: a point per seed, and a box from five seeds on.

    Outliers are drawn as arrows at the border.
    """
    chains = [r.chain for r in (*table.methods, *table.controls)]
    columns = table.measured
    if not chains or not columns:
        return ""
    panels = [_strips(_values(study, table, chains, c, support), c) for c in columns]
    return _of_chains(panels, chains, 3, f"{table.group}: scores of every seed on {support}")


def cost_chart(study: Study, table: Table) -> str:
    """Draw run time and peak memory of every chain: a bar for the mean and a point per seed."""
    chains = [r.chain for r in table.methods]
    if not chains or not table.costs:
        return ""
    panels = [_bars(_values(study, table, chains, c, "run"), c) for c in table.costs]
    return _of_chains(panels, chains, 2, f"{table.group}: run time and peak memory")


def robustness_chart(factor: str, curves: Sequence[Curve], column: Column) -> str:
    """Draw the error of each chain over the levels of a factor, one panel per chain.

    A panel shows the mean over subjects with its interval, the levels within the tolerance shaded, and the best chain
    at each level as a dashed line. Levels are evenly spaced. All panels have one scale, which single chains that are
    far off do not extend.
    """
    levels = [p.level for p in curves[0].points]
    values = np.array([[p.value.estimate for p in c.points] for c in curves])
    best = values.min(axis=0)
    ends = [v for c in curves for p in c.points for v in (p.value.low, p.value.high) if np.isfinite(v)]
    y = _with_margin(*_range(np.array([*values.ravel(), *ends])), 0.06)
    layout = Layout(226, 150, 4, left=70, bottom=48)
    names = f'<text class="x" transform="translate(13 {layout.height / 2:.0f}) rotate(-90)">{_titled(column)}</text>'
    ticks = list(range(len(levels)))
    drawn = []
    for i, curve in enumerate(curves):
        panel = Panel(layout.width, layout.height, (-0.4, len(levels) - 0.6), y, title=curve.chain)
        first, last = levels.index(curve.envelope[0]) - 0.4, levels.index(curve.envelope[-1]) + 0.4
        panel.area([(first, y[0]), (last, y[0]), (last, y[1]), (first, y[1])], "within")
        known = [(k, p.value) for k, p in enumerate(curve.points) if p.value.covers == SUBJECTS]
        if known:
            panel.area([(k, v.low) for k, v in known] + [(k, v.high) for k, v in reversed(known)], "interval")
        panel.lines([list(enumerate(best.tolist()))], "identity")
        places = [(k, p.value.estimate) for k, p in enumerate(curve.points)]
        panel.lines([places], colour="#3b82c4")
        panel.points(places)
        below = f'<text class="x" x="{layout.width / 2:.0f}" y="{layout.height + 36:.0f}">{escape(factor)}</text>'
        axes = panel.axes((ticks, [str(v) for v in levels]), fitting_ticks(*y, np.inf, 5), names=i % layout.across == 0)
        drawn.append(axes + below)
    return layout.svg(drawn, f"{column.label} of each chain over {factor}", [names] * -(-len(curves) // layout.across))


def regional_chart(regional: Regional) -> str:
    """Draw reconstructed against true regional means, one panel per chain, with the line of identity."""
    true = {r: t.mean for r, t in regional.truth.items() if np.isfinite(t.mean)}
    if not regional.rows or not true:
        return ""
    ends = min(true.values()), max(true.values())
    means = np.array([c.mean for row in regional.rows for r, c in row.cells.items() if np.isfinite(c.mean)])
    low, high = _range(means) if means.size else ends
    x, y = _with_margin(*ends, 0.05), _with_margin(min(low, ends[0]), max(high, ends[1]), 0.08)
    x_ticks, y_ticks = fitting_ticks(*x, 226, 6), fitting_ticks(*y, np.inf, 8)
    layout = Layout(226, 202, 4, left=78, bottom=48, gap=gap_between(x_ticks[1]))
    marks = dict(zip(regional.truth, _marks(len(regional.truth)), strict=True))
    panels = []
    for i, row in enumerate(regional.rows):
        panel = Panel(layout.width, layout.height, x, y, title=row.chain)
        panel.lines([[(ends[0], ends[0]), (ends[1], ends[1])]], "identity")
        for region, cell in row.cells.items():
            if region in true and np.isfinite(cell.mean):
                colour, shape = marks[region]
                if np.isfinite(cell.sd):
                    ends_of_bar = [(true[region], cell.mean - cell.sd), (true[region], cell.mean + cell.sd)]
                    panel.lines([ends_of_bar], colour=colour)
                panel.mark(true[region], cell.mean, colour, shape)
        panels.append(panel.axes(x_ticks, y_ticks, names=i % layout.across == 0))
    return layout.svg(
        panels, f"{regional.group}: reconstructed over true regional means", _axis_names(layout, regional)
    )


def regional_key(regional: Regional) -> list[tuple[str, str, str]]:
    """Return colour, shape and name of each region; nothing if there are too many to distinguish."""
    if len(regional.truth) > len(_COLOURS) * len(_SHAPES):
        return []
    marks = zip(regional.truth, _marks(len(regional.truth)), strict=True)
    return [(colour, _SHAPES[shape], region) for region, (colour, shape) in marks]


def _marks(count: int) -> list[tuple[str, int]]:
    return [(_COLOURS[i % len(_COLOURS)], i // len(_COLOURS) % len(_SHAPES)) for i in range(count)]


def _axis_names(layout: Layout, regional: Regional) -> list[str]:
    """Return the names of both axes, for each row of panels."""
    below, beside, unit = layout.height + 36, layout.height / 2, escape(regional.unit)
    found = []
    for first in range(0, len(regional.rows), layout.across):
        across = min(layout.across, len(regional.rows) - first)
        middle = layout.left + (across * layout.width + (across - 1) * layout.gap) / 2
        found.append(
            f'<text class="x" x="{middle:.0f}" y="{below:.0f}">true mean [{unit}]</text>'
            f'<text class="x" transform="translate(13 {beside:.0f}) rotate(-90)">reconstructed mean [{unit}]</text>'
        )
    return found


def _values(study: Study, table: Table, chains: Sequence[str], column: Column, support: str) -> Values:
    """Return the values of each chain."""
    return [study.replicates.values(table.group, table.artifact, chain, column, support) for chain in chains]


def _of_chains(panels: Sequence[Panel], chains: Sequence[str], across: int, label: str) -> str:
    """Return panels with a line per chain; the first panel of each row shows the names."""
    many = len(chains) > _MANY
    first, scales = panels[0], [fitting_ticks(*p.x, p.width, 5) for p in panels]
    gap = gap_between(label for _, labels in scales for label in labels)
    layout = Layout(first.width, first.height, across, names_width(chains), top=46 if many else 28, gap=gap)
    drawn = []
    for i, (panel, x) in enumerate(zip(panels, scales, strict=True)):
        drawn.append(panel.axes(x, (range(len(chains)), chains), names=i % across == 0, above=many))
    return layout.svg(drawn, label)


def _panel(width: float, x: tuple[float, float], chains: int, c: Column) -> Panel:
    """Return a panel of a metric with a line per chain, the first on top."""
    return Panel(width, ROW * chains + 9, x, (chains - 0.275, -0.725), _titled(c), direction(c))


def _titled(c: Column) -> str:
    return c.label + (f" [{c.unit}]" if c.unit else "")


def _strips(values: Values, c: Column) -> Panel:
    """Draw the values of each chain on a line, within a range that single outliers do not extend."""
    low, high = _range(np.concatenate(values)) if any(v.size for v in values) else (0.0, 1.0)
    panel = _panel(298, _with_margin(low, high, 0.06), len(values), c)
    boxes = [line for y, v in enumerate(values) if v.size >= _BOX_FROM for line in _box(v, y)]
    panel.lines(boxes)
    panel.points((x, y) for y, v in enumerate(values) for x in v.tolist() if low <= x <= high)
    for y, v in enumerate(values):
        if (v < low).any():
            panel.beyond(y, right=False)
        if (v > high).any():
            panel.beyond(y, right=True)
    return panel


def _bars(values: Values, c: Column) -> Panel:
    """Draw the mean of each chain as a bar, and its values."""
    longest = max((v.max() for v in values if v.size), default=0.0)
    panel = _panel(461, (0.0, 1.05 * float(longest) or 1.0), len(values), c)
    panel.bars([float(v.mean()) if v.size else 0.0 for v in values])
    panel.points((x, y) for y, v in enumerate(values) for x in v.tolist())
    return panel


def _box(values: np.ndarray, y: float) -> list[list[tuple[float, float]]]:
    """Return the lines of quartiles and whiskers, which end at the last values within 1.5 interquartile ranges."""
    ordered = sorted(values.tolist())
    low, middle, high = (_quantile(ordered, share) for share in (0.25, 0.5, 0.75))
    reach = 1.5 * (high - low)
    first = min(next(v for v in ordered if v >= low - reach), low)
    last = max(next(v for v in reversed(ordered) if v <= high + reach), high)
    a, b, cap_a, cap_b = y - 0.275, y + 0.275, y - 0.14, y + 0.14
    return [
        [(low, a), (high, a), (high, b), (low, b), (low, a)],
        [(middle, a), (middle, b)],
        [(first, y), (low, y)],
        [(high, y), (last, y)],
        [(first, cap_a), (first, cap_b)],
        [(last, cap_a), (last, cap_b)],
    ]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Return a quantile of sorted values, by linear interpolation; for a few values far faster than NumPy's."""
    place = share * (len(ordered) - 1)
    below = int(place)
    return ordered[below] + (place - below) * (ordered[min(below + 1, len(ordered) - 1)] - ordered[below])


def _range(values: np.ndarray) -> tuple[float, float]:
    """Return the range of the values within three interquartile ranges of the quartiles."""
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low) or np.inf
    near = values[(values >= low - reach) & (values <= high + reach)]
    return float(near.min()), float(near.max())


def _with_margin(low: float, high: float, share: float) -> tuple[float, float]:
    """Return a range with a margin, which is relative to the value if the range has a single one."""
    margin = share * ((high - low) or abs(low) or 1.0)
    return low - margin, high + margin
