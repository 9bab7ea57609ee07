"""Masks: known shapes in millimetres on anisotropic voxels, noise, holes, and unreliable phase."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.field.fit import fit
from qsmbench.methods.mask.erode import erode
from qsmbench.methods.mask.erode_noisy import erode_noisy
from qsmbench.methods.mask.magnitude_mask import magnitude_mask
from qsmbench.methods.mask.quality_mask import quality_mask
from qsmbench.ops.masks.morphology import close_gaps, otsu
from qsmbench.ops.phase.phase_quality import phase_quality
from qsmbench.run import chains
from qsmbench.units import rad_per_ppm

GRID = Grid((49, 43, 27), (1.0, 1.2, 2.0))
TE = np.array([0.005, 0.011, 0.016])
EVERYWHERE = np.ones(GRID.shape, bool)


def ball(radius, centre=(0, 0, 0), grid=GRID):
    x, y, z = (a - c for a, c in zip(grid.axes(), centre, strict=True))
    return x**2 + y**2 + z**2 < radius**2


def measure(tissue, field, snr=20.0, te=TE, amplitude=1.0, seed=0):
    rng = np.random.default_rng(seed)
    phase = rad_per_ppm(3.0, 1.0) * np.asarray(field)[..., None] * te
    signal = (amplitude * tissue)[..., None] * np.exp(-25 * te + 1j * phase)
    signal = signal + (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape)) / snr
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)


def field():
    x, y, z = GRID.axes()
    return 0.1 * np.sin(x / 6) * np.cos(y / 7) + 0.02 * z


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("threshold", ["otsu", 0.4])
@pytest.mark.parametrize("snr", [6.0, 60.0])
def test_magnitude_mask_is_the_object(threshold, snr):
    """A ball with a dark vessel, an enclosed hole, a speck of signal next to it, and a bright half."""
    x, _, _ = GRID.axes()
    truth = ball(18)
    tissue = truth & ~ball(3, (5, 0, 0)) & ~(np.abs(x - 2) < 0.6)
    tissue |= ball(3, (-21, 18, 20))
    _, magnitude = measure(tissue, 0 * field(), snr, amplitude=1 + 0.5 * (x > 0))
    found = magnitude_mask(magnitude, EVERYWHERE, GRID, threshold=threshold)
    assert dice(found, truth) > 0.99
    assert found[ball(3, (5, 0, 0))].all()
    assert not found[ball(3, (-21, 18, 20))].any()


def test_magnitude_mask_does_not_depend_on_the_scale():
    _, magnitude = measure(ball(18), 0 * field())
    plain = magnitude_mask(magnitude, EVERYWHERE, GRID)
    np.testing.assert_array_equal(magnitude_mask(4000 * magnitude, EVERYWHERE, GRID), plain)


def test_opening_cuts_what_a_thin_bridge_joins():
    x, y, z = GRID.axes()
    head, shell = ball(12), (np.abs(x) > 17) & (np.abs(y) < 15) & (np.abs(z) < 20)
    bridge = (np.abs(x) < 18) & (np.abs(y) < 1.5) & (np.abs(z) < 2.5)
    _, magnitude = measure(head | shell | bridge, 0 * field(), 50.0)
    joined = magnitude_mask(magnitude, EVERYWHERE, GRID, closing=0.0)
    cut = magnitude_mask(magnitude, EVERYWHERE, GRID, opening=4.0, closing=0.0)
    assert joined[shell].mean() > 0.95
    assert not cut[shell].any() and dice(cut, head) > 0.9


@pytest.mark.parametrize("echoes", [1, 3])
def test_quality_mask_leaves_out_bright_noise_and_keeps_wraps(echoes):
    truth = ball(18)
    phase, _ = measure(truth, field(), te=TE[:echoes])
    assert np.abs(rad_per_ppm(3.0, TE[echoes - 1]) * field()[truth]).max() > np.pi / 2 * echoes
    bad = ball(6, (0, 14, 0)) & truth  # signal whose phase is noise, as that of flowing blood or bone may be
    rng = np.random.default_rng(1)
    phase[bad] = rng.uniform(-np.pi, np.pi, phase[bad].shape)
    found = quality_mask(phase, EVERYWHERE, GRID, TE[:echoes])
    assert dice(found, truth & ~bad) > (0.95 if echoes > 1 else 0.9)
    assert found[ball(5, (0, 14, 0)) & truth].mean() < 0.1


def test_quality_of_noise_is_what_chance_makes_it():
    """Uniform phases: the first factor has mean ½, the second that of a triangle a radian wide."""
    phase = np.random.default_rng(2).uniform(-np.pi, np.pi, (30, 30, 30, 2)).astype(np.float32)
    inner = (slice(2, -2),) * 3
    for echoes in (1, 2):
        value = phase_quality(phase[..., :echoes], TE[:echoes])[inner].mean()
        assert value == pytest.approx(0.5 / (2 * np.pi), rel=0.03)
    smooth = (0.3 * np.arange(30)[:, None, None, None] * np.array([1, 2.2]) + np.zeros((30, 30, 30, 2))) % (2 * np.pi)
    for echoes in (1, 2):
        value = phase_quality(smooth[..., :echoes].astype(np.float32), TE[:echoes])[inner]
        np.testing.assert_allclose(value, (4 + 2 * (1 - 0.3 / np.pi)) / 6, atol=1e-5)


@pytest.mark.parametrize("radius", [1.0, 1.2, 3.0, 5.5])
def test_erosion_is_by_millimetres(radius):
    box = np.zeros(GRID.shape, bool)
    box[5:40, 6:35, 4:20] = True
    left = erode(box, GRID, radius=radius)
    for axis, (n, d) in enumerate(zip((35, 29, 16), GRID.voxel_size, strict=True)):
        others = tuple(a for a in range(3) if a != axis)
        assert left.any(axis=others).sum() == n - 2 * int(np.floor(radius / d + 1e-6))
    grid = Grid((101, 85, 51), (0.5, 0.6, 1.0))
    found = erode(ball(18, grid=grid), grid, radius=radius)
    assert dice(found, ball(18 - radius, grid=grid)) > 0.98


def test_erosion_ends_with_the_grid_and_says_when_nothing_is_left():
    assert erode(EVERYWHERE, GRID, radius=2.0).sum() == (49 - 4) * (43 - 2) * (27 - 2)
    with pytest.raises(NotApplicable, match="more than 30 mm from its edge"):
        erode(ball(18), GRID, radius=30.0)


def test_closing_fills_narrow_gaps_at_the_border_of_the_grid_too():
    x, _, _ = GRID.axes()
    mask = EVERYWHERE & (np.abs(x) > 1.4)
    assert close_gaps(mask, GRID, 2.0).all()
    wide = EVERYWHERE & (np.abs(x) > 4.5)
    np.testing.assert_array_equal(close_gaps(wide, GRID, 2.0), wide)
    np.testing.assert_array_equal(close_gaps(ball(9), GRID, 0.5), ball(9))


def test_otsu_parts_two_classes():
    rng = np.random.default_rng(4)
    values = np.concatenate([rng.normal(1, 0.1, 5000), rng.normal(3, 0.3, 2000)])
    assert 1.5 < otsu(values) < 2.3
    # the definition, by trial of all thresholds
    candidates = np.linspace(1.1, 2.9, 200)
    inside = [
        values[values <= t].var() * (values <= t).mean() + values[values > t].var() * (values > t).mean()
        for t in candidates
    ]
    best = min(inside)
    t = otsu(values)
    assert values[values <= t].var() * (values <= t).mean() + values[values > t].var() * (values > t).mean() < (
        1.001 * best
    )


def test_noisy_rim_goes_and_noisy_nuclei_stay():
    truth = ball(18)
    x, _, _ = GRID.axes()
    weak_rim = truth & ~ball(15) & (x > 0)
    nucleus = ball(3, (-4, 2, 0))
    amplitude = np.where(weak_rim | nucleus, 0.1, 1.0)
    phase, magnitude = measure(truth, 0.02 * field(), 60.0, amplitude=amplitude)
    _, noise = fit(phase, magnitude, truth, GRID, TE, 3.0)
    found = erode_noisy(noise, truth, GRID)
    assert found[weak_rim].mean() < 0.02
    assert found[truth & ~weak_rim].mean() > 0.99
    assert found[nucleus].all()
    shallow = erode_noisy(noise, truth, GRID, depth_max=1.0)
    assert 0.4 < shallow[weak_rim].mean() < 0.9
    with pytest.raises(NotApplicable, match="zero throughout"):
        erode_noisy(0 * noise, truth, GRID)


@pytest.mark.parametrize("name", ["magnitude_mask", "quality_mask", "erode"])
def test_mask_stays_in_the_given_one(name):
    outer = ball(18) & ~ball(6, (8, 8, 0))
    phase, magnitude = measure(ball(20), field())
    found = {
        "magnitude_mask": lambda: magnitude_mask(magnitude, outer, GRID),
        "quality_mask": lambda: quality_mask(phase, outer, GRID, TE),
        "erode": lambda: erode(outer, GRID),
    }[name]()
    assert found.any() and not found[~outer].any()


def test_a_chain_may_begin_with_masks():
    found = chains.steps("magnitude_mask.erode.romeo.fit.vsharp.tkd")
    assert found[0].method.produces == ("mask",)
    assert chains.steps("romeo.fit.erode_noisy.pdf.tkd")
    assert chains.steps("magnitude_mask.bipolar.mcpc3ds.nonlinear_fit.erode_noisy.vsharp.tkd")
    with pytest.raises(QsmbenchError, match="erode_noisy needs field_noise"):
        chains.steps("romeo.erode_noisy")


def test_illegal_thresholds_are_refused():
    phase, magnitude = measure(ball(18), field())
    for threshold in ("auto", 1.5, -0.1):
        with pytest.raises(QsmbenchError, match="choose otsu or a fraction"):
            magnitude_mask(magnitude, EVERYWHERE, GRID, threshold=threshold)
        with pytest.raises(QsmbenchError, match="quality_mask: threshold"):
            quality_mask(phase, EVERYWHERE, GRID, TE, threshold=threshold)


def test_each_part_of_the_given_mask_keeps_its_largest_piece():
    x, _, _ = GRID.axes()
    outer = ball(18) & (np.abs(x) > 2)
    tissue = (outer & (x > 4)) | (outer & (x < -6)) | (ball(2, (-3, 0, 0)) & outer)
    phase, magnitude = measure(tissue, field(), 40.0)
    for found in (
        magnitude_mask(magnitude, outer, GRID, closing=0.0),
        quality_mask(phase, outer, GRID, TE, closing=0.0),
        erode_noisy(np.where(tissue, 0.01, 1.0) * outer, outer, GRID, depth_max=30.0),
    ):
        assert dice(found, (outer & (x > 4)) | (outer & (x < -6))) > 0.94
        assert not found[ball(1.5, (-3.4, 0, 0)) & outer].any()
