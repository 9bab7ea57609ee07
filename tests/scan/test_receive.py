"""B1 and coils: laws of the fields, and what combining leaves."""

import numpy as np
import pytest
from objects import protons

from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.scan import b1
from qsmbench.scan.b1 import Dome
from qsmbench.scan.coils import Coils, combine, root_sum_of_squares, sensitivities, whole_turns
from qsmbench.scan.geometry import rotation_matrix
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.receive import received
from qsmbench.scan.signal import spoiled_gre
from qsmbench.scan.simulate import simulate

GRID = Grid((24, 20, 16), (6, 7, 8))
ORIGIN = (0.0, 0.0, 0.0)
TE = [0.005, 0.010, 0.015]


def test_dome_has_the_values_that_it_is_given_by():
    grid = Grid((41, 3, 3), (10, 10, 10))
    profile = b1.evaluate(Dome(center=1.2, edge=0.6), grid, ORIGIN)[:, 1, 1]
    assert profile[20] == pytest.approx(1.2)
    assert profile[10] == pytest.approx(0.6)
    assert profile[30] == pytest.approx(0.6)


def test_transmit_multiplies_the_flip_angle():
    ones = np.ones((2, 2, 2), np.float32)
    scan = {"te": np.array([0.01]), "tr": 0.05, "b0": 3.0}
    maps = (0 * ones, protons(ones.shape), (1, 1, 1))
    half = spoiled_gre(*maps, **scan, flip_angle=30.0, transmit=0.5 * ones)
    np.testing.assert_allclose(half, spoiled_gre(*maps, **scan, flip_angle=15.0), rtol=1e-6)


@pytest.mark.parametrize("affine", [None, "turned"])
def test_sensitivities_obey_laplace(affine):
    """Each is a static magnetic field in empty space."""
    grid = Grid((14, 14, 14), (5, 5, 5))
    if affine:
        matrix = grid.affine.copy()
        matrix[:3] = rotation_matrix((20, 30, 10)) @ matrix[:3]
        grid = Grid.from_affine(grid.shape, matrix)
    for s in sensitivities(Coils(count=3), grid, ORIGIN):
        s = s.astype(complex)
        inner = (slice(1, -1),) * 3
        second = [(np.roll(s, 1, a) - 2 * s + np.roll(s, -1, a))[inner] for a in range(3)]
        assert np.abs(sum(second)).max() < 0.02 * np.abs(second[0]).max()


def test_ring_is_symmetric_and_of_amplitude_one_in_its_middle():
    grid = Grid((3, 3, 3), (10, 10, 10))
    centre = np.array([s[1, 1, 1] for s in sensitivities(Coils(count=8), grid, ORIGIN)])
    np.testing.assert_allclose(np.abs(centre), 1, rtol=1e-5)
    assert abs(centre.sum()) < 1e-5
    rss = root_sum_of_squares(Coils(count=8), Grid((21, 21, 5), (8, 8, 8)), ORIGIN)
    np.testing.assert_allclose(rss, rss[::-1], rtol=1e-4)
    np.testing.assert_allclose(rss, rss.transpose(1, 0, 2), rtol=1e-4)


def test_one_coil_ideally_combined_leaves_the_phase():
    y = np.exp(1j * np.random.default_rng(0).uniform(-3, 3, (*GRID.shape, 3))).astype(np.complex64)
    coils = Coils(count=1)
    out = combine(coils, lambda: ((y * s[..., None], s) for s in sensitivities(coils, GRID, ORIGIN)), TE, GRID)
    np.testing.assert_allclose(out, y * root_sum_of_squares(coils, GRID, ORIGIN)[..., None], rtol=1e-4, atol=1e-5)


def test_mcpc_is_ideal_where_the_object_has_no_phase_at_te_zero():
    """Without noise both are the root of the sum of squares, with the phase that grows from TE = 0."""
    x, y, z = (np.broadcast_to(a, GRID.shape) for a in GRID.axes())
    field = (0.02 * x - 0.03 * y + 1e-4 * z**2) * 40  # rad/s
    image = np.exp(1j * field[..., None] * np.array(TE)).astype(np.complex64)

    def images(coils):
        return lambda: ((image * s[..., None], s) for s in sensitivities(coils, GRID, ORIGIN))

    ideal, mcpc = (combine(c, images(c), TE, GRID) for c in (Coils(count=8), Coils(count=8, combine="mcpc")))
    inner = (slice(2, -2),) * 3
    np.testing.assert_allclose(np.abs(mcpc)[inner], np.abs(ideal)[inner], rtol=1e-3)
    assert np.abs(np.angle(mcpc * ideal.conj()))[inner].max() < 0.02


def test_mcpc_takes_away_what_is_there_at_te_zero():
    coils = Coils(count=4, combine="mcpc")
    offset = np.exp(0.7j).astype(np.complex64)
    image = np.full((*GRID.shape, 3), offset, np.complex64)
    out = combine(coils, lambda: ((image * s[..., None], s) for s in sensitivities(coils, GRID, ORIGIN)), TE, GRID)
    assert np.abs(np.angle(out))[2:-2, 2:-2, 2:-2].max() < 0.05


def test_which_echo_times_need_no_unwrapping():
    assert [whole_turns(te) for te in ([0.005, 0.01], [0.006, 0.009], [0.004, 0.012], [0.02])] == [1, 2, 0, 0]


def test_seed_and_orientation_decide_the_noise():
    s = simulate(load("sphere", {"voxel_size": 8}), load_protocol("brain-3t", {"coils": {"count": 2}}))
    protocol = load_protocol("brain-3t", {"coils": {"count": 2}})
    given = (s.signal, protocol, s.params.grid, s.geometry.isocentre, s.sigma)
    a, b, c, d = (received(*given, seed, o) for seed, o in ((1, 0), (1, 0), (2, 0), (1, 1)))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert not np.array_equal(a, d)
