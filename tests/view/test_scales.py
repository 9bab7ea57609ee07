"""Colour scales that show a true map."""

import numpy as np
import pytest

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.packed import pack_map
from qsmbench.view.picture import draw
from qsmbench.view.scales import SHARE, reference_mean, widening

MASK = np.zeros((10, 10, 10), bool)
MASK[1:9] = True


def volume(*values):
    """A volume whose voxels in the mask have these values in equal numbers."""
    found = np.full(MASK.shape, 99.0)
    found[MASK] = np.resize(values, MASK.sum())
    return found


@pytest.mark.parametrize(
    ("artifact", "truth", "factor"),
    [
        ("chi", volume(-0.05, 0.05), 1),
        ("chi", volume(*[0.0] * 9, 5.0), 8),  # all are relative to the mean of 0.5
        ("chi", volume(*[0.0] * 99, 5.0), 1),  # a few stones
        ("chi", volume(0.61, 0.0), 4),  # fat and organs: ± 0.305, on a scale that begins at −0.1
        ("chi", volume(0.61, 0.0) + 100, 4),  # known up to a constant
        ("chi", volume(1e6, 0.0), 64),
        ("r2star", volume(30.0, 40.0), 1),
        ("r2star", volume(30.0, 200.0), 4),  # has its own zero
        ("mask", volume(0, 1), 1),
        ("swi", volume(0.1, 300.0), 1),  # relative to its median
    ],
)
def test_no_more_than_a_quarter_of_the_truth_is_off_the_scale(artifact, truth, factor):
    assert widening(truth, MASK, artifact) == factor
    row = ARTIFACTS[artifact]
    if factor in (4, 8):
        values = truth[MASK] - (0 if row.own_zero else truth[MASK].mean())
        low, high = row.scale.values
        off = [np.mean((values < f * low) | (values > f * high)) for f in (factor / 2, factor)]
        assert off[1] <= SHARE < off[0]


def test_usual_scale_without_a_truth_or_voxels():
    assert widening(None, MASK, "chi") == 1
    assert widening(volume(0.6, 0.0), np.zeros_like(MASK), "chi") == 1
    with pytest.raises(QsmbenchError, match="no colour scale for 'labels'"):
        widening(volume(1), MASK, "labels")


def test_pictures_of_all_results_on_a_scan_have_its_scale(small):
    """A result that is half the truth is half as bright on the scale of the truth."""
    grid, mask = small["params"].grid, small["scan"]["mask"] > 0
    left = np.arange(grid.shape[0])[:, None, None] < grid.shape[0] // 2
    truth = np.where(left, -0.3, 0.3) * np.ones(grid.shape)
    shown = [np.asarray(draw(f * truth, truth, mask, grid, "ppm", "t").convert("L"), float) for f in (0.5, 1.0)]
    assert np.unique(shown[1][68:280]).size > 3  # neither end of the scale
    assert (shown[0] != shown[1]).any() and (shown[0][68:250] == shown[1][68:250]).all()  # the truth is drawn alike


def test_a_part_that_was_not_reconstructed_is_no_error_of_the_rest():
    truth = volume(-0.3, 0.1, 0.7)
    kept = MASK & (np.arange(10)[:, None, None] < 6) & (truth < 0.5)
    grid = Grid(MASK.shape, (1.0, 1.0, 1.0))
    estimate = np.where(kept, truth + 12.3, 0.0)  # known up to a constant
    mean = reference_mean(truth, kept, MASK, "chi")
    assert mean == pytest.approx(truth[kept].mean() - truth[MASK].mean()) and abs(mean) > 0.2
    found = pack_map(estimate, "chi", kept, MASK, grid, mean).values()
    true = pack_map(truth, "chi", MASK, MASK, grid).values()
    both = np.isfinite(found)
    assert both.sum() == kept.sum() and np.abs(found - true)[both].max() < 0.002  # rounded to 0.001
    assert reference_mean(truth, kept, MASK, "r2star") == 0 and reference_mean(None, kept, MASK, "chi") == 0

    exact = np.asarray(draw(estimate, truth, MASK, grid, "ppm", "t", support=kept), float)
    off = np.asarray(
        draw(np.where(kept & (truth < 0), estimate + 0.4, estimate), truth, MASK, grid, "ppm", "t", support=kept), float
    )
    coloured = [(np.ptp(p[-400:-40, 40:-120], axis=-1) > 60).mean() for p in (exact, off)]  # the row of the error
    assert coloured[0] == 0 < coloured[1]
