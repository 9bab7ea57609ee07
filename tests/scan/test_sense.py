"""Parallel imaging: what is unfolded, and the noise that it costs."""

from itertools import pairwise

import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.scan.coils import Coils, combine, sensitivities
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.sense import padded, unfold

GRID = Grid((24, 24, 8), (12, 12, 16))
ORIGIN = (5.0, -3.0, 2.0)
FACTORS = [(1, 2, 1), (2, 1, 1), (1, 3, 1), (2, 2, 1)]


def protocol(factor, **more):
    coils = {"count": 12, "acceleration": list(factor), **more}
    readout = next("xyz"[i] for i in (2, 1, 0) if factor[i] == 1)
    return load_protocol("brain-3t", {"coils": coils, "readout.axis": readout, "te": [0.005, 0.01]})


def image(grid, seed=0):
    rng = np.random.default_rng(seed)
    shape = (*grid.shape, 2)
    return (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(np.complex64)


def matrix(grid, coils):
    """The sensitivities, (nx, ny, nz, n_coils)."""
    return np.stack(list(sensitivities(coils, grid, ORIGIN)), -1).astype(complex)


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", [(24, 24, 8), (23, 19, 7)])
def test_without_noise_it_is_the_image_of_the_matched_filter(factor, shape):
    """Also where the factor does not divide the number of voxels."""
    grid = Grid(shape, (12, 14, 16))
    y, chosen = image(grid), protocol(factor)
    found = received(y.copy(), chosen, grid, ORIGIN, 0.0, seed=0)
    plain = received(y.copy(), protocol((1, 1, 1)), grid, ORIGIN, 0.0, seed=0)
    assert found.shape == plain.shape and found.dtype == np.complex64
    assert np.abs(found - plain).max() < 1e-3 * np.abs(plain).max()


@pytest.mark.parametrize("factor", FACTORS)
def test_noise_follows_the_g_factor(factor):
    """Its variance and its correlation between folded voxels, against (SᴴS)⁻¹ voxel by voxel."""
    chosen, sigma, grid = protocol(factor), 0.3, Grid((12, 12, 4), (24, 24, 32))
    s = matrix(grid, chosen.coils)
    nothing = np.zeros((*grid.shape, 500), np.complex64)  # an echo is a draw of the noise
    draws = received(nothing, chosen, grid, ORIGIN, sigma, seed=0)
    steps = [n // f for n, f in zip(grid.shape, factor, strict=True)]
    rng = np.random.default_rng(1)
    ratios, correlations = [], []
    for _ in range(40):
        first = [int(rng.integers(m)) for m in steps]
        partners = [tuple(np.array(first) + np.array([i, j, k]) * steps) for i, j, k in np.ndindex(*factor)]
        own = np.array([s[p] for p in partners]).T  # (n_coils, R)
        inverse = np.linalg.inv(own.conj().T @ own)
        weight = np.sqrt(np.sum(np.abs(own) ** 2, axis=0))
        expected = 2 * sigma**2 * len(partners) * inverse * np.outer(weight, weight)
        values = np.array([draws[p] for p in partners])
        measured = values @ values.conj().T / draws.shape[-1]
        ratios += list(np.diag(measured).real / np.diag(expected).real)
        size = np.sqrt(np.outer(np.diag(expected).real, np.diag(expected).real))
        correlations += list(((measured - expected) / size).ravel())
        assert (np.diag(expected).real >= 2 * sigma**2 * len(partners) * (1 - 1e-9)).all()  # g is at least 1
    assert np.mean(ratios) == pytest.approx(1, abs=0.02)
    assert np.abs(correlations).max() < 6 / np.sqrt(draws.shape[-1])


def test_folding_is_leaving_out_lines_of_k_space():
    """The images of every second line, by a Fourier transform of half of them, unfold to the same."""
    chosen = protocol((1, 2, 1))
    y, s = image(GRID), matrix(GRID, chosen.coils)
    lines = np.fft.fft(y[..., None, :] * s[..., None], axis=1)[:, ::2]
    folded = np.fft.ifft(lines, axis=1)  # (nx, ny/2, nz, n_coils, n_echoes)
    half = GRID.shape[1] // 2
    at = (7, 3, 5)
    own = np.stack([s[at], s[at[0], at[1] + half, at[2]]], -1)
    solved = np.linalg.lstsq(own, folded[at], rcond=None)[0]
    weight = np.sqrt(np.sum(np.abs(own) ** 2, axis=0))
    found = received(y.copy(), chosen, GRID, ORIGIN, 0.0, seed=0)
    expected = solved * weight[:, None]
    np.testing.assert_allclose(found[at], expected[0], rtol=1e-4)
    np.testing.assert_allclose(found[at[0], at[1] + half, at[2]], expected[1], rtol=1e-4)


def test_noise_grows_with_acceleration():
    sizes = []
    for factor in ((1, 1, 1), (1, 2, 1), (1, 4, 1)):
        noise = received(np.zeros((*GRID.shape, 2), np.complex64), protocol(factor), GRID, ORIGIN, 1.0, seed=0)
        sizes.append(np.median(np.abs(noise)))
    assert sizes[1] == pytest.approx(np.sqrt(2) * sizes[0], rel=0.1)  # g is near 1
    assert all(b > 1.3 * a for a, b in pairwise(sizes))


def test_factors_of_one_change_nothing():
    coils = Coils(count=3)
    y = image(GRID)
    given = lambda: ((y * s[..., None], s) for s in sensitivities(coils, GRID, ORIGIN))  # noqa: E731
    np.testing.assert_allclose(
        unfold(given, (1, 1, 1)), combine(coils, given, [0.01, 0.02], GRID), rtol=1e-4, atol=1e-5
    )
    assert padded(GRID, (1, 1, 1)).shape == GRID.shape and padded(GRID, (5, 7, 1)).shape == (25, 28, 8)
    np.testing.assert_array_equal(padded(GRID, (5, 7, 1)).affine, GRID.affine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"coils": {"count": 3, "acceleration": [1, 2, 2]}}, "3 coils unfold at most 3 voxels"),
        ({"coils": {"count": 8, "acceleration": [2, 1, 1]}}, "2 along x, which is not phase-encoded; choose from y, z"),
        ({"coils": {"count": 8, "acceleration": [1, 2, 1], "combine": "mcpc"}}, "combine is mcpc; it must be ideal"),
        ({"coils": {"count": 8, "acceleration": [1, 0, 1]}}, "coils.acceleration"),
        (
            {"coils": {"count": 8, "acceleration": [1, 2, 1]}, "motion": {"poses": 2, "translate": 1, "rotate": 1}},
            "and there is motion; choose one of them",
        ),
        (
            {"coils": {"count": 8, "acceleration": [1, 2, 1]}, "breathing": {"field": [0.1], "period": 4}},
            "and there is breathing; choose one of them",
        ),
    ],
)
def test_impossible_accelerations(change, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        load_protocol("brain-3t", {"readout.axis": "x", "te": [0.005, 0.01], **change})
    assert "\n" not in str(caught.value)


def test_coils_that_do_not_tell_voxels_apart():
    ones = np.ones(GRID.shape, np.complex64)
    with pytest.raises(QsmbenchError, match="do not tell the folded voxels apart"):
        unfold(lambda: iter([(image(GRID), ones), (image(GRID), ones)]), (1, 2, 1))


def test_a_ring_cannot_be_accelerated_along_its_axis():
    with pytest.raises(QsmbenchError, match="2 along z, the axis of the ring of coils"):
        received(image(GRID), protocol((1, 1, 2), count=4), GRID, ORIGIN, 0.0, seed=0)
