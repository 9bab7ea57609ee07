"""Water–fat separation: exact without noise, at the Cramér–Rao bound with it, and without exchanges or wraps.

Truth is a trunk of closed-form shapes (`trunk.py`), whose spectrum and signal are written out there.
"""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize
from trunk import bound, spectrum, trunk

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.chemical_shift.in_phase import in_phase
from qsmbench.methods.chemical_shift.mago import mago
from qsmbench.methods.chemical_shift.water_fat import water_fat
from qsmbench.ops.water_fat.chain_messages import minimise_among_candidates, minimise_on_grid
from qsmbench.ops.water_fat.fit import common_phase_excess
from qsmbench.ops.water_fat.lattice import lattice
from qsmbench.ops.water_fat.regions import shift_regions
from qsmbench.ops.water_fat.residual import costs, prepare
from qsmbench.run import chains
from qsmbench.units import hz_per_ppm


def echoes(first, spacing, count):
    return (first + spacing * np.arange(count)) / 1000


def run(method, truth, signal, mask=None, **settings):
    """The products of a method, with the field in Hz."""
    arguments = {
        "phase": np.angle(signal).astype(np.float32),
        "magnitude": np.abs(signal).astype(np.float32),
        "mask": truth.mask if mask is None else mask,
        "grid": Grid(truth.mask.shape, truth.voxel_size, (0.0, 0.0, 1.0)),
        "te": truth.te,
        "b0": truth.b0,
    }
    products = dict(zip(method.produces, method(*(arguments[n] for n in method.consumes), **settings), strict=True))
    if "total_field" in products:
        products["total_field"] = products["total_field"] * hz_per_ppm(truth.b0)
    return products


def errors(truth, found, where):
    """Errors of fat fraction, R2* [1/s] and field [Hz] in the voxels of a mask."""
    true = {"signal_fat_fraction": truth.fat_fraction, "r2star": truth.r2star, "total_field": truth.field}
    return tuple((found[name] - value)[where].astype(float) for name, value in true.items())


def rms(values):
    return np.sqrt(np.mean(np.square(values)))


# Against the truth


@pytest.mark.parametrize(
    ("te", "b0"),
    [
        (echoes(1.2, 1.0, 6), 3.0),
        (echoes(1.15, 1.15, 6), 3.0),
        (echoes(1.2, 1.0, 3), 3.0),
        (echoes(1.744, 3.076, 4), 1.5),
        (np.array([1.3, 2.3, 3.9, 5.0, 7.4]) / 1000, 3.0),
    ],
    ids=["six", "in and opposed phase", "three", "1.5 T", "uneven"],
)
def test_noise_free_maps_are_exact(te, b0):
    truth = trunk(te=te, b0=b0, field_range=500 * b0 / 3)
    fraction, rate, field = errors(truth, run(water_fat, truth, truth.signal), truth.strong)
    assert np.abs(fraction).max() < 0.003
    assert np.abs(rate / truth.r2star[truth.strong]).max() < 0.01
    assert np.abs(field).max() < 0.5


@pytest.mark.parametrize(
    ("te", "snr", "liver", "allowed"),
    [
        (echoes(1.2, 1.0, 6), 50, None, 0.02),
        (echoes(1.2, 1.0, 6), 20, None, 0.02),
        (echoes(1.2, 1.0, 6), 10, None, 0.02),
        (echoes(1.15, 1.15, 6), 10, None, 0.02),
        (echoes(1.2, 1.0, 6), 20, 350, 0.02),
        (echoes(1.2, 1.0, 6), 50, 600, 0.02),
        (echoes(1.1, 1.23, 6), 50, 600, 0.02),
        (echoes(1.2, 1.0, 3), 50, None, 0.1),
    ],
)
def test_with_noise_at_the_bound_and_without_exchanges(te, snr, liver, allowed):
    """At most 1.1 times the bound; fat fraction and unwrapped field off in at most 0.02 % (three echoes: 0.1 %)."""
    truth = trunk(te=te, liver=liver, seed=1)
    where = truth.strong
    sds = bound(truth, np.abs(truth.signal[..., 0]).max() / snr, where)
    found = errors(truth, run(water_fat, truth, truth.noisy(snr, 1)), where)
    for error, sd in zip(found, sds, strict=True):
        assert rms(error) < 1.1 * rms(sd)
    exchanged = np.abs(found[0]) > np.maximum(0.3, 5 * sds[0])
    astray = np.abs(found[2]) > np.maximum(20, 5 * sds[2])
    assert 100 * exchanged.mean() <= allowed
    assert 100 * astray.mean() <= allowed


def test_no_organ_is_biased():
    """The mean of each organ is within 0.3 points at SNR 20, less its own uncertainty."""
    truth = trunk()
    sd = np.zeros(truth.mask.shape)
    sd[truth.strong] = bound(truth, np.abs(truth.signal[..., 0]).max() / 20, truth.strong)[0]
    runs = [
        run(water_fat, truth, truth.noisy(20, seed))["signal_fat_fraction"] - truth.fat_fraction for seed in range(3)
    ]
    for name, organ in truth.organs.items():
        inside = organ & truth.strong
        if inside.sum() > 50:
            uncertainty = np.sqrt((sd[inside] ** 2).sum() / len(runs)) / inside.sum()
            assert abs(np.mean([r[inside] for r in runs])) < 0.003 + 2 * uncertainty, name


def test_residual_is_as_low_as_that_of_a_search_around_the_true_field():
    truth = trunk(seed=2)
    signal = truth.noisy(20, 2)
    found = run(water_fat, truth, signal)
    rng = np.random.default_rng(0)
    voxels = np.argwhere(truth.strong)[rng.choice(truth.strong.sum(), 150, replace=False)]
    c = spectrum(truth.te, truth.b0)

    def residual(y, field, rate):
        turn = np.exp((2j * np.pi * field - rate) * truth.te)
        basis = np.stack([turn, turn * c], axis=1)
        return np.sum(np.abs(y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]) ** 2)

    for voxel in map(tuple, voxels):
        y = signal[voxel].astype(complex)
        start = truth.field[voxel] / 100, truth.r2star[voxel] / 100
        best = scipy.optimize.minimize(lambda p, y=y: residual(y, 100 * p[0], 100 * p[1]), start, method="Nelder-Mead")
        assert residual(y, found["total_field"][voxel], found["r2star"][voxel]) < best.fun * (1 + 1e-4)


@pytest.mark.parametrize("seed", [0, 1])
def test_thin_skin_beside_displaced_fat(seed):
    """Fat displaced by half a voxel fits no single field: the voxels that it disturbs follow their neighbours."""
    truth = trunk(seed=seed)
    skin = truth.mask & ~scipy.ndimage.binary_erosion(truth.mask)
    water = np.where(skin, 0.7 * (truth.water + truth.fat), truth.water)
    fat = np.where(skin, 0, truth.fat)[..., None] * spectrum(truth.te, truth.b0)
    wave = np.exp((2j * np.pi * truth.field[..., None] - truth.r2star[..., None]) * truth.te)
    signal = water[..., None] * wave + (fat * wave + np.roll(fat * wave, 1, axis=0)) / 2
    found = run(water_fat, truth, replace(truth, signal=signal).noisy(50, 0))
    off = np.abs(found["total_field"] - truth.field)[truth.strong] / hz_per_ppm(truth.b0)
    assert np.mean(off > 1) < 0.0005
    assert rms(off) < 0.09


def test_mask_may_contain_everything():
    """Air with noise does not lead the tissue astray, and tissue is as with a mask."""
    truth = trunk()
    signal = truth.noisy(50, 0)
    everywhere = run(water_fat, truth, signal, np.ones(truth.mask.shape, bool))
    fraction, _, field = errors(truth, everywhere, truth.strong)
    assert (np.abs(fraction) > 0.3).mean() < 2e-4
    assert (np.abs(field) > 20).mean() < 2e-4


def test_slices_may_have_any_phase():
    truth = trunk(te=echoes(1.744, 3.076, 4), b0=1.5, field_range=150)
    turned = truth.noisy(50, 0) * np.exp(2j * np.pi * np.random.default_rng(0).random(truth.mask.shape[2]))[:, None]
    fraction, _, field = errors(truth, run(water_fat, truth, turned), truth.strong)
    assert (np.abs(fraction) > 0.3).mean() < 2e-4
    assert (np.abs(field) > 20).mean() < 2e-4


@pytest.mark.parametrize("shape", [(40, 36, 1), (1, 1, 1), (40, 1, 1)])
def test_thin_volumes(shape):
    truth = trunk((40, 36, 1), (8.0, 8.0, 5.0), te=echoes(1.2, 1.0, 6), field_range=150)
    signal = truth.signal[:, 18:19] if shape[1] == 1 else truth.signal
    signal = signal[20:21] if shape[0] == 1 else signal
    grid = Grid(shape, (8.0, 8.0, 5.0), (0.0, 0.0, 1.0))
    mask = np.abs(signal[..., 0]) > 0
    products = water_fat(np.angle(signal), np.abs(signal), mask, grid, truth.te, 3.0)
    assert all(np.isfinite(p).all() and p.shape == shape for p in products)


def test_no_voxels_no_result():
    grid, te = Grid((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 1.0)), echoes(1.2, 1.0, 6)
    nothing = np.zeros((4, 4, 4, 6), np.float32)
    for mask in (np.zeros((4, 4, 4), bool), np.ones((4, 4, 4), bool)):
        assert not any(p.any() for p in water_fat(nothing, nothing, mask, grid, te, 3.0))


def test_two_echoes_are_too_few():
    for method in (water_fat, mago, in_phase):
        truth = trunk((20, 16, 4), (16.0, 16.0, 30.0), te=echoes(1.2, 1.0, 2))
        with pytest.raises(NotApplicable, match="at least three echoes; the scan has 2"):
            run(method, truth, truth.signal)


def test_unknown_spectra_are_refused():
    truth = trunk((20, 16, 4), (16.0, 16.0, 30.0))
    with pytest.raises(QsmbenchError, match="peaks is 5; the spectra of fat have"):
        run(water_fat, truth, truth.signal, peaks=5)


def test_a_single_peak_is_wrong():
    """Fat of six peaks looks partly like water, by several points."""
    truth = trunk(field_range=200)
    fat = truth.organs["cavity fat"]
    right, wrong = (run(water_fat, truth, truth.signal, peaks=n)["signal_fat_fraction"][fat].mean() for n in (6, 1))
    true = truth.fat_fraction[fat].mean()
    assert abs(right - true) < 0.003
    assert abs(wrong - true) > 0.03


def test_field_goes_on_to_background_removal():
    steps = chains.steps("water_fat.vsharp.tv")
    assert steps[1].providers["total_field"] == "water_fat"


# The other methods


def test_mago_agrees_without_noise_and_exchanges_few_voxels_with_it():
    truth = trunk()
    fraction = run(mago, truth, truth.signal)["signal_fat_fraction"] - truth.fat_fraction
    assert np.median(np.abs(fraction[truth.strong])) < 1e-3
    assert (np.abs(fraction[truth.strong]) > 0.3).mean() < 1e-3
    noisy = run(mago, truth, truth.noisy(100, 0))["signal_fat_fraction"] - truth.fat_fraction
    assert (np.abs(noisy[truth.strong]) > 0.3).mean() < 0.02


def test_in_phase_start_is_enough_in_a_good_field():
    truth = trunk(te=echoes(1.15, 1.15, 6), field_range=120)
    fraction, _, field = errors(truth, run(in_phase, truth, truth.signal), truth.strong)
    assert (np.abs(fraction) > 0.01).mean() < 0.01
    assert (np.abs(field) > 2).mean() < 0.01


# The building blocks


@pytest.mark.parametrize("te", [echoes(1.2, 1.0, 6), np.array([1.3, 2.3, 3.9, 5.0]) / 1000])
def test_residual_over_fields_is_that_of_least_squares(te):
    rng = np.random.default_rng(1)
    c = spectrum(te, 3.0)
    fields, rates, penalty = np.linspace(-700, 900, 41), np.array([20.0, 150.0]), np.array([0.3, 0.0])
    table = prepare(te, c, fields, rates, penalty)
    y = (rng.normal(size=te.size) + 1j * rng.normal(size=te.size)).astype(np.complex64)
    found, line = np.empty(41, np.float32), np.empty(41, np.float32)
    parts = np.empty((2, 2, table.wave.shape[1] + 1), np.float32)
    costs(y, np.float32(0.25), *table.arrays, parts, line, found)
    expected = []
    for field in fields:
        of_rates = []
        for rate, extra in zip(rates, penalty, strict=True):
            basis = np.stack([np.ones(te.size), c], axis=1) * np.exp((2j * np.pi * field - rate) * te)[:, None]
            rest = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
            of_rates.append(np.sum(np.abs(rest) ** 2) / 0.5 + extra)
        expected.append(min(of_rates))
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_messages_find_the_least_sum_on_a_tree():
    """Of all labellings of a row of voxels, which is a tree, the best one is found."""
    rng = np.random.default_rng(2)
    for _ in range(10):
        links = lattice(np.ones((1, 1, 6), bool)).neighbour
        cost = rng.random((6, 4)).astype(np.float32) * 3
        weight = np.full((6, 3), 0.7, np.float32)
        value = rng.random((6, 4)).astype(np.float32) * 4
        phasor = np.exp(1j * rng.random((6, 4)) * 6).astype(np.complex64)

        def total(labels, of, turn, cost=cost, phasor=phasor):
            rows = np.arange(6)
            chosen = of[rows, labels]
            turns = (1 - (phasor[rows, labels][1:] * phasor[rows, labels][:-1].conj()).real) / 2
            return cost[rows, labels].sum() + 0.7 * np.abs(np.diff(chosen)).sum() + turn * turns.sum()

        grid = np.tile(np.arange(4.0), (6, 1))
        for found, of, turn in (
            (minimise_on_grid(cost, links, weight, np.zeros((6, 6, 4), np.float32), 3), grid, 0.0),
            (minimise_among_candidates(cost, value, phasor, links, weight, 0.5 * weight / 0.7, 3), value, 0.5),
        ):
            least = min(total(np.array(labels), of, turn) for labels in itertools.product(range(4), repeat=6))
            assert total(found, of, turn) == pytest.approx(least, abs=1e-4)


def test_regions_return_from_another_period():
    rng = np.random.default_rng(3)
    voxels = lattice(np.ones((8, 9, 5), bool))
    x, y, z = np.nonzero(voxels.mask)
    true = 3.0 * x - 2.0 * y + rng.normal(0, 0.5, x.size)
    wrapped = true + 100 * ((x < 3) & (y > 4)) - 200 * ((x > 5) & (z < 2))
    found = shift_regions(wrapped, voxels.neighbour, np.ones((x.size, 3)), 50, 100.0 * np.arange(-3, 4))
    np.testing.assert_allclose(found, true)


def test_common_phase_costs_what_a_search_finds():
    rng = np.random.default_rng(4)
    te = echoes(1.0, 1.3, 4)
    c = spectrum(te, 3.0)
    basis = np.stack([np.ones(4), c], axis=1) * np.exp(-50 * te)[:, None]
    for _ in range(6):
        w, a = rng.normal(size=2) + 1j * rng.normal(size=2)
        y = basis @ np.array([w, a])

        def rest(p, y=y):
            return np.sum(np.abs(y - basis @ np.abs(p[:2]) * np.exp(1j * p[2])) ** 2)

        options = {"xatol": 1e-9, "fatol": 1e-12, "maxiter": 4000}
        starts = ([1, 1, angle] for angle in (0, 1.5, 3, 4.5))
        least = min(scipy.optimize.minimize(rest, s, method="Nelder-Mead", options=options).fun for s in starts)
        assert common_phase_excess(te, c, 50.0, w, a) == pytest.approx(least, rel=1e-5, abs=1e-8)
