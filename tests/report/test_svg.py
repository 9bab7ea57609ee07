"""The axes of the charts: the numbers that matplotlib would choose, and marks at their places."""

import re

import numpy as np
import pytest
from matplotlib.cbook import boxplot_stats
from matplotlib.ticker import MaxNLocator

from qsmbench.report._charts import _box
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


def test_boxes_are_those_of_matplotlib():
    values = np.random.default_rng(0).standard_cauchy(30)
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


def test_names_are_text():
    drawn = Panel(10, 10, (0.0, 1.0), (0.0, 1.0), title="<b>").axes(([0.0], ["<i>"]), ([0.0], ["&"]))
    assert "&lt;b&gt;" in drawn and "&lt;i&gt;" in drawn and ">&amp;<" in drawn
