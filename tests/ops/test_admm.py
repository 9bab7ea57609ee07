"""Proximal operators, the operators of total generalised variation, and the χ-step: against plain formulas."""

import array_api_strict
import numpy as np
import oracles
import pytest

from qsmbench.grid import Grid
from qsmbench.ops.arrays.array import to_numpy
from qsmbench.ops.arrays.difference import difference_spectra, gradient, laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve, irfftn, rfftn
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers import generalised_variation, proximal
from qsmbench.ops.solvers.admm import FieldData, divide
from qsmbench.ops.solvers.generalised_variation import (
    GeneralisedVariation,
    symmetrised_gradient,
    symmetrised_gradient_adjoint,
)
from qsmbench.ops.solvers.weak_harmonic import HarmonicData

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)
SHAPE = (7, 9, 8)
KAPPA = 16.0


def volumes(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("w2", [0.0, 0.3, 1.0, 1.4])
@pytest.mark.parametrize("field", [-0.05, 0.2])
@pytest.mark.parametrize("s", [0.15, 0.21, -0.1, 0.55, 0.8])
def test_proximal_operators_minimise(w2, field, s):
    rho, w = 0.9, np.sqrt(w2)
    cases = [
        (proximal.quadratic(np, s, field, w2 / (w2 + rho)), lambda y: w2 / 2 * (y - field) ** 2),
        (proximal.absolute(np, s, field, w / rho * 0.1), lambda y: 0.1 * w * abs(y - field)),
        (
            proximal.phase(np, s, field, w2 / rho, scale=KAPPA),
            lambda y: w2 / KAPPA**2 * (1 - np.cos(KAPPA * (y - field))),
        ),
    ]
    for found, term in cases:

        def objective(y, term=term):
            return term(y) + rho / 2 * (y - s) ** 2

        best = objective(np.linspace(s - 0.3, s + 0.3, 300001)).min()
        assert objective(found) <= best + 1e-3 * objective(s) + 1e-12


def test_phase_proximal_does_not_see_whole_turns():
    s, field = volumes(2, 500).astype(float) * 0.1
    weight = np.full(500, 1.3)
    near = proximal.phase(np, s, field, weight, scale=KAPPA)
    turned = proximal.phase(np, s, field + 2 * np.pi * 3 / KAPPA, weight, scale=KAPPA)
    np.testing.assert_allclose(turned, near, atol=1e-10)


def test_phase_proximal_is_quadratic_for_small_phases():
    s, field = volumes(2, 500).astype(float) * 1e-3
    weight = np.abs(volumes(500, seed=1)).astype(float)
    expected = proximal.quadratic(np, s, field, weight / (weight + 1))
    np.testing.assert_allclose(proximal.phase(np, s, field, weight, scale=1.0), expected, atol=1e-8)


def weighted_inner(a, b):
    """The inner product of symmetric tensors, whose mixed components count twice."""
    return sum((1 if i < 3 else 2) * oracles.inner(a[i], b[i]) for i in range(6))


def test_symmetrised_gradient_has_its_adjoint():
    v, w = volumes(3, *SHAPE), volumes(6, *SHAPE, seed=1)
    left = weighted_inner(symmetrised_gradient(v, SIZE), w)
    right = oracles.inner(v, symmetrised_gradient_adjoint(w, SIZE))
    assert left == pytest.approx(right, rel=1e-5)


def test_symmetrised_gradient_is_half_the_sum_of_both_derivatives():
    grid = Grid((24, 20, 16), SIZE)
    x, y, z = (2 * np.pi * np.arange(n) / n for n in grid.shape)
    x, y, z = np.meshgrid(x, y, z, indexing="ij")
    v = np.stack([np.sin(y), np.cos(z), np.sin(x + y)]).astype(np.float32)
    # a whole period apart from the derivative: the difference over one step, in the middle of it
    step = [2 * np.pi / n / d for n, d in zip(grid.shape, SIZE, strict=True)]
    expected_xy = 0.5 * step[1] * np.cos(y)
    expected_yz = 0.5 * (step[1] * np.cos(x + y) - step[2] * np.sin(z))
    found = symmetrised_gradient(v, SIZE)
    for component, expected in ((3, expected_xy), (5, expected_yz)):
        assert oracles.relative(found[component], expected) < 0.25  # half a voxel off
    assert not symmetrised_gradient(np.ones((3, *SHAPE), np.float32), SIZE).any()  # a slope costs nothing


def test_difference_spectra_multiply_like_the_gradient():
    x = volumes(*SHAPE)
    spectra = difference_spectra(Grid(SHAPE, SIZE), SHAPE)
    for part, spectrum in zip(gradient(x, SIZE), spectra, strict=True):
        np.testing.assert_allclose(irfftn(rfftn(x) * spectrum, SHAPE), part, atol=2e-6)


def test_compiled_stencils_do_as_the_plain_ones():
    vector, tensor, chi = volumes(3, *SHAPE), volumes(6, *SHAPE, seed=1), volumes(*SHAPE, seed=2)
    v = list(volumes(3, *SHAPE, seed=3))
    thresholds, rhos = (0.4, 0.7), (0.3, 0.2)
    move = array_api_strict.asarray
    moved = generalised_variation.adjoint(move(vector), move(tensor), SIZE, thresholds, rhos)
    found = generalised_variation.adjoint(vector, tensor, SIZE, thresholds, rhos)
    for a, b in zip(found, moved, strict=True):
        np.testing.assert_allclose(a, to_numpy(b), atol=1e-5)
    others = move(vector), move(tensor)
    generalised_variation.step(*others, move(chi), [move(x) for x in v], SIZE, thresholds, 1.7)
    generalised_variation.step(vector, tensor, chi, v, SIZE, thresholds, 1.7)
    np.testing.assert_allclose(vector, to_numpy(others[0]), atol=1e-5)
    np.testing.assert_allclose(tensor, to_numpy(others[1]), atol=1e-5)


def test_division_does_as_the_plain_one():
    grid = Grid(SHAPE, SIZE, OBLIQUE)
    kernel = dipole_kernel(grid, SHAPE)
    normal = kernel**2 + laplacian_spectrum(grid, SHAPE)
    normal[0, 0, 0] = 1
    target, right = rfftn(volumes(*SHAPE)), rfftn(volumes(*SHAPE, seed=1))
    expected = (target.astype(complex) * kernel + right) / normal
    move = array_api_strict.asarray
    for found in (divide(*map(move, (target, right, kernel, normal))), divide(target, right, kernel, normal)):
        np.testing.assert_allclose(to_numpy(found[0]), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(to_numpy(found[1]), expected * kernel, rtol=1e-4, atol=1e-5)


def test_generalised_variation_step_solves_for_chi_and_slope_together():
    """The first step from a start χ₀ minimises ½‖Dχ − t‖² + ρ₁/2 ‖∇χ − v − ẑ‖² + ρ₀/2 ‖Ev − ŵ‖²: its slopes vanish."""
    grid = Grid(SHAPE, SIZE, OBLIQUE)
    kernel = dipole_kernel(grid, SHAPE)
    target, start = volumes(*SHAPE), volumes(*SHAPE, seed=1)
    data = FieldData(kernel, lambda xp, s: s, (), target)  # no data: y is s, and the target too
    variation = GeneralisedVariation(start, grid, 0.2, 1.5, 3.0, 2.0)
    rho1, rho0, t1 = 0.6, 0.6, 1 / 3
    slopes = gradient(start, SIZE)
    aim = slopes - 2 * np.clip(slopes, -t1, t1)
    vectors = []
    real = generalised_variation.step

    def spy(vector, tensor, chi, v, *rest):
        vectors.append(np.stack(v))
        real(vector, tensor, chi, v, *rest)

    normal = data.normal(variation.normal)
    normal[0, 0, 0] = 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generalised_variation, "step", spy)
        chi_hat, _ = data.solve(variation.right_hand_side(), normal)
        variation.update(chi_hat, 1.0)
    chi, v = variation.chi, vectors[0]
    misfit = gradient(chi, SIZE) - v - aim
    by_chi = convolve(convolve(chi, kernel) - target, kernel) + rho1 * divergence(misfit)
    by_v = rho0 * symmetrised_gradient_adjoint(symmetrised_gradient(v, SIZE), SIZE) - rho1 * misfit
    assert np.linalg.norm(by_chi) < 1e-4 * np.linalg.norm(target)
    assert np.linalg.norm(by_v) < 1e-4 * np.linalg.norm(aim)


def divergence(vector):
    return sum((np.roll(v, 1, a) - v) / d for a, (v, d) in enumerate(zip(vector, SIZE, strict=True)))


def test_harmonic_step_solves_for_chi_and_background_together():
    """It minimises ½‖Dχ + φ − t‖² + ρ/2 ‖−∇²φ − ĥ‖² + R: the slopes by χ and by φ vanish."""
    grid = Grid(SHAPE, SIZE, OBLIQUE)
    kernel, laplacian = dipole_kernel(grid, SHAPE), laplacian_spectrum(grid, SHAPE)
    field, right = volumes(*SHAPE), volumes(*SHAPE, seed=1)
    inside, zero = np.ones(SHAPE, np.float32), np.zeros(SHAPE, np.float32)
    right -= right.mean()
    data = HarmonicData(kernel, field, zero, inside, grid, weight=2.0, penalty=0.7)
    normal = data.normal(0.1 * laplacian)
    normal[0, 0, 0] = 1
    chi_hat, field_hat = data.solve(rfftn(right), normal)
    chi, model = irfftn(chi_hat, SHAPE), irfftn(field_hat, SHAPE)
    phi = model - convolve(chi, kernel)
    by_chi = convolve(model - field, kernel) + 0.1 * convolve(chi, laplacian) - right
    by_phi = model - field + 0.7 * convolve(phi, laplacian**2)
    assert np.linalg.norm(by_chi) < 1e-4 * np.linalg.norm(field)
    assert np.linalg.norm(by_phi) < 1e-4 * np.linalg.norm(field)
