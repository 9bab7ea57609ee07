"""Attribution of the error: parts add up, the spoilt stage is found, and shares are those of closed forms."""

import numpy as np
import pytest

from qsmbench.analysis import attribution as a
from qsmbench.grid import Grid
from qsmbench.metrics.nrmse import nrmse

GRID = Grid((24, 26, 22), (1.0, 1.2, 1.5), (0.0, 0.6, 0.8))
X, Y, Z = GRID.axes()
MASK = X**2 + Y**2 + Z**2 < 100
RNG = np.random.default_rng(0)
TRUTH = 0.05 * np.sin(X / 3) * np.cos(Y / 4) + 0 * Z


def stage(size, seed):
    return size * np.random.default_rng(seed).normal(0, 1, GRID.shape)


def maps(sizes, lost=0):
    """Maps of a chain whose stage j adds an independent error of the given size; some voxels are lost in the first."""
    found = [TRUTH + sum(stage(s, i) for i, s in enumerate(sizes) if i >= j) for j in range(len(sizes))]
    support = MASK & (10 - lost > X) if lost else MASK
    return [(m, support if j == 0 else MASK) for j, m in enumerate(found)]


@pytest.mark.parametrize("lost", [0, 4])
@pytest.mark.parametrize("spoilt", [0, 1, 2, 3])
@pytest.mark.parametrize("strength", [0.02, 0.3])
def test_a_spoilt_stage_is_found(spoilt, strength, lost):
    sizes = [0.005] * 4
    sizes[spoilt] = strength
    found = a.parts(maps(sizes, lost), TRUTH, MASK)
    assert found.sum() == pytest.approx(1, abs=1e-9)
    assert np.argmax(found[:4]) == spoilt
    total = sum(s**2 for s in sizes)
    if not lost:
        assert found[:4] == pytest.approx([s**2 / total for s in sizes], abs=0.03) and found[4] == 0


def test_the_error_is_that_of_the_nrmse_and_coverage_is_a_part():
    made = maps([0.01, 0.02, 0.01], lost=5)
    estimate, support = made[0]
    values = np.zeros(GRID.shape)
    values[support] = estimate[support] - estimate[support].mean()
    true = np.where(MASK, TRUTH - TRUTH[MASK].mean(), 0)
    gone = MASK & ~support
    error = float(np.square((values - true)[MASK]).sum())
    assert a.parts(made, TRUTH, MASK)[-1] == pytest.approx(np.square(true[gone]).sum() / error, rel=1e-6)
    score = nrmse(estimate=values, truth=TRUTH, mask=MASK)
    assert 100 * np.sqrt(error / np.square(true).sum()) == pytest.approx(score, rel=2e-2)


def test_opposite_errors_have_a_negative_part():
    one, two = stage(0.02, 1), stage(0.01, 2)
    made = [(TRUTH + one - 0.5 * one + two, MASK), (TRUTH - 0.5 * one + two, MASK)]  # the second stage undoes half
    found = a.parts(made, TRUTH, MASK)
    assert found.sum() == pytest.approx(1, abs=1e-9) and found[0] > 0.9 and found[1] < 0.2


def test_a_perfect_chain_has_no_parts():
    assert np.isnan(a.parts([(TRUTH, MASK), (TRUTH, MASK)], TRUTH, MASK)).all()


def test_shares_by_distance_to_the_edge():
    error = np.where(X**2 + Y**2 + Z**2 < 6**2, 0, 1.0)
    found = a.by_distance(error, MASK, GRID)
    assert sum(found.values()) == pytest.approx(1) and list(found) == ["0–2 mm", "2–4 mm", "4–8 mm", "8–16 mm"]
    assert found["8–16 mm"] == 0 and found["0–2 mm"] > 0.3
    whole = np.ones(GRID.shape, bool)  # the border of the grid is an edge, too
    assert next(iter(a.by_distance(np.ones(GRID.shape), whole, GRID))) == "0–2 mm"


def test_shares_by_tissue():
    labels = (X > 0).astype(int) + 2 * (Y > 0) + np.zeros(GRID.shape, int)
    regions = [(1, "left", "gm"), (2, "back", "wm"), (3, "both", "wm")]
    error = labels + 1.0
    found = a.by_tissue(error, MASK, labels, regions)
    squares = {i: float(((labels + 1.0) ** 2)[MASK & (labels == i)].sum()) for i in range(4)}
    total = sum(squares.values())
    expected = {"gm": squares[1] / total, "wm": (squares[2] + squares[3]) / total, "other": squares[0] / total}
    assert found == pytest.approx(expected)


def test_shares_in_and_off_the_cone():
    whole = np.ones(GRID.shape, bool)
    nx = GRID.shape[0]
    along_x = np.broadcast_to(np.cos(2 * np.pi * 3 * np.arange(nx) / nx)[:, None, None], GRID.shape)  # D = 1/3
    assert a.by_cone(along_x, whole, GRID)["in the cone"] == pytest.approx(0, abs=1e-9)
    k = np.stack(
        np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(GRID.shape, GRID.voxel_size, strict=True)), indexing="ij")
    )
    size = np.square(k).sum(0)
    size[0, 0, 0] = 1
    kernel = 1 / 3 - np.square(np.tensordot(GRID.b0_dir, k, 1)) / size
    place = np.unravel_index(np.argmin(np.abs(kernel)), GRID.shape)
    phase = 2 * np.pi * sum(p * np.arange(n).reshape([-1 if i == j else 1 for j in range(3)]) / n
                            for i, (p, n) in enumerate(zip(place, GRID.shape, strict=True)))  # fmt: skip
    assert a.by_cone(np.cos(phase), whole, GRID) == pytest.approx({"in the cone": 1, "off the cone": 0}, abs=1e-9)
    noise = RNG.normal(0, 1, GRID.shape)
    share = (np.abs(kernel) < a.CONE).mean()
    assert a.by_cone(noise, whole, GRID)["in the cone"] == pytest.approx(share, abs=0.02)
