"""The residual of water and fat over all fields, exactly, from a few numbers per voxel.

At a given R2* the residual after fitting complex water and fat is y* D P D* y, with P the projector off their signals
and D the phases of the field. So it is a sum over pairs of echoes,

J(f) = c₀ + 2 Re Σ_{m<n} y*_m P_mn y_n exp(−i·2π·f·(t_n − t_m)),

in which pairs with the same difference of echo times share one coefficient: evenly spaced echoes leave a trigonometric
polynomial with n_echoes − 1 coefficients.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qsmbench.compiled import compiled
from qsmbench.ops.water_fat.model import residual_projector

_SAME = 1e-7  # differences of echo times that agree within this are one, s


@dataclass(frozen=True)
class Residual:
    """What the residual over fields depends on, apart from the signal.

    Attributes:
        first, second: (n_pairs,) echoes of each pair.
        coefficient: (n_pairs,) which coefficient a pair adds to.
        projector: (n_rates, n_pairs) complex64, its element of the projector for each R2*.
        diagonal: (n_rates, n_echoes) float32.
        wave: (2, n_coefficients, n_fields) float32, twice cosine and sine.
        rates: (n_rates,) R2*, 1/s.
        penalty: (n_rates,) float32, cost of each R2*, nats.
    """

    first: np.ndarray
    second: np.ndarray
    coefficient: np.ndarray
    projector: np.ndarray
    diagonal: np.ndarray
    wave: np.ndarray
    rates: np.ndarray
    penalty: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """The arrays in the order in which compiled loops take them."""
        return (self.first, self.second, self.coefficient, self.projector, self.diagonal, self.wave, self.penalty)


def prepare(te: np.ndarray, fat: np.ndarray, fields: np.ndarray, rates: np.ndarray, penalty: np.ndarray) -> Residual:
    """Tabulate what the residual at some fields needs.

    Args:
        te: (n_echoes,) s.
        fat: (n_echoes,) dephasing of the fat.
        fields: (n_fields,) Hz.
        rates: (n_rates,) R2*, 1/s; at each field the best one counts.
        penalty: (n_rates,) cost of each, nats.
    """
    first, second = np.triu_indices(te.size, 1)
    gaps = te[second] - te[first]
    order = np.unique(np.round(gaps / _SAME).astype(np.int64), return_inverse=True)
    spacing = np.array([gaps[order[1] == k].mean() for k in range(order[0].size)])
    projectors = [residual_projector(te, fat, rate) for rate in rates]
    phase = 2 * np.pi * np.outer(spacing, fields)
    return Residual(
        first.astype(np.int32),
        second.astype(np.int32),
        order[1].astype(np.int32).reshape(-1),
        np.array([p[first, second] for p in projectors], np.complex64),
        np.array([p.diagonal().real for p in projectors], np.float32),
        2 * np.stack([np.cos(phase), np.sin(phase)]).astype(np.float32),
        np.asarray(rates, float),
        np.asarray(penalty, np.float32),
    )


@compiled(error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def costs(signal, variance, first, second, coefficient, projector, diagonal, wave, penalty, parts, line, out):
    """Compute the cost of each field for one voxel [nats], into `out`.

    The cost is the smallest over R2* of residual / (2 variance) + penalty. `parts` (n_rates, 2, n_coefficients + 1)
    receives the coefficients at each R2*, the constant one last; `line` (n_fields,) is scratch.
    """
    out[:] = np.float32(np.inf)
    scale = np.float32(0.5) / variance
    waves = wave.shape[1]
    parts[:] = 0
    for r in range(penalty.size):
        for e in range(signal.size):
            parts[r, 0, waves] += diagonal[r, e] * (signal[e].real ** 2 + signal[e].imag ** 2)
        for p in range(first.size):
            c = np.conj(signal[first[p]]) * projector[r, p] * signal[second[p]]
            parts[r, 0, coefficient[p]] += c.real
            parts[r, 1, coefficient[p]] += c.imag
        line[:] = parts[r, 0, waves]
        for k in range(waves):
            a, b = parts[r, 0, k], parts[r, 1, k]
            for f in range(out.size):
                line[f] += a * wave[0, k, f] + b * wave[1, k, f]
        extra = penalty[r]
        for f in range(out.size):
            out[f] = min(out[f], max(line[f], np.float32(0)) * scale + extra)


@compiled(error_model="numpy")
def best_rate(f, variance, wave, penalty, parts):
    """Return which R2* is best at the field of number `f`, given what `costs` left in `parts`."""
    best, found = np.float32(np.inf), 0
    for r in range(penalty.size):
        value = parts[r, 0, wave.shape[1]]
        for k in range(wave.shape[1]):
            value += parts[r, 0, k] * wave[0, k, f] + parts[r, 1, k] * wave[1, k, f]
        value = max(value, np.float32(0)) * np.float32(0.5) / variance + penalty[r]
        if value < best:
            best, found = value, r
    return found
