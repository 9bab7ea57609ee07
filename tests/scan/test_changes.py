"""Scans during which something changes: breathing and motion, line by line of k-space."""

import numpy as np
import pytest
from objects import write

from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.scan import breathing, motion
from qsmbench.scan.breathing import BINS, Breathing
from qsmbench.scan.geometry import rotation_matrix
from qsmbench.scan.kspace import KSpace
from qsmbench.scan.motion import Motion
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.segments import assemble, times
from qsmbench.scan.simulate import simulate
from qsmbench.units import rad_per_ppm


def image(shape=(6, 8, 10, 2), seed=0):
    return np.random.default_rng(seed).normal(size=(*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]


def test_order_of_lines():
    """The centre of k-space is measured half-way; the second phase axis is the fast one."""
    time, axes, total = times((4, 8, 10), 0, KSpace(), 0.05, slices=False)
    assert axes == (1, 2)
    assert time.shape == (1, 8, 10)
    assert total == pytest.approx(8 * 10 * 0.05)
    assert time[0, 0, 0] == pytest.approx((4 * 10 + 5) * 0.05)
    np.testing.assert_allclose(np.sort(time.ravel()), np.arange(80) * 0.05)
    assert time[0, 0, 1] - time[0, 0, 0] == pytest.approx(0.05)


def test_lines_of_slices_and_of_a_part_of_kspace():
    time, axes, total = times((4, 8, 5), 1, KSpace(), 0.6, slices=True)
    assert axes == (0,)
    assert total == pytest.approx(4 * 0.6)
    np.testing.assert_allclose(np.diff(time, axis=2), 0.12)
    _, _, fewer = times((4, 8, 10), 0, KSpace(fraction=(1, 0.5, 1), partial_fourier=(1, 0.75, 1)), 0.05, slices=False)
    assert fewer == pytest.approx(3 * 10 * 0.05)


def test_states_that_are_alike_change_nothing():
    still = image()
    of_line = np.random.default_rng(1).integers(0, 3, (1, 8, 10))
    np.testing.assert_allclose(assemble([still] * 3, of_line, (1, 2)), still, atol=1e-5)


def test_each_line_is_that_of_its_state():
    states = [image(seed=s) for s in range(3)]
    of_line = np.random.default_rng(1).integers(0, 3, (1, 8, 10))
    lines = np.fft.fftn(assemble(states, of_line, (1, 2)), axes=(1, 2))
    for s, state in enumerate(states):
        expected = np.fft.fftn(state, axes=(1, 2))
        where = np.broadcast_to(of_line == s, (6, 8, 10))
        np.testing.assert_allclose(lines[where], expected[where], atol=1e-4)


def test_breath_held_is_a_phase():
    grid, te = Grid((6, 8, 10), (4, 4, 4)), np.array([0.01, 0.02])
    breath = Breathing(field=[0.02, 0, 0, 0.05], period=4.0)
    turned = breathing.state(image(), breath, BINS - 1, grid, te, 3.0) / image()
    z = grid.axes()[2] / 100
    for e, t in enumerate(te):
        phase = (1 - 1 / BINS) * (0.02 + 0.05 * z) * rad_per_ppm(3.0, t)
        np.testing.assert_allclose(turned[..., e], np.broadcast_to(np.exp(1j * phase), (6, 8, 10)), atol=1e-4)


def test_breathing_keeps_the_energy_and_ghosts_where_it_should():
    """A uniform field turns each line alike, so energy stays; a period of p lines puts ghosts n/p pixels away."""
    n, p = 64, 8
    object_ = np.zeros((1, n, 1, 1), np.complex64)
    object_[0, 30:34] = 1
    breath, te = Breathing(field=[0.01], period=p * 0.05), np.array([0.02])
    time, axes, _ = times((1, n, 1), 0, KSpace(), 0.05, slices=False)
    grid = Grid((1, n, 1), (1, 1, 1))
    states = (breathing.state(object_, breath, b, grid, te, 7.0) for b in range(BINS))
    seen = np.abs(assemble(states, breathing.depth(breath, time), axes)).ravel() ** 2
    assert seen.sum() == pytest.approx(4, rel=1e-5)
    assert seen[30 + n // p : 34 + n // p].min() > 10 * seen[36]


def test_seed_decides_when_the_breath_begins():
    time = np.linspace(0, 4, 50)
    a, b, c = (breathing.depth(Breathing(field=[1], period=4, seed=s), time) for s in (1, 1, 2))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)
    assert a.min() == 0
    assert a.max() == BINS - 1


def test_poses():
    chosen = Motion(poses=5, translate=2, rotate=3, seed=4)
    about = (3.0, -7.0, 11.0)
    poses = motion.poses(chosen, about, 2)
    assert np.array_equal(poses[2], np.eye(4))
    for pose in poses:
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)
    assert all(np.array_equal(a, b) for a, b in zip(poses, motion.poses(chosen, about, 2), strict=True))
    still = motion.poses(Motion(poses=3, translate=0, rotate=9), about, 1)
    for pose in still:  # turning about a point leaves it where it is
        np.testing.assert_allclose(pose @ [*about, 1], [*about, 1], atol=1e-9)


def test_moved_grid_sees_the_moved_head():
    grid = Grid((6, 8, 10), (2, 3, 4), (0.6, 0.0, 0.8))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation_matrix((10, 20, 30)), (5, 6, 7)
    seen = motion.grid_in_pose(grid, pose)
    np.testing.assert_allclose(pose @ seen.affine, grid.affine, atol=1e-12)
    assert seen.b0_dir == grid.b0_dir
    assert seen.voxel_size == grid.voxel_size


def test_a_head_that_shifts_by_whole_voxels(monkeypatch):
    """The second half of the lines is that of the image shifted; the truth stays that of the pose at rest."""
    shift = np.eye(4)
    shift[1, 3] = 12.0  # mm: three voxels
    monkeypatch.setattr(motion, "poses", lambda *_: [np.eye(4), shift])
    phantom = load("sphere", {"voxel_size": 4, "radius": 12})
    still = {"snr": None, "te": [0.005], "shim_order": 0, "phase_offset": []}
    a = simulate(phantom, load_protocol("brain-3t", still))
    b = simulate(phantom, load_protocol("brain-3t", {**still, "motion": {"poses": 2, "translate": 1, "rotate": 0}}))
    n = a.signal.shape[1]
    first = (np.rint(np.fft.fftfreq(n) * n) < 0).astype(int)[None, :, None]
    expected = assemble([a.signal, np.roll(a.signal, 3, axis=1)], 1 - first, (1, 2))
    largest = np.abs(a.signal).max()
    assert np.abs(b.signal - a.signal).max() > 0.1 * largest
    assert np.abs(b.signal - expected).max() < 0.02 * largest  # what the edge of the grid cuts off
    for name, volume in a.truth.items():
        assert np.array_equal(volume, b.truth[name])


@pytest.mark.parametrize("partial", [0.55, 0.8, 1.0])
@pytest.mark.parametrize("axis", ["x", "y"])
def test_truth_is_the_pose_that_measures_the_centre_of_kspace(tmp_path, partial, axis):
    """With partial Fourier the centre comes early: the object is seen where it then lies, and there the truth is."""
    ball = {"shape": {"shape": "ellipsoid", "radii": [10, 10, 10]}, "region": "ball", "material": {"chi": 0}}
    nothing = {"background": "air", "tissues": {"air": {"chi": 0}}, "ambient_chi": 0}
    box = {"lower": [-40, -40, -40], "upper": [40, 40, 40]}
    phantom = write(tmp_path, [ball], voxel_size=4, field_of_view=box, **nothing)
    along = "y" if axis == "x" else "x"  # the slow axis
    partial_fourier = [partial if a == along else 1 for a in ("x", "y", "z")]
    scan = {"snr": None, "te": [0.001], "shim_order": 0, "phase_offset": [], "readout": {"axis": axis}}
    scan |= {"motion": {"poses": 4, "translate": 8, "rotate": 0}, "kspace": {"partial_fourier": partial_fourier}}
    found = simulate(phantom, load_protocol("brain-3t", scan))
    seen, truth = (np.fft.fftn(v) for v in (found.signal[..., 0], found.mask))
    for lowest in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):  # the phase of the line beside the centre tells the place
        moved = np.angle(seen[lowest] / seen[0, 0, 0] * np.conj(truth[lowest] / truth[0, 0, 0]))
        assert abs(moved) / (2 * np.pi) * found.signal.shape[lowest.index(1)] * 4 < 0.5  # mm
