"""The precision of the field that a separation of water and fat gives."""

from __future__ import annotations

import numpy as np

from qsmbench.ops.water_fat.model import residual_projector
from qsmbench.spectra import spectrum


def field_precision(
    water: np.ndarray,
    fat: np.ndarray,
    r2star: np.ndarray,
    mask: np.ndarray,
    te: np.ndarray,
    b0: float,
    peaks: int,
) -> np.ndarray:
    """Compute 1/σ of the field, where complex water and fat, field and R2* are fitted to each voxel.

    Field and R2* are the imaginary and the real part of one rate, so that their errors are independent: the information
    on the field is that of the derivative of the signal by it, less what water and fat explain. Water and fat are taken
    in phase at TE = 0.

    Args:
        water, fat: (nx, ny, nz) a.u.
        r2star: (nx, ny, nz) 1/s; negative values count as 0.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
        b0: T.
        peaks: number of peaks of the fat spectrum.

    Returns:
        (nx, ny, nz) float32, 1/(rad/s), if real and imaginary part have noise of 1 a.u.; inversely proportional to the
        noise. Zero outside the mask.

    Reference:
        Pineda 2005, doi:10.1002/mrm.20623 (bounds of water–fat separation).
    """
    te = np.asarray(te, float)
    c = spectrum("fat", peaks).dephasing(te, b0)
    w, a, rate = (np.asarray(v[mask], np.float32) for v in (water, fat, r2star))
    rate = np.clip(rate, 0, None)
    information = np.zeros(w.size, np.float32)
    edges = np.quantile(rate, np.linspace(0, 1, _CLASSES + 1)) if rate.size else np.zeros(_CLASSES + 1)
    which = np.clip(np.searchsorted(edges, rate, side="right") - 1, 0, _CLASSES - 1)
    for k in range(_CLASSES):
        here = which == k
        if here.any():
            decay = np.exp(-te * float(np.median(rate[here])))
            off = residual_projector(te, c, float(np.median(rate[here])))
            derivative = (te * decay)[:, None] * (w[here] + c[:, None] * a[here])
            information[here] = (np.abs(off @ derivative) ** 2).sum(axis=0)
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = np.sqrt(information)
    return volume


_CLASSES = 64
"""Classes of R2*, within which its decay is that of their median."""
