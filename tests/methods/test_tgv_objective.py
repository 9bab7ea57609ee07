"""Single-step TGV against a plain primal-dual iteration on matrices in double precision."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from scipy.ndimage import binary_erosion

from qsmbench.grid import Grid
from qsmbench.ops.solvers import single_step_tgv as gv

SIZE, OBLIQUE = (1.0, 1.2, 2.0), (0.36, -0.48, 0.8)
ALPHA1 = 1e-3


class Block:
    """½‖ψ‖² + α₁‖∇χ − w‖ + α₀‖Ew‖ under Δψ = □χ − data, by dense matrices on the voxels of a small block."""

    def __init__(self):
        self.grid = Grid((8, 8, 7), SIZE, OBLIQUE)
        self.inside = np.zeros(self.grid.shape, bool)
        self.inside[1:-1, 1:-1, 1:-1] = True
        self.known = binary_erosion(self.inside, np.ones((3, 3, 3)))
        rng = np.random.default_rng(0)
        count = self.inside.size
        points = np.eye(count).reshape(count, *self.grid.shape)[self.inside.ravel()]

        def shifted(steps):
            return np.roll(points, [-s for s in steps], (1, 2, 3))

        def unit(*axes):
            return np.array([sum(a == axis for axis in axes) for a in range(3)])

        def matrix(volumes, where):
            return volumes.reshape(len(points), -1)[:, where.ravel()].T

        second = [(shifted(unit(a)) + shifted(-unit(a)) - 2 * points) / SIZE[a] ** 2 for a in range(3)]
        wave = sum((1 / 3 - OBLIQUE[a] ** 2) * second[a] for a in range(3))
        for a, b in itertools.combinations(range(3), 2):
            u, v = unit(a), unit(b)
            cross = shifted(u + v) + shifted(-u - v) - shifted(u - v) - shifted(v - u)
            wave = wave - 2 * OBLIQUE[a] * OBLIQUE[b] * cross / (4 * SIZE[a] * SIZE[b])
        self.wave, self.laplacian = matrix(wave, self.known), matrix(sum(second), self.known)
        every = np.ones_like(self.inside)
        self.slopes, whole = [], self.inside.copy()
        for a in range(3):
            pair = matrix((shifted(unit(a)) - points) / SIZE[a], every)
            self.slopes.append(pair * (self.inside & np.roll(self.inside, -1, a)).ravel()[:, None])
            whole &= np.roll(self.inside, 1, a)
        back = [matrix((points - shifted(-unit(a))) / SIZE[a], every) * whole.ravel()[:, None] for a in range(3)]
        self.identity = [
            matrix(points, every) * (self.inside & np.roll(self.inside, -1, a)).ravel()[:, None] for a in range(3)
        ]
        empty = np.zeros_like(back[0])
        strain = []
        for a, b in [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]:
            row = [empty.copy() for _ in range(3)]
            row[a] += back[b] / 2
            row[b] += back[a] / 2
            strain.append(np.hstack(row) * (1 if a == b else 2**0.5))
        self.strain = np.array(strain)  # (6, voxels, 3 · inside)
        chi = np.zeros(self.grid.shape)
        chi[2:5, 2:6, 2:5] = 0.1
        noise = 0.003 * rng.standard_normal(self.known.sum())
        self.data = np.zeros(self.grid.shape, np.float32)
        self.data[self.known] = self.wave @ chi[self.inside] + noise
        self.target = self.data[self.known].astype(float)

    def objective(self, chi, w, alpha0):
        """With the smallest ψ that satisfies the equation."""
        psi = np.linalg.lstsq(self.laplacian, self.wave @ chi - self.target, rcond=None)[0]
        n = len(chi)
        jump = [
            s @ chi - i @ w[a * n : (a + 1) * n]
            for a, (s, i) in enumerate(zip(self.slopes, self.identity, strict=True))
        ]
        second = np.linalg.norm(self.strain @ w, axis=0).sum()
        return 0.5 * psi @ psi + ALPHA1 * np.linalg.norm(jump, axis=0).sum() + alpha0 * second

    def minimum(self, alpha0, basis, iterations=30000):
        """The least objective over χ and w in the span of `basis`, by equal steps (Chambolle & Pock 2011)."""
        n, n_w = len(self.identity[0].T), basis.shape[1]
        voxels = self.inside.size
        first = np.vstack([np.hstack([s, np.zeros((voxels, n))]) for s in self.slopes])
        held = scipy.linalg.block_diag(*self.identity) @ basis
        rows = np.vstack(
            [
                np.hstack([self.wave, -self.laplacian, np.zeros((len(self.wave), n_w))]),
                np.hstack([first, -held]),
                np.hstack([np.zeros((6 * voxels, 2 * n)), self.strain.reshape(6 * voxels, -1) @ basis]),
            ]
        )

        matrix = scipy.sparse.csr_array(rows)
        step = 0.99 / np.linalg.norm(rows, 2)
        tau, sigma = 30 * step, step / 30
        cut = len(self.wave)
        x, y = np.zeros(rows.shape[1]), np.zeros(len(rows))
        bar = x
        for _ in range(iterations):
            y = y + sigma * (matrix @ bar)
            y[:cut] -= sigma * self.target
            for part, bound, m in (
                (slice(cut, cut + 3 * voxels), ALPHA1, 3),
                (slice(cut + 3 * voxels, None), alpha0, 6),
            ):
                q = y[part].reshape(m, voxels)
                y[part] = (q / np.maximum(np.linalg.norm(q, axis=0) / bound, 1)).ravel()
            new = x - tau * (matrix.T @ y)
            new[n : 2 * n] /= 1 + tau
            bar, x = 2 * new - x, new
        return self.objective(x[:n], basis @ x[2 * n :], alpha0)

    def solve(self, alpha0, tolerance, iterations):
        """χ and w by the steps of the method, at its ratio of steps."""
        where, by = gv.flags(self.inside, self.known), gv.step_sizes(self.grid, 30.0, 10.0, 1.9)
        dual, primal, ahead = (np.zeros((m, *self.grid.shape), np.float32) for m in (10, 5, 5))
        for _ in range(iterations):
            gv.dual_step(dual, ahead, self.data, where, self.grid, (ALPHA1, alpha0), by)
            if gv.primal_step(primal, ahead, dual, where, self.grid, by) < tolerance:
                break
        values = primal[:, self.inside].astype(float)
        return values[0], values[2:].ravel()


@pytest.fixture(scope="module")
def block():
    return Block()


def test_tgv_comes_to_the_least_objective(block):
    alpha0 = 3e-4
    lowest = block.minimum(alpha0, np.eye(block.strain.shape[2]))
    zero = block.objective(np.zeros(block.inside.sum()), np.zeros(3 * block.inside.sum()), alpha0)
    assert lowest < 0.8 * zero
    chi, w = block.solve(alpha0, 0.0, 20000)
    found = block.objective(chi, w, alpha0)
    assert np.linalg.norm(block.strain @ w) > 0.02 * np.linalg.norm(w)  # the second term has a say
    assert abs(found - lowest) < 2e-3 * lowest


def test_tgv_without_strain_is_tv_of_what_such_a_field_leaves(block):
    """As α₀ grows Ew must vanish, and |∇χ − w| is the total variation of χ apart from a w without strain."""
    strainless = scipy.linalg.null_space(block.strain.reshape(-1, block.strain.shape[2]), rcond=1e-10)
    lowest = block.minimum(1.0, strainless)
    chi, w = block.solve(1.0, 0.0, 20000)
    nearest = strainless @ (strainless.T @ w)
    assert abs(block.objective(chi, nearest, 1.0) - lowest) < 2e-3 * lowest
    assert np.linalg.norm(w - nearest) < 1e-3 * np.linalg.norm(w)
