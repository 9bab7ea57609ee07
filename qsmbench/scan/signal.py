"""Property maps and field → multi-echo complex signal of a spoiled gradient echo."""

from __future__ import annotations

import numpy as np

from qsmbench.compiled import compiled, leaf
from qsmbench.phantom.properties import Protons
from qsmbench.threads import over_planes
from qsmbench.units import hz_per_ppm


def spoiled_gre(
    field: np.ndarray,
    protons: Protons,
    factor: tuple[int, int, int],
    *,
    te: np.ndarray,
    tr: float,
    flip_angle: float,
    b0: float,
    with_spectrum: bool = True,
    profile: tuple[np.ndarray, np.ndarray] | None = None,
    transmit: np.ndarray | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Compute the signal of one species in a spoiled gradient echo, averaged over the sub-voxels of each voxel.

    S(TE) = c(TE)·⟨PD·sin α·(1 − E1)/(1 − E1·cos α)·exp(−R2*·TE + i·2π·γ̄·B0·ΔB·TE)·Π sinc(γ̄·B0·ΔxΔB·TE)⟩,
    E1 = exp(−TR/T1), c the dephasing of the species' spectrum. The complex mean includes dephasing between sub-voxels,
    the sinc that within each, ΔxΔB the change of the field across it along each axis. Otherwise, a few sub-voxels in a
    steep field would come into phase again.

    Args:
        field: (nx·fx, ny·fy, nz·fz) float32, ppm of B0; the maps of the protons are on the same fine grid.
        protons: of one species.
        factor: sub-voxels per voxel (fx, fy, fz).
        te: (n_echoes,) s.
        tr: s.
        flip_angle: degrees.
        b0: T.
        with_spectrum: whether the spectrum dephases the signal; otherwise all protons are at 0 ppm.
        profile: along z, over the sub-voxels of a voxel: flip angle (fz,) relative to `flip_angle`, and excited
            fraction (fz,) of each sub-voxel; None: uniform.
        transmit: (nx, ny, nz) float32, factor of the flip angle; None: 1.
        out: (nx, ny, nz, n_echoes) complex64, to which the signal is added; None: a new array.

    Returns:
        (nx, ny, nz, n_echoes) complex64, `out`.
    """
    omega = 2 * np.pi * hz_per_ppm(b0)
    flip, share = profile or (np.ones(factor[2]), np.ones(factor[2]))
    alpha = np.deg2rad(flip_angle) * flip
    sin_a, cos_a = np.array([np.sin(a) for a in alpha]), np.array([np.cos(a) for a in alpha])
    transmit = np.zeros((0, 0, 0), np.float32) if transmit is None else transmit
    # times in float64 from decimal values: equal spacings differ in the last bit, which would defeat the recurrence
    te = np.round(np.asarray(te, float), 9)
    dephasing = protons.spectrum.dephasing(te, b0) if with_spectrum else np.ones(te.size, complex)
    nx, ny, nz = (n // f for n, f in zip(field.shape, factor, strict=True))
    if out is None:
        out = np.zeros((nx, ny, nz, te.size), np.complex64)
    maps = (field, protons.pd, protons.t1, protons.r2star)
    over_planes(_add_signal, nx, out, *maps, *factor, te, dephasing, tr, alpha, sin_a, cos_a, share, transmit, omega)
    return out


@leaf()
def _slope(before, here, after, has_before, has_after):
    # change of the field across a sub-voxel: from both neighbours, at the edge of the grid from the only one
    if has_before and has_after:
        return 0.5 * (after - before)
    if has_after:
        return after - here
    return here - before  # 0 without neighbours, since these then are the sub-voxel itself


@leaf()
def _half_turn(slope, half):
    # phase per second from the middle of a sub-voxel to its face; never 0, but then far below what dephases anything
    rate = half * slope
    return rate if abs(rate) > 1e-3 else 1e-3


@leaf()
def _half_turns(field, a, b, c, half):
    na, nb, nc = field.shape
    here = field[a, b, c]
    x = _slope(field[max(a - 1, 0), b, c], here, field[min(a + 1, na - 1), b, c], a > 0, a < na - 1)
    y = _slope(field[a, max(b - 1, 0), c], here, field[a, min(b + 1, nb - 1), c], b > 0, b < nb - 1)
    z = _slope(field[a, b, max(c - 1, 0)], here, field[a, b, min(c + 1, nc - 1)], c > 0, c < nc - 1)
    return _half_turn(x, half), _half_turn(y, half), _half_turn(z, half)


@leaf()
def _product_of_sincs(c2, c4, c6, t):
    # exp(−c2·t − c4·t² − c6·t³) for a small exponent
    s = t * (c2 + t * (c4 + t * c6))
    return 1.0 - s * (1.0 - s * (0.5 - s * (0.16666666666666666 - s * 0.041666666666666664)))


@compiled()
def _add_signal(
    start, stop, out, field, pd, t1, r2star, fx, fy, fz, te, dephasing, tr, alpha, sin_a, cos_a, share, transmit, omega,
):  # fmt: skip
    counted = share.sum() * fx * fy
    last = te[-1]
    total = np.empty(te.size, np.complex128)
    for i in range(start, stop):
        for j in range(out.shape[1]):
            for k in range(out.shape[2]):
                total[:] = 0
                found = False
                for a in range(i * fx, (i + 1) * fx):
                    for b in range(j * fy, (j + 1) * fy):
                        for c in range(k * fz, (k + 1) * fz):
                            if pd[a, b, c] <= 0 or t1[a, b, c] <= 0:  # no protons
                                continue
                            s = c - k * fz
                            if share[s] == 0:
                                continue
                            found = True
                            sin, cos = sin_a[s], cos_a[s]
                            if transmit.size:
                                angle = alpha[s] * transmit[i, j, k]
                                sin, cos = np.sin(angle), np.cos(angle)
                            e1 = np.exp(-tr / t1[a, b, c])
                            m0 = share[s] * (pd[a, b, c] * sin * (1 - e1) / (1 - cos * e1))
                            rate = complex(-r2star[a, b, c], omega * field[a, b, c])
                            x, y, w = _half_turns(field, a, b, c, omega / 2)
                            # ln sinc(u) = −u²/6 − u⁴/180 − u⁶/2835 − …, to 2e-7 where the slope is gentle
                            x2, y2, w2 = x * x, y * y, w * w
                            gentle = (x2 + y2 + w2) * last * last < 0.25
                            c2, c4 = (x2 + y2 + w2) * (1 / 6), (x2 * x2 + y2 * y2 + w2 * w2) * (1 / 180)
                            c6 = (x2 * x2 * x2 + y2 * y2 * y2 + w2 * w2 * w2) * (1 / 2835)
                            at_x = at_y = at_w = turn_x = turn_y = turn_w = 1.0 + 0.0j
                            volume = x * y * w
                            step, within = 0.0, 1.0
                            turn = 1.0 + 0.0j
                            z = m0 + 0.0j
                            for e in range(te.size):
                                # evenly spaced echoes share one factor, so that an exponential is rarely needed
                                spacing = te[e] - (te[e - 1] if e > 0 else 0.0)
                                if abs(spacing - step) > 1e-10:
                                    step = spacing
                                    turn = np.exp(rate * step)
                                    if not gentle:
                                        turn_x, turn_y = np.exp(1j * x * step), np.exp(1j * y * step)
                                        turn_w = np.exp(1j * w * step)
                                z *= turn
                                if gentle:
                                    within = _product_of_sincs(c2, c4, c6, te[e] * te[e])
                                elif te[e] > 0:
                                    at_x, at_y, at_w = at_x * turn_x, at_y * turn_y, at_w * turn_w
                                    within = at_x.imag * at_y.imag * at_w.imag / (volume * te[e] * te[e] * te[e])
                                total[e] += z * within
                if found:
                    for e in range(te.size):
                        out[i, j, k, e] += total[e] * dephasing[e] / counted
