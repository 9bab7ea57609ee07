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
_LONGEST = 0.15  # longest step of the field, in the same unit: a fraction of the width of a minimum


@compiled(error_model="numpy")
def fit_voxels(start, stop, signal, te, fat, field, r2star, water_out, fat_out, lowest, highest):
    """Fit the voxels from `start` to `stop` by damped Gauss–Newton steps.

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
    echoes = te.size
    span = te[echoes - 1] - te[0]
    y, e1, e2 = np.empty(echoes, np.complex128), np.empty(echoes, np.complex128), np.empty(echoes, np.complex128)
    for v in range(start, stop):
        power = 0.0
        for e in range(echoes):
            y[e] = signal[v, e]
            power += y[e].real ** 2 + y[e].imag ** 2
        if not power > 0:
            field[v], r2star[v], water_out[v], fat_out[v] = 0, 0, 0, 0
            continue
        f = np.float64(field[v])
        r = min(max(np.float64(r2star[v]), lowest), highest)
        damping = 1e-3
        cost, square, slope, w, a = project(y, te, fat, f, r, e1, e2)
        for _ in range(ITERATIONS):
            if not square > 0:
                break
            step = slope / (square * (1 + damping))
            step_f = min(max(step.imag / (2 * np.pi), -_LONGEST / span), _LONGEST / span)
            new_f, new_r = f + step_f, min(max(r - step.real, lowest), highest)
            moved = max(abs(new_f - f), abs(new_r - r)) * span
            new_cost, new_square, new_slope, new_w, new_a = project(y, te, fat, new_f, new_r, e1, e2)
            if new_cost <= cost:
                f, r, cost, square, slope, w, a = new_f, new_r, new_cost, new_square, new_slope, new_w, new_a
                damping *= 0.2
            else:
                damping = max(damping, 1e-2) * 6
            if moved < _CONVERGED:
                break
        field[v], r2star[v], water_out[v], fat_out[v] = f, r, w, a


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
