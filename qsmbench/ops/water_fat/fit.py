"""Nonlinear least squares of complex water and fat, field and R2* in each voxel.

Water and fat are linear, and are eliminated (variable projection). Field and R2* are the imaginary and the real part of
one complex rate, so that a Gauss–Newton step is a single complex division.
"""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf

ITERATIONS = 40
"""Largest number of steps."""

_CONVERGED = 1e-5  # change of field and R2* that ends the fit, in units of 1 / (last − first echo time)
_REACH = 0.5  # farthest the field may go from its start, in the same unit, lest noise lead it to another minimum
_LONGEST = 0.15  # longest step of the field, in the same unit: a fraction of the width of a minimum


@compiled(error_model="numpy")
def fit_voxels(start, stop, signal, te, fat, field, r2star, water_out, fat_out, lowest, highest):
    """Fit the voxels from `start` to `stop`.

    Args:
        start, stop: numbers of the voxels.
        signal: (n_voxels, n_echoes) complex64.
        te: (n_echoes,) float64, s.
        fat: (n_echoes,) complex128, dephasing of the fat.
        field: (n_voxels,) float32, Hz; the start, and the result.
        r2star: (n_voxels,) float32, 1/s; the start, and the result.
        water_out, fat_out: (n_voxels,) complex64, receive the signals at TE = 0.
        lowest, highest: limits of R2*, 1/s.
    """
    y, e1, e2 = np.empty(te.size, np.complex128), np.empty(te.size, np.complex128), np.empty(te.size, np.complex128)
    for v in range(start, stop):
        for e in range(te.size):
            y[e] = signal[v, e]
        begin = np.float64(field[v]), np.float64(r2star[v])
        f, r, _, w, a = fit_signal(y, te, fat, begin[0], begin[1], lowest, highest, ITERATIONS, e1, e2)
        field[v], r2star[v], water_out[v], fat_out[v] = f, r, w, a


@leaf(error_model="numpy")
def fit_signal(y, te, fat, f, r, lowest, highest, iterations, e1, e2):
    """Fit one signal by damped Gauss–Newton steps.

    Args:
        y: (n_echoes,) complex128.
        te, fat, lowest, highest: as for `fit_voxels`.
        f, r: the start, Hz and 1/s.
        iterations: largest number of steps.
        e1, e2: (n_echoes,) complex128, scratch.

    Returns:
        field, R2*, residual, water, fat; zeros without signal.
    """
    span = te[te.size - 1] - te[0]
    r, start = min(max(r, lowest), highest), f
    damping = 1e-3
    cost, square, slope, w, a = project(y, te, fat, f, r, e1, e2)
    if not square > 0:
        return 0.0, 0.0, 0.0, 0j, 0j
    for _ in range(iterations):
        step = slope / (square * (1 + damping))
        step_f = min(max(step.imag / (2 * np.pi), -_LONGEST / span), _LONGEST / span)
        new_f = min(max(f + step_f, start - _REACH / span), start + _REACH / span)
        new_r = min(max(r - step.real, lowest), highest)
        moved = max(abs(new_f - f), abs(new_r - r)) * span
        new_cost, new_square, new_slope, new_w, new_a = project(y, te, fat, new_f, new_r, e1, e2)
        if new_cost <= cost:
            f, r, cost, square, slope, w, a = new_f, new_r, new_cost, new_square, new_slope, new_w, new_a
            damping *= 0.2
        else:
            damping = max(damping, 1e-2) * 6
        if moved < _CONVERGED:
            break
    return f, r, cost, w, a


@leaf(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def project(y, te, fat, f, r, e1, e2):
    """Fit water and fat at a field and an R2*.

    Args:
        y: (n_echoes,) complex128.
        te, fat: as for `fit_voxels`.
        f: Hz.
        r: 1/s.
        e1, e2: (n_echoes,) complex128, scratch.

    Returns:
        residual, square of the derivative by the rate, its product with the residual, water, fat. The derivative of the
        signal s by −R2* + i·2π·field is t·s, less what water and fat explain of it.
    """
    ww, aa = 0.0, 0.0
    wa, yw, ya = 0j, 0j, 0j
    for e in range(te.size):
        turn = 2 * np.pi * f * te[e]
        decay = np.exp(-r * te[e])
        g = complex(decay * np.cos(turn), decay * np.sin(turn))
        h = g * fat[e]
        e1[e], e2[e] = g, h
        ww += g.real**2 + g.imag**2
        aa += h.real**2 + h.imag**2
        wa += np.conj(g) * h
        yw += np.conj(g) * y[e]
        ya += np.conj(h) * y[e]
    det = max(ww * aa - (wa.real**2 + wa.imag**2), 1e-12 * ww * aa)
    w = (aa * yw - wa * ya) / det
    a = (ww * ya - np.conj(wa) * yw) / det
    cost, ss = 0.0, 0.0
    dw, da, slope = 0j, 0j, 0j
    for e in range(te.size):
        s = w * e1[e] + a * e2[e]
        residual = y[e] - s
        d = te[e] * s
        cost += residual.real**2 + residual.imag**2
        ss += d.real**2 + d.imag**2
        dw += np.conj(e1[e]) * d
        da += np.conj(e2[e]) * d
        slope += np.conj(d) * residual
    pw, pa = (aa * dw - wa * da) / det, (ww * da - np.conj(wa) * dw) / det
    square = max(ss - (np.conj(dw) * pw + np.conj(da) * pa).real, 1e-12 * ss)
    return cost, square, slope, w, a


@leaf(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def common_phase_excess(te, fat, r, w, a):
    """Compute by how much the residual grows if water and fat have one phase and are not negative.

    With b = Gθ, G the Gram matrix of the two signals and θ the free water and fat, the best common phase leaves
    θ*Gθ − (b* R b + |bᵀ R b|) / 2, R the inverse of the real part of G.

    Args:
        te, fat: as for `fit_voxels`.
        r: R2*, 1/s.
        w, a: free water and fat.

    Reference:
        Common phase: Bydder 2011, doi:10.1016/j.mri.2010.08.011.
    """
    ww, aa, wa = 0.0, 0.0, 0j
    for e in range(te.size):
        decay = np.exp(-2 * r * te[e])
        ww += decay
        aa += decay * (fat[e].real ** 2 + fat[e].imag ** 2)
        wa += decay * fat[e]
    b_w, b_a = ww * w + wa * a, np.conj(wa) * w + aa * a
    free = (np.conj(w) * b_w + np.conj(a) * b_a).real
    det = max(ww * aa - wa.real**2, 1e-12 * ww * aa)
    square = (aa * b_w**2 - 2 * wa.real * b_w * b_a + ww * b_a**2) / det
    turn = np.exp(-0.5j * np.angle(square))
    x, y = (turn * b_w).real, (turn * b_a).real
    if (aa * x - wa.real * y) * (ww * y - wa.real * x) >= 0:
        return max(free - (x * (aa * x - wa.real * y) + y * (ww * y - wa.real * x)) / det, 0.0)
    only_water, only_fat = (b_w.real**2 + b_w.imag**2) / ww, (b_a.real**2 + b_a.imag**2) / aa
    return max(free - max(only_water, only_fat), 0.0)
