"""Nonlinear least squares of the magnitude: water, fat and R2* of each voxel."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf

ITERATIONS = 60
"""Largest number of steps from each start."""

_CONVERGED = 1e-6  # relative change that ends the fit


@compiled(error_model="numpy")
def fit_magnitudes(start, stop, signal, te, fat, lowest, highest, water_out, fat_out, rate_out):
    """Fit the voxels from `start` to `stop`, each from a watery and a fatty start, and keep the better fit.

    Args:
        start, stop: numbers of the voxels.
        signal: (n_voxels, n_echoes) float32, magnitudes.
        te: (n_echoes,) s.
        fat: (n_echoes,) complex128, dephasing of the fat.
        lowest, highest: limits of R2*, 1/s.
        water_out, fat_out, rate_out: (n_voxels,) float32, receive water and fat at TE = 0, and R2* [1/s].
    """
    y = np.empty(te.size)
    for v in range(start, stop):
        top = 0.0
        for e in range(te.size):
            y[e] = signal[v, e]
            top = max(top, y[e])
        if not top > 0:
            continue
        y /= top
        best = np.inf
        for share in (0.05, 0.95):
            residual, water, fat_part, rate = _fit(y, te, fat, 1.0 - share, share, lowest, highest)
            if residual < best:
                best = residual
                water_out[v], fat_out[v], rate_out[v] = water * top, fat_part * top, rate


@leaf(error_model="numpy")
def _fit(y, te, fat, w, a, lowest, highest):
    """Levenberg–Marquardt steps of water, fat and R2*: residual, water, fat, R2*."""
    span = te[te.size - 1] - te[0]
    rate, damping = min(max(0.2 / span, lowest), highest), 1e-3
    normal = _normal(y, te, fat, w, a, rate)
    for _ in range(ITERATIONS):
        cost, ww, aa, rr, wa, wr, ar, gw, ga, gr = normal
        ww, aa, rr = ww * (1 + damping), aa * (1 + damping), rr * (1 + damping)
        c0, c1, c2 = aa * rr - ar * ar, wr * ar - wa * rr, wa * ar - wr * aa
        det = ww * c0 + wa * c1 + wr * c2
        if not det > 0:
            damping = max(damping, 1e-3) * 10
            if damping > 1e12:
                break
            continue
        step_w = (c0 * gw + c1 * ga + c2 * gr) / det
        step_a = (c1 * gw + (ww * rr - wr * wr) * ga + (wr * wa - ww * ar) * gr) / det
        step_r = (c2 * gw + (wr * wa - ww * ar) * ga + (ww * aa - wa * wa) * gr) / det
        new_rate = min(max(rate + step_r, lowest), highest)
        trial = _normal(y, te, fat, w + step_w, a + step_a, new_rate)
        moved = max(abs(step_w), abs(step_a), abs(new_rate - rate) * span)
        if trial[0] <= cost:
            w, a, rate, normal = w + step_w, a + step_a, new_rate, trial
            damping *= 0.2
        else:
            damping = max(damping, 1e-3) * 5
        if moved < _CONVERGED:
            break
    if w + a < 0:  # the magnitude does not tell the sign of both
        w, a = -w, -a
    return normal[0], w, a, rate


@leaf(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _normal(y, te, fat, w, a, rate):
    """Residual, the six numbers of the matrix and three of the right-hand side for water, fat and R2*."""
    cost, ww, aa, rr, wa, wr, ar, gw, ga, gr = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for e in range(te.size):
        decay = np.exp(-rate * te[e])
        x, z = (w + a * fat[e].real) * decay, a * fat[e].imag * decay
        size = max(np.sqrt(x * x + z * z), 1e-12)
        by_w = x * decay / size
        by_a = (x * fat[e].real + z * fat[e].imag) * decay / size
        by_r = -te[e] * size
        rest = y[e] - size
        cost += rest * rest
        ww += by_w * by_w
        aa += by_a * by_a
        rr += by_r * by_r
        wa += by_w * by_a
        wr += by_w * by_r
        ar += by_a * by_r
        gw += by_w * rest
        ga += by_a * rest
        gr += by_r * rest
    return cost, ww, aa, rr, wa, wr, ar, gw, ga, gr
