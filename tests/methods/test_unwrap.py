"""Unwrapping, what is done to the phase before, and the field fit: known phase, noise, offsets, unequal echoes."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.background.vsharp import vsharp
from qsmbench.methods.field.fit import fit
from qsmbench.methods.unwrap.bipolar import bipolar
from qsmbench.methods.unwrap.laplacian import laplacian
from qsmbench.methods.unwrap.mcpc3ds import mcpc3ds
from qsmbench.methods.unwrap.quality_guided import quality_guided
from qsmbench.methods.unwrap.romeo import romeo
from qsmbench.scan.readout import Readout, eddy_phase
from qsmbench.units import rad_per_ppm

B0 = 3.0
ECHOES = {
    "one": [0.012],
    "two": [0.004, 0.011],
    "even": [0.005, 0.010, 0.015, 0.020],
    "uneven": [0.004, 0.012, 0.020, 0.028],
}


def scan(field, mask, te, offset=0.0, snr=40.0, r2star=25, offset_per_echo=False):
    """Wrapped phase and magnitude of a field [ppm] with R2* of `r2star` [1/s]; noise outside the mask."""
    te = np.array(te)
    rng = np.random.default_rng(0)
    phase = (offset if offset_per_echo else np.asarray(offset)[..., None]) + rad_per_ppm(B0, 1.0) * field[
        ..., None
    ] * te
    signal = mask[..., None] * np.exp(-r2star * te + 1j * phase)
    signal = signal + (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape)) / snr
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32), te


@pytest.fixture(scope="module")
def total(head):
    """A field whose phase turns by less than π from voxel to voxel, but for noise."""
    field = head.local_field + 0.3 * head.background
    return ((field - field[head.mask].mean() + 0.2) * head.mask).astype(np.float32)


@pytest.fixture(scope="module")
def offset(head):
    x, y, z = head.grid.axes()
    return (2 * np.sin(x / 35) + 1.5 * np.cos(y / 50 + z / 45) + 0.5).astype(np.float32)


@pytest.mark.parametrize("echoes", ECHOES)
@pytest.mark.parametrize("coil", [False, True])
@pytest.mark.parametrize("way", ["template", "individual"])
def test_romeo_is_right_in_every_voxel(echoes, coil, way, head, total, offset):
    if coil and echoes == "one":
        pytest.skip("one echo cannot separate the offset from the field")
    phase, magnitude, te = scan(total, head.mask, ECHOES[echoes], coil * offset)
    unwrapped = romeo(phase, magnitude, head.mask, head.grid, te, echoes=way)
    turns = (unwrapped - phase)[head.mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    truth = coil * offset[..., None] + rad_per_ppm(B0, 1.0) * total[..., None] * te
    error = np.round((unwrapped - truth)[head.mask] / (2 * np.pi))
    # All echoes may share a whole turn where the offset wraps; they must agree with one another.
    # In space alone, a late echo that noise takes past half a turn from its neighbours is lost; others keep it.
    allowed = 1e-4 if way == "template" else 1e-3
    assert (error != error[:, :1]).mean() < allowed
    if not coil:
        assert (error != 0).mean() < allowed


def test_romeo_finds_the_turns_that_uneven_echoes_share(head, total):
    """A mean field of more than half a turn between the first two echoes, which the third one gives away."""
    shifted = (total + 0.7 * head.mask).astype(np.float32)
    phase, magnitude, te = scan(shifted, head.mask, [0.004, 0.012, 0.017, 0.024], 0.8 * np.ones(head.grid.shape))
    unwrapped = romeo(phase, magnitude, head.mask, head.grid, te)
    field, _ = fit(unwrapped, magnitude, head.mask, head.grid, te, B0)
    assert np.abs(field - shifted)[head.mask].mean() < 0.005


def test_romeo_unwraps_each_part_of_the_mask(head, total):
    """Two halves with a gap between them, and one voxel alone; far from the cavities at the bottom."""
    x, y, z = head.grid.axes()
    mask = head.mask & (np.abs(x - y) > 5) & (z > -28)
    mask[2, 2, 2] = True
    field = (total + 0.04 * z).astype(np.float32)  # a gradient that wraps in both halves
    phase, magnitude, te = scan(field, head.mask, ECHOES["even"])
    unwrapped = romeo(phase, magnitude, mask, head.grid, te)
    turns = np.round((unwrapped - rad_per_ppm(B0, 1.0) * field[..., None] * te) / (2 * np.pi))
    for half in (x > y, x < y):
        half = mask & np.broadcast_to(half & (z > -28), mask.shape)
        assert (turns[half] == turns[half][0, 0]).mean() > 0.999
        assert (turns[half] == turns[half][:, :1]).mean() > 0.999
    assert np.isfinite(unwrapped).all()
    assert not unwrapped[~mask].any()


@pytest.mark.parametrize("echoes", ["one", "even"])
def test_laplacian_differs_by_a_harmonic_field(echoes, head, total):
    """Away from the outermost voxels, where neighbours are missing, the Laplacian is that of the true phase."""
    phase, _, te = scan(total, head.mask, ECHOES[echoes], snr=1e4)
    inner = binary_erosion(head.mask)
    unwrapped = laplacian(phase, head.mask, head.grid)
    for echo, t in enumerate(te):
        found = unwrapped[..., echo] / np.float32(rad_per_ppm(B0, t))
        local, _ = vsharp(found, inner, head.grid)
        expected, _ = vsharp(total, inner, head.grid)
        assert oracles.relative(local, expected) < 0.05


def test_laplacian_is_exact_where_the_mask_fills_the_volume():
    """Nothing is left out where the mask fills the box: then the phase comes back exactly, turns and all."""
    grid = Grid((54, 60, 48), (1.0, 1.2, 2.0))
    x, y, z = grid.axes()
    truth = (9 * np.sin(x / 9) * np.cos(y / 11) + 9 * np.sin(z / 16)).astype(np.float32)
    phase = np.angle(np.exp(1j * truth)).astype(np.float32)[..., None]
    found = laplacian(phase, np.ones(grid.shape, bool), grid, pad=0.0)[..., 0]
    np.testing.assert_allclose(found, truth, atol=2e-3)


@pytest.mark.parametrize("echoes", ECHOES)
def test_fit_is_unbiased_and_efficient(echoes, head, total):
    """The variance is near the Cramér–Rao bound of a fit that knows the phase at TE = 0."""
    te = np.array(ECHOES[echoes])
    phase, magnitude, _ = scan(total, head.mask, te, snr=100, r2star=80)
    truth = rad_per_ppm(B0, 1.0) * total[..., None] * te
    unwrapped = truth + np.angle(np.exp(1j * (phase - truth)))
    field, _ = fit(unwrapped, magnitude, head.mask, head.grid, te, B0)
    error = (field - total)[head.mask]
    bound = 1 / 100 / np.sqrt((np.exp(-160 * te) * te**2).sum()) / rad_per_ppm(B0, 1.0)
    assert error.std() == pytest.approx(bound, rel=0.04)
    assert abs(error.mean()) < 0.1 * bound


@pytest.mark.parametrize("echoes", ["two", "even", "uneven"])
@pytest.mark.parametrize("unwrap", ["romeo", "laplacian"])
def test_fit_takes_the_coil_phase_off(echoes, unwrap, head, total, offset):
    phase, magnitude, te = scan(total, head.mask, ECHOES[echoes], offset, snr=200)
    plain, _, _ = scan(total, head.mask, ECHOES[echoes], 0.0, snr=200)
    fields = []
    for p in (phase, plain):
        if unwrap == "romeo":
            unwrapped = romeo(p, magnitude, head.mask, head.grid, te)
        else:
            unwrapped = laplacian(p, head.mask, head.grid)
        fields.append(fit(unwrapped, magnitude, head.mask, head.grid, te, B0)[0])
    difference = (fields[0] - fields[1])[head.mask]
    assert difference.std() < 0.012
    assert abs(np.median(difference)) < 0.005


def test_fit_forgives_whole_turns_shared_by_all_echoes(head, total):
    te = np.array(ECHOES["even"])
    phase = (rad_per_ppm(B0, 1.0) * total[..., None] * te).astype(np.float32)
    magnitude = np.exp(-25 * te) * np.ones_like(phase)
    turned = phase.copy()
    turned[20:30, 20:25] += np.float32(2 * np.pi)
    plain, _ = fit(phase, magnitude, head.mask, head.grid, te, B0)
    field, _ = fit(turned, magnitude, head.mask, head.grid, te, B0)
    np.testing.assert_allclose(field, plain, atol=1e-4)


def test_fit_has_no_trouble_with_voxels_without_signal():
    grid = Grid((9, 8, 7), (1, 1.2, 2))
    mask = np.ones(grid.shape, bool)
    te = np.array([0.005, 0.01, 0.015])
    phase = np.ones((*grid.shape, 3), np.float32) * (rad_per_ppm(B0, 1.0) * 0.1 * te).astype(np.float32)
    magnitude = np.ones_like(phase)
    magnitude[4, 4, 4] = 0
    magnitude[2, 2, 2, 1:] = 0
    field, _ = fit(phase, magnitude, mask, grid, te, B0)
    np.testing.assert_allclose(field, 0.1, atol=1e-3)


def test_romeo_refuses_other_ways(head, total):
    phase, magnitude, te = scan(total, head.mask, ECHOES["two"])
    with pytest.raises(QsmbenchError, match="echoes is 'all'; choose from template, individual"):
        romeo(phase, magnitude, head.mask, head.grid, te, echoes="all")


@pytest.mark.parametrize("echoes", ["one", "even", "uneven"])
def test_quality_guided_is_right_in_every_voxel(echoes, head, total):
    """But for the few voxels around the cavities whose phase is off by more than half a turn."""
    phase, _, te = scan(total, head.mask, ECHOES[echoes])
    unwrapped = quality_guided(phase, head.mask, te)
    turns = (unwrapped - phase)[head.mask] / (2 * np.pi)
    assert np.abs(turns - np.round(turns)).max() < 1e-5
    error = np.round((unwrapped - rad_per_ppm(B0, 1.0) * total[..., None] * te)[head.mask] / (2 * np.pi))
    assert (error != 0).mean() < 1e-3
    assert not unwrapped[~head.mask].any()


@pytest.mark.parametrize("shape", [(31, 34, 1), (40, 1, 1), (21, 22, 23)])
def test_quality_guided_in_fewer_dimensions_and_parts(shape):
    x, y, z = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    truth = (12 * np.sin(x / 12) + 0.1 * y + 0.2 * z)[..., None] * np.array([1.0, 1.7])
    mask = np.abs(x - 15) > 1
    mask[15, 0, 0] = True
    phase = np.angle(np.exp(1j * truth)).astype(np.float32)
    turns = np.round((quality_guided(phase, mask, np.array([0.01, 0.017])) - truth) / (2 * np.pi))
    for part in (x < 14, x > 16):
        part = part & mask
        assert (turns[part] == turns[part][0]).all()
    again = quality_guided(phase, mask, np.array([0.01, 0.017]))
    np.testing.assert_array_equal(again, quality_guided(phase, mask, np.array([0.01, 0.017])))


@pytest.mark.parametrize("echoes", ["two", "even", "uneven"])
def test_mcpc3ds_leaves_phase_that_is_proportional_to_te(echoes, head, total, offset):
    phase, magnitude, te = scan(total, head.mask, ECHOES[echoes], offset, snr=200)
    out = mcpc3ds(phase, magnitude, head.mask, head.grid, te)
    assert np.abs(out).max() <= np.pi + 1e-5
    error = np.exp(1j * (out - rad_per_ppm(B0, 1.0) * total[..., None] * te))[head.mask]
    assert np.abs(error.mean(axis=0) - 1).max() < 0.02
    inner = binary_erosion(head.mask, iterations=4)
    left = np.angle(np.exp(1j * (out - rad_per_ppm(B0, 1.0) * total[..., None] * te)))[inner]
    assert left.std() < 0.06 and np.abs(left.mean()) < 0.02
    taken = np.exp(1j * (phase - out))
    np.testing.assert_allclose(taken, np.repeat(taken[..., :1], te.size, axis=-1), atol=1e-5)
    np.testing.assert_array_equal(out[~head.mask], phase[~head.mask])


def test_mcpc3ds_needs_two_echoes(head, total):
    phase, magnitude, te = scan(total, head.mask, ECHOES["one"])
    with pytest.raises(NotApplicable, match="needs at least two echoes"):
        mcpc3ds(phase, magnitude, head.mask, head.grid, te)


@pytest.mark.parametrize("eddy", [[0.1, 0.5, 0.05, 0.1], [-0.6, 2.0, -1.2, 0.7], [0.0]])
@pytest.mark.parametrize(
    "te", [[0.003, 0.006, 0.009, 0.012], [0.004, 0.009, 0.017, 0.022, 0.029], [0.004, 0.01, 0.015]]
)
def test_bipolar_takes_off_what_alternates(eddy, te, head, total, offset):
    """The simulator's phase, with noise, coils' phase, and a field that wraps; 1.5 × 1.6 × 2 mm, 54 × 57 × 48."""
    alternating = eddy_phase(Readout(eddy=eddy, polarity="bipolar"), len(te), head.grid)
    phase, magnitude, te = scan(total, head.mask, te, offset[..., None] + alternating, offset_per_echo=True)
    taken = phase - bipolar(phase, magnitude, head.mask, head.grid, te)
    left = np.angle(np.exp(1j * (taken - alternating)))[head.mask]
    assert np.abs(left).max() < 0.01


def test_bipolar_finds_the_turns_of_a_large_mean_field(head, total):
    """Half a turn and more between the first and third echo everywhere: uneven echoes give it away."""
    te = [0.004, 0.009, 0.017, 0.022, 0.029]
    alternating = eddy_phase(Readout(eddy=[0.3, 0.5], polarity="bipolar"), len(te), head.grid)
    shifted = (total + 0.5 * head.mask).astype(np.float32)
    phase, magnitude, te = scan(shifted, head.mask, te, alternating, offset_per_echo=True)
    taken = phase - bipolar(phase, magnitude, head.mask, head.grid, te)
    assert np.abs(np.angle(np.exp(1j * (taken - alternating)))[head.mask]).max() < 0.01


def test_bipolar_makes_the_field_that_of_a_monopolar_scan(head, total):
    te = [0.003, 0.006, 0.009, 0.012, 0.015]
    alternating = eddy_phase(Readout(eddy=[0.1, 0.5, 0.05, 0.1], polarity="bipolar"), len(te), head.grid)
    phase, magnitude, te = scan(total, head.mask, te, alternating, offset_per_echo=True, snr=200)
    plain, _, _ = scan(total, head.mask, te, snr=200)
    fields = []
    for p in (plain, phase, bipolar(phase, magnitude, head.mask, head.grid, te)):
        unwrapped = romeo(p, magnitude, head.mask, head.grid, te)
        fields.append(fit(unwrapped, magnitude, head.mask, head.grid, te, B0)[0][head.mask])
    before, after = (np.abs(f - fields[0]).mean() for f in fields[1:])
    assert after < 5e-4 and after < 0.1 * before


def test_bipolar_needs_three_echoes(head, total):
    phase, magnitude, te = scan(total, head.mask, ECHOES["two"])
    with pytest.raises(NotApplicable, match="at least three echoes; the scan has 2"):
        bipolar(phase, magnitude, head.mask, head.grid, te)


def test_methods_that_weight_with_the_magnitude_do_without_any(head, total):
    """A magnitude of zeros is ignored: the phase alone counts, as with a uniform magnitude."""
    phase, magnitude, te = scan(total, head.mask, ECHOES["even"])
    for method in (romeo, mcpc3ds, bipolar):
        found = method(phase, 0 * magnitude, head.mask, head.grid, te)
        even = method(phase, np.ones_like(magnitude), head.mask, head.grid, te)
        assert (np.abs(found - even)[head.mask] > 1e-3).mean() < 1e-3


def test_bipolar_in_a_single_slice():
    grid = Grid((54, 57, 1), (1.5, 1.6, 2.0))
    mask = np.ones(grid.shape, bool)
    alternating = eddy_phase(Readout(eddy=[0.1, 0.5, 0.3], polarity="bipolar"), 4, grid)
    x, y, _ = grid.axes()
    phase, magnitude, te = scan(
        0.1 * np.sin(x / 9) + 0.001 * y, mask, ECHOES["even"], alternating, offset_per_echo=True
    )
    taken = phase - bipolar(phase, magnitude, mask, grid, te)
    assert np.abs(np.angle(np.exp(1j * (taken - alternating)))).max() < 0.02


def test_romeo_is_the_one_of_its_authors(head):
    """Against the compiled ROMEO on a noisy head: the same turns, but for a few voxels where noise decides."""
    import warpkit

    te = np.array(ECHOES["uneven"])
    field = head.local_field + head.background / 4
    phase, magnitude, _ = scan(field, head.mask, te, snr=15)
    found = romeo(phase, magnitude, head.mask, head.grid, te, remove_offset=False)  # as they are called here
    packed = [np.asfortranarray(v, np.float32) for v in (phase, magnitude)]
    theirs = warpkit.romeo_unwrap4d(
        packed[0], (1e3 * te).astype(np.float32), "romeo", packed[1], np.asfortranarray(head.mask)
    )
    turns = np.round((found - theirs)[head.mask] / (2 * np.pi))
    assert np.ptp(phase) > 6  # it wraps
    assert (turns != 0).mean(axis=0).max() < 2e-3
