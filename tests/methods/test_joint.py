"""Single-step methods: operators, reference minimisers, strong outer sources without background removal."""

from unittest.mock import Mock

import numpy as np
import oracles
import pytest
import scipy.fft
from scipy.ndimage import binary_erosion

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.methods.background.pdf import pdf
from qsmbench.methods.inversion.tv import tv
from qsmbench.methods.joint.tfi import tfi
from qsmbench.methods.joint.tgv_qsm import tgv_qsm
from qsmbench.ops.arrays.difference import gradient
from qsmbench.ops.arrays.fft import Window
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers import problem
from qsmbench.ops.solvers import single_step_tgv as gv
from qsmbench.ops.solvers import total_field as solver
from qsmbench.units import rad_per_ppm

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)
TE, B0 = np.array([0.004, 0.011, 0.02]), 3.0


def scan(head, field, noise=0.0, seed=0):
    """Phase (wrapped) and magnitude of three echoes of a field [ppm], with noise relative to the signal."""
    rng = np.random.default_rng(seed)
    turns = rad_per_ppm(B0, 1.0) * field[..., None] * TE
    signal = head.mask[..., None] * np.exp(-20 * TE + 1j * turns)
    signal = signal + noise * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    return np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32)


def run_tgv(head, field, noise=0.0, **settings):
    return tgv_qsm(*scan(head, field, noise), head.mask, head.grid, TE, B0, **settings)


def test_wave_operator_is_that_of_the_dipole():
    """□ of a plane wave is −(2π)²(k²/3 − (k·b)²) times the wave, for waves much longer than a voxel."""
    grid = Grid((40, 36, 30), SIZE, OBLIQUE)
    x, y, z = grid.axes()
    k = np.array([1 / 40, 2 / (36 * 1.2), 1 / 60])
    wave = np.cos(2 * np.pi * (k[0] * x + k[1] * y + k[2] * z))
    squares = (2 * np.pi) ** 2 * np.array([(k**2).sum(), (k @ OBLIQUE) ** 2])
    np.testing.assert_allclose(
        gv.apply_stencil(gv.laplacian_terms(grid), wave), -squares[0] * wave, atol=0.02 * squares[0]
    )
    found = gv.apply_stencil(gv.wave_terms(grid), wave)
    np.testing.assert_allclose(found, (-squares[0] / 3 + squares[1]) * wave, atol=0.02 * squares[0])


def as_operator(inside, known, grid):
    """K and its adjoint as the two steps apply them: (χ, ψ, w) ↔ (η, p, q with the weights of its inner product)."""
    where = gv.flags(inside, known)
    ones = gv.StepSizes(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0)

    def forward(x):
        state = np.zeros((10, *inside.shape), np.float32)
        gv.dual_step(state, x * inside, np.zeros(inside.shape, np.float32), where, grid, (1e9, 1e9), ones)
        state[7:] *= np.float32(2**0.5)
        return state

    def adjoint(y):
        state = y.copy()
        state[7:] /= np.float32(2**0.5)
        state[0] *= known
        for a in range(3):
            state[1 + a] *= (where >> a) & 1
        state[4:] *= (where >> 3) & 1
        primal = np.zeros((5, *inside.shape), np.float32)
        gv.primal_step(primal, np.zeros_like(primal), state, where, grid, ones)
        primal[1] *= 2  # the step divides by 1 + 1
        return -primal * np.array([1, 1, 1, 1, 1], np.float32)[:, None, None, None]

    return forward, adjoint


@pytest.fixture
def ragged():
    """A ragged mask with a margin, on anisotropic voxels under an oblique B0."""
    rng = np.random.default_rng(0)
    inside = np.zeros((15, 16, 13), bool)
    inside[1:-1, 1:-1, 1:-1] = rng.random((13, 14, 11)) < 0.93
    return inside, binary_erosion(inside, np.ones((3, 3, 3))), Grid(inside.shape, SIZE, OBLIQUE)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_primal_and_dual_steps_are_adjoint(ragged, threads, monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", threads)
    inside, known, grid = ragged
    assert known.any()
    forward, adjoint = as_operator(inside, known, grid)
    oracles.check_adjoint(forward, adjoint, (5, *inside.shape), (10, *inside.shape))


def test_steps_satisfy_the_condition_of_convergence(ragged):
    """‖√σ K √τ‖ ≤ 1, by power iteration."""
    inside, known, grid = ragged
    forward, adjoint = as_operator(inside, known, grid)
    for ratio, scale in ((30, 10), (1, 1), (0.1, 100)):
        by = gv.step_sizes(grid, ratio, scale, 1.0)
        tau = np.array([by.chi, by.psi, by.w, by.w, by.w], np.float32)[:, None, None, None]
        sigma = np.array([by.eta, *[by.p] * 3, *[by.q] * 6], np.float32)[:, None, None, None]
        x = np.random.default_rng(0).standard_normal((5, *inside.shape)).astype(np.float32)
        for _ in range(60):
            x /= np.linalg.norm(x)
            x = np.sqrt(tau) * adjoint(sigma * forward(np.sqrt(tau) * x))
        assert 0.3 < np.linalg.norm(x) <= 1 + 1e-4


def test_compiled_and_plain_steps_agree(ragged):
    strict = pytest.importorskip("array_api_strict")
    inside, known, grid = ragged
    rng = np.random.default_rng(0)
    where, by = gv.flags(inside, known), gv.step_sizes(grid, 3.0, 2.0, 1.7)
    dual = rng.standard_normal((10, *inside.shape)).astype(np.float32)
    dual[0] *= known
    for a in range(3):
        dual[1 + a] *= (where >> a) & 1
    dual[4:] *= (where >> 3) & 1
    primal, ahead = rng.standard_normal((2, 5, *inside.shape)).astype(np.float32) * inside
    data = rng.standard_normal(inside.shape).astype(np.float32) * known
    other = [strict.asarray(v.copy()) for v in (dual, primal, ahead, data, where)]
    gv.dual_step(dual, ahead, data, where, grid, (0.3, 0.5), by)
    change = gv.primal_step(primal, ahead, dual, where, grid, by)
    dual2, primal2, ahead2, data2, where2 = other
    gv.dual_step(dual2, ahead2, data2, where2, grid, (0.3, 0.5), by)
    assert gv.primal_step(primal2, ahead2, dual2, where2, grid, by) == pytest.approx(change, rel=1e-4)
    for compiled, plain in ((dual, dual2), (primal, primal2), (ahead, ahead2)):
        np.testing.assert_allclose(compiled, np.asarray(plain), atol=2e-5)


def test_tgv_satisfies_its_equation_and_its_optimality_conditions(ragged):
    """At the end Δψ = □χ − data, and what each variable's derivative must be."""
    _, _, grid = ragged
    inside = np.zeros(grid.shape, bool)
    inside[1:-1, 1:-1, 1:-1] = True
    known = binary_erosion(inside, np.ones((3, 3, 3)))
    where, by = gv.flags(inside, known), gv.step_sizes(grid, 3.0, 3.0, 1.9)
    data = 0.01 * np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32) * known
    dual, primal, ahead = (np.zeros((n, *grid.shape), np.float32) for n in (10, 5, 5))
    for _ in range(6000):
        gv.dual_step(dual, ahead, data, where, grid, (1e-3, 2e-3), by)
        gv.primal_step(primal, ahead, dual, where, grid, by)
    chi, psi = primal[:2]
    misfit = (
        gv.apply_stencil(gv.wave_terms(grid), chi) - gv.apply_stencil(gv.laplacian_terms(grid), psi) - data
    ) * known
    assert np.linalg.norm(misfit) < 2e-3 * np.linalg.norm(data)
    forward, adjoint = as_operator(inside, known, grid)
    scaled = dual.copy()
    scaled[7:] *= np.float32(2**0.5)
    slope = adjoint(scaled)
    assert np.linalg.norm((slope[1] + psi) * inside) < 5e-3 * np.linalg.norm(psi)
    assert np.linalg.norm(slope[0]) < 2e-2 * np.linalg.norm(
        np.abs(gv.apply_stencil(gv.wave_terms(grid), dual[0]) * inside)
    )
    differences = forward(primal)
    gradient, p = differences[1:4], dual[1:4]
    assert np.linalg.norm(p, axis=0).max() < 1e-3 * 1.01
    aligned, most = (gradient * p).sum(), 1e-3 * np.linalg.norm(gradient, axis=0).sum()
    assert aligned == pytest.approx(most, rel=0.03)


def test_tgv_needs_no_unwrapping_and_no_background_removal(head):
    total = head.local_field + head.background
    phase, _ = scan(head, total)
    assert np.abs(np.diff(phase, axis=0)).max() > 3  # there are wraps
    inner = binary_erosion(head.mask, iterations=2)
    clean, with_background = run_tgv(head, head.local_field, 0.01), run_tgv(head, total, 0.01)
    assert oracles.nrmse(clean, head.chi, inner) < 0.35
    assert oracles.nrmse(with_background, head.chi, inner) < 0.35
    assert np.polyfit(head.chi[inner], with_background[inner], 1)[0] > 0.5
    assert with_background[head.chi > 0.15].mean() > 0.08
    assert with_background[head.chi < -0.35].mean() < -0.1


def test_tgv_does_not_mind_a_harmonic_field(head):
    x, y, z = head.grid.axes()
    harmonic = (0.02 * x - 0.01 * y + 3e-4 * (2 * z**2 - x**2 - y**2)) * head.mask
    plain = run_tgv(head, head.local_field)
    assert oracles.relative(run_tgv(head, head.local_field + harmonic), plain) < 0.02


def test_more_regularisation_of_tgv_gives_less_variation(head):
    variation = [
        np.abs(gradient(run_tgv(head, head.local_field, 0.02, alpha1=a, alpha0=3 * a), head.grid.voxel_size)).sum()
        for a in (1e-4, 5e-4, 3e-3)
    ]
    assert variation[0] > variation[1] > variation[2]


def test_tgv_says_when_the_mask_is_too_thin(head):
    thin = head.mask.copy()
    thin[:, :, np.arange(thin.shape[2]) % 3 == 0] = False
    with pytest.raises(NotApplicable, match="the mask is less than three voxels thick everywhere"):
        tgv_qsm(*scan(head, head.local_field), thin, head.grid, TE, B0)


def total_field(head, noise):
    rng = np.random.default_rng(0)
    field = head.local_field + head.background + noise * rng.standard_normal(head.mask.shape)
    return (field * head.mask).astype(np.float32)


def flat_magnitude(head):
    return (head.mask[..., None] * np.exp(-20 * TE)).astype(np.float32)


@pytest.mark.parametrize("noise", [0, 0.003])
def test_tfi_beats_background_removal_followed_by_inversion(head, noise):
    field = total_field(head, noise)
    chi = tfi(field, flat_magnitude(head), head.mask, head.grid, TE)
    two_steps = tv(pdf(field, head.mask, head.grid), head.mask, head.grid)
    assert oracles.nrmse(chi, head.chi, head.mask) < 0.85 * oracles.nrmse(two_steps, head.chi, head.mask)
    inner = binary_erosion(head.mask, iterations=2)
    assert oracles.nrmse(chi, head.chi, inner) < 0.45
    assert chi[head.chi > 0.15].mean() > 0.1
    assert chi[head.chi < -0.35].mean() < -0.15


def test_the_preconditioner_of_tfi_is_what_makes_it_converge(head):
    """Published: without it, as many conjugate gradients leave the background in χ."""
    field, magnitude = total_field(head, 0), flat_magnitude(head)
    quick = {"n_iterations": 30}
    plain, with_it = (tfi(field, magnitude, head.mask, head.grid, TE, outside=p, **quick) for p in (1.0, 100.0))
    assert oracles.nrmse(with_it, head.chi, head.mask) < 0.2 * oracles.nrmse(plain, head.chi, head.mask)


class Dense:
    """The objective of TFI on a tiny volume, by matrices in double precision."""

    grid = Grid((7, 6, 5), SIZE, OBLIQUE)
    regularisation, smallest, pad = 1e-3, 2e-2, 0.0

    def __init__(self):
        rng = np.random.default_rng(0)
        self.mask = rng.random(self.grid.shape) < 0.9
        self.mask[0, 0, 0] = self.mask[-1, -1, -1] = True
        self.field = (0.1 * rng.standard_normal(self.grid.shape) * self.mask).astype(np.float32)
        self.magnitude = (self.mask * rng.uniform(0.5, 1.5, self.grid.shape))[..., None].astype(np.float32)
        self.window = Window.around(self.mask, self.grid, self.pad)
        shape = self.window.shape
        count = int(np.prod(shape))
        inside = self.window.take_mask(self.mask)
        weight = self.window.take(self.magnitude[..., 0]).astype(float).ravel() ** 2
        root = np.sqrt(weight / weight[inside.ravel()].mean())
        points = np.eye(count).reshape(count, *shape)
        axes = (1, 2, 3)
        kernel = dipole_kernel(self.grid, shape).astype(float)
        fields = scipy.fft.irfftn(kernel * scipy.fft.rfftn(points, axes=axes), shape, axes=axes)
        self.dipoles = root[:, None] * fields.reshape(count, -1).T
        self.data = root * self.window.take(self.field).astype(float).ravel()
        pairs = [inside & np.roll(inside, -1, a) for a in range(3)]
        slopes = [(np.roll(points, -1, a + 1) - points)[:, pairs[a]].T / d for a, d in enumerate(SIZE)]
        self.slopes = np.concatenate(slopes)

    def objective(self, chi):
        chi = chi.astype(float).ravel()
        smooth = np.sqrt((self.slopes @ chi) ** 2 + self.smallest**2).sum()
        return 0.5 * ((self.dipoles @ chi - self.data) ** 2).sum() + self.regularisation * smooth

    def minimiser(self):
        """By parabolas that touch the penalty from above, each minimised exactly."""
        chi = np.zeros(self.dipoles.shape[1])
        for _ in range(300):
            weights = np.sqrt(self.regularisation / np.sqrt((self.slopes @ chi) ** 2 + self.smallest**2))
            rows = np.concatenate([self.dipoles, weights[:, None] * self.slopes])
            chi = np.linalg.lstsq(rows, np.concatenate([self.data, np.zeros(len(weights))]), rcond=1e-12)[0]
        return chi

    def solve(self, monkeypatch, n_iterations):
        """χ of the method and, before it is cut to the mask, of the padded window."""
        whole = []
        monkeypatch.setattr(problem, "report_solution", lambda chi, *_: whole.append(chi.copy()))
        settings = {"regularisation": self.regularisation, "smallest": self.smallest, "edges": 0.0, "pad": self.pad}
        inputs = self.field, self.magnitude, self.mask, self.grid, TE[:1]
        return tfi(*inputs, **settings, n_iterations=n_iterations), whole[0]


def test_tfi_comes_to_the_minimiser_and_stays(monkeypatch):
    """Rounding does not move it away again in further iterations."""
    dense = Dense()
    best = dense.minimiser()
    lowest, start = dense.objective(best), dense.objective(np.zeros_like(best))
    for n in (3000, 6000):
        found, whole = dense.solve(monkeypatch, n)
        assert dense.objective(whole) - lowest < 1e-7 * (start - lowest)
        expected = dense.window.put(best.reshape(dense.window.shape).astype(np.float32), dense.mask)
        assert oracles.nrmse(found, expected, dense.mask) < 2e-3


def test_the_objective_of_tfi_falls_with_every_step(monkeypatch):
    dense = Dense()
    values = np.array([dense.objective(dense.solve(monkeypatch, n)[1]) for n in range(1, 40)])
    assert (np.diff(values) < 1e-6 * values[0]).all()
    assert (np.diff(values)[:10] < 0).all()


def test_tfi_takes_as_many_steps_for_every_field(monkeypatch):
    """A limit of the change of χ stopped after 135 or 137 steps on a head of 5 mm, as rounding had it."""
    dense, counts = Dense(), set()
    for strength in (0.1, 1, 10):
        with monkeypatch.context() as patch:
            step = Mock(wraps=solver.gradient_adjoint)
            patch.setattr(solver, "gradient_adjoint", step)
            tfi(strength * dense.field, dense.magnitude, dense.mask, dense.grid, TE[:1])
        counts.add(step.call_count)
    assert len(counts) == 1


def test_tfi_of_an_outer_source_alone_is_nearly_nothing():
    grid = Grid((41, 36, 23), SIZE, OBLIQUE)
    x, y, z = grid.axes()
    mask = x**2 + y**2 + z**2 < 16**2
    field = oracles.sphere_field((x, y, z), OBLIQUE, (14, 17, -12), 6, 9.4) * mask
    chi = tfi(field, mask[..., None].astype(np.float32), mask, grid, TE[:1])
    assert field[mask].std() > 0.06
    assert chi[mask].std() < 0.01
