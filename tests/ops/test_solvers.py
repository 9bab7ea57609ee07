"""Conjugate gradients and dense solutions; the ν-method and its polynomials; fused TV stencils and plain array code."""

import numpy as np
import oracles
import pytest
import scipy.special

from qsmbench.ops.arrays import algebra
from qsmbench.ops.arrays.difference import gradient, gradient_adjoint
from qsmbench.ops.solvers import solve, total_variation

SHAPE = (7, 6, 5)
SIZE = (1.0, 1.2, 2.0)


def test_cgls_gives_the_least_squares_solution():
    rng = np.random.default_rng(0)
    matrix = rng.standard_normal((210, 210)).astype(np.float32)
    matrix[:, 100:] = 0  # only 100 unknowns matter: over-determined
    data = rng.standard_normal(SHAPE).astype(np.float32)
    residual = data.copy()
    x = solve.cgls(
        lambda v: (matrix @ v.ravel()).reshape(SHAPE),
        lambda v: (matrix.T @ v.ravel()).reshape(SHAPE),
        residual,
        1e-6,
        500,
    )
    expected = np.linalg.lstsq(matrix[:, :100], data.ravel(), rcond=None)[0]
    np.testing.assert_allclose(x.ravel()[:100], expected, atol=2e-4)
    np.testing.assert_allclose(residual, data - (matrix @ x.ravel()).reshape(SHAPE), atol=1e-4)


def test_cgls_of_zero_is_zero():
    x = solve.cgls(lambda v: v, lambda v: v, np.zeros(SHAPE, np.float32), 1e-3, 10)
    assert not x.any()


@pytest.mark.parametrize("n", [1, 2, 7, 50])
def test_the_nu_method_multiplies_eigenvectors_by_jacobi_polynomials(n):
    """Brakhage 1987; SciPy evaluates the polynomials."""
    bound = 0.25
    eigenvalues = np.linspace(0, bound, 210).reshape(SHAPE).astype(np.float32)
    left = solve.nu_method(lambda v: eigenvalues * v, np.ones(SHAPE, np.float32), bound, n)
    expected, scale = (scipy.special.eval_jacobi(n, 1.5, -0.5, x) for x in (1 - 2 * eigenvalues / bound, 1.0))
    np.testing.assert_allclose(left, expected / scale, atol=1e-4)


def test_dot_is_the_same_on_any_number_of_threads(monkeypatch):
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 31, 20, 17)).astype(np.float32)
    values = set()
    for n in ("1", "2", "3", "8"):
        monkeypatch.setenv("QSMBENCH_THREADS", n)
        values.add(algebra.dot(a, b))
    assert len(values) == 1
    assert values.pop() == pytest.approx(oracles.inner(a, b), rel=1e-4)


@pytest.mark.parametrize("threads", ["1", "3"])
def test_total_variation_step_is_shrinkage_with_relaxation(threads, monkeypatch):
    monkeypatch.setenv("QSMBENCH_THREADS", threads)
    rng = np.random.default_rng(0)
    chi, previous = rng.standard_normal((2, *SHAPE)).astype(np.float32)
    dual = rng.standard_normal((3, *SHAPE)).astype(np.float32)
    t, relaxation = 0.4, 1.7
    z = np.sign(dual) * np.maximum(np.abs(dual) - t, 0)
    expected = dual + relaxation * (gradient(chi, SIZE) - z)
    change = total_variation.step(dual, chi, previous, SIZE, t, relaxation)
    np.testing.assert_allclose(dual, expected, atol=1e-5)
    assert change == pytest.approx(np.linalg.norm(chi - previous) / np.linalg.norm(chi), rel=1e-5)

    z = np.sign(dual) * np.maximum(np.abs(dual) - t, 0)
    out = np.empty(SHAPE, np.float32)
    total_variation.adjoint(dual, out, SIZE, t)
    np.testing.assert_allclose(out, gradient_adjoint(2 * z - dual, SIZE), atol=1e-5)
