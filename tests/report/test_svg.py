"""The axes of the charts: the numbers that matplotlib would choose, and marks at their places."""

import re
from itertools import pairwise

import numpy as np
import pytest
from matplotlib.cbook import boxplot_stats
from matplotlib.ticker import MaxNLocator

from qsmbench.analysis.columns import column
from qsmbench.analysis.intervals import Interval
from qsmbench.analysis.regions import Regional, RegionalRow
from qsmbench.analysis.replicates import Cell
from qsmbench.analysis.robustness import Curve, Point
from qsmbench.report._charts import _box, regional_chart, robustness_chart
from qsmbench.report._svg import Panel, fitting_ticks, tick_labels, ticks

RANGES = [(0.0, 1.0), (-0.031, 0.052), (37.2, 104.0), (1.02, 1.13), (0.0, 873.0), (-4.1e-4, 3.2e-3), (99.71, 99.93)]


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("most", [3, 5, 8])
def test_ticks_are_round_and_as_many_as_matplotlibs(low, high, most):
    theirs = MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    theirs = theirs[(theirs >= low - 1e-12) & (theirs <= high + 1e-12)]
    assert ticks(low, high, most) == pytest.approx(theirs.tolist(), abs=1e-12)


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.0, 0.25, 0.5], ["0.00", "0.25", "0.50"]),
        ([-0.1, 0.0, 0.1], ["−0.1", "0.0", "0.1"]),
        ([0.0, 50.0, 100.0], ["0", "50", "100"]),
        ([1e7, 2e7], ["1e+07", "2e+07"]),
        ([], []),
    ],
)
def test_labels_have_the_digits_that_they_need(values, labels):
    assert tick_labels(values) == labels


@pytest.mark.parametrize(("low", "high"), [*RANGES, (1 - 1e-9, 1 + 1e-9), (5.0, 5.0)])
def test_labels_fit_the_axis_and_differ(low, high):
    values, labels = fitting_ticks(low, high, 226, 6)
    assert len(values) == len(labels) == len(set(labels))
    assert sum(len(label) * 6.6 + 12 for label in labels) <= 226


@pytest.mark.parametrize("count", [5, 6, 7, 8, 30])
def test_boxes_are_those_of_matplotlib(count):
    values = np.random.default_rng(0).standard_cauchy(count)
    (theirs,) = boxplot_stats(values)
    ring, median, first, last, *_ = _box(values, 2.0)
    assert (ring[0][0], ring[1][0], median[0][0]) == pytest.approx((theirs["q1"], theirs["q3"], theirs["med"]))
    assert (first[0][0], last[1][0]) == pytest.approx((theirs["whislo"], theirs["whishi"]))


def test_marks_lie_at_their_values():
    panel = Panel(200, 100, (10.0, 20.0), (0.0, 4.0))
    panel.points([(10.0, 0.0), (15.0, 3.0)])
    assert [re.findall(r'c[xy]="([\d.]+)"', p) for p in panel.inside] == [["0.0", "100.0"], ["100.0", "25.0"]]
    panel.bars([15.0])  # a bar starts at 0, however far that lies beyond the border
    assert re.search(r'x="(-?[\d.]+)".* width="([\d.]+)"', panel.inside[-1]).groups() == ("-200.0", "300.0")


def test_labels_of_panels_side_by_side_do_not_touch():
    """Regional means from 0 to 0.1 ppm, whose axes end in labels of five digits; the last row has one panel."""
    truth = {r: Cell(v, 0.0, 1) for r, v in (("a", 0.004), ("b", 0.096))}
    rows = [RegionalRow(chain, truth) for chain in "stuvw"]
    svg = regional_chart(Regional("g", "chi", "study", "ppm", True, truth, rows))
    panels = re.findall(r'<g transform="translate\(([\d.]+) [\d.]+\)">(.*?)</g>', svg)
    ends = []
    for left, panel in panels[:4]:
        labels = re.findall(r'<text class="x" x="([\d.]+)" y="[\d.]+">([\d.]+)<', panel)
        ends += [(float(left) + float(x) - 3.3 * len(t), float(left) + float(x) + 3.3 * len(t)) for x, t in labels]
    assert len(ends) > 12 and all(right < left for (_, right), (left, _) in pairwise(ends))
    middles = [float(x) for x in re.findall(r'x="(\d+)" y="\d+">true mean', svg)]
    (first, *_, fourth), last = [float(left) for left, _ in panels[:4]], float(panels[4][0])
    assert middles == pytest.approx([(first + fourth + 226) / 2, last + 113], abs=1)


def test_names_are_text():
    drawn = Panel(10, 10, (0.0, 1.0), (0.0, 1.0), title="<b>").axes(([0.0], ["<i>"]), ([0.0], ["&"]))
    assert "&lt;b&gt;" in drawn and "&lt;i&gt;" in drawn and ">&amp;<" in drawn


def test_robustness_is_drawn_at_the_levels_with_intervals_and_envelope():
    """Two chains at three levels, evenly spaced whatever their values; the positions follow from the panel's size."""
    error = column("nrmse", "%")

    def curve(chain, values, envelope, spread):
        points = []
        for level, v in zip((10, 50, 100), values, strict=True):
            own = Interval(v, v - spread, v + spread, 3, 3, "subjects" if spread else "nothing")
            points.append(Point(level, own, own, True, True))
        return Curve(chain, True, 100, points, envelope)

    curves = [curve("a", (60.0, 42.0, 40.0), [50, 100], 2.0), curve("b", (50.0, 49.0, 48.0), [10, 50, 100], 0.0)]
    svg = robustness_chart("snr", curves, error)
    first, second, _ = svg.split("<g ")[1:]
    places = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', first)
    across = [float(x) for x, _ in places]
    assert across == pytest.approx([226 * (k + 0.4) / 2.8 for k in range(3)], abs=0.06)
    down = [float(y) for _, y in places]
    per_percent = (down[0] - down[1]) / (42 - 60)
    assert down[2] - down[1] == pytest.approx(2 * per_percent, abs=0.2) and per_percent > 0
    (within,) = re.findall(r'class="within" d="M([\d.]+) [\d.]+L([\d.]+) ', first)
    assert [float(v) for v in within] == pytest.approx([226 * 1.0 / 2.8, 226.0], abs=0.06)
    (interval,) = re.findall(r'class="interval" d="M(.*?)Z"', first)
    ys = [float(p.split()[1]) for p in interval.split("L")]
    assert ys[0] - ys[-1] == pytest.approx(4 * per_percent, abs=0.2)  # from 58 to 62 at the first level
    assert 'class="interval"' not in second  # one subject
    dashed = re.findall(r'class="identity" d="(.*?)"', svg)
    assert dashed[0] == dashed[1]
    y_of_best = [float(p.split()[1]) for p in dashed[0][1:].split("L")]
    assert y_of_best[1:] == pytest.approx(down[1:], abs=0.11) and y_of_best[0] > down[0]  # b is best at 10, a later
    assert svg.count(">snr</text>") == 2 and ">NRMSE [%]</text>" in svg
