"""The signal of water and fat over the echoes, and what no water and fat can explain of it.

s(t) = (water + fat · c(t)) · exp((i·2π·field − R2*)·t), with c(t) the dephasing of the fat spectrum, complex water and
fat, and one R2*.
"""

from __future__ import annotations

import numpy as np

from qsmbench.errors import NotApplicable

MIN_ECHOES = 3
"""Water, fat and field need three echoes."""


def check_echoes(te: np.ndarray) -> None:
    """Reject scans with fewer than three echoes.

    Raises:
        NotApplicable: there are fewer.
    """
    if te.size < MIN_ECHOES:
        raise NotApplicable(f"water–fat separation needs at least three echoes; the scan has {te.size}")


def residual_projector(te: np.ndarray, fat: np.ndarray, r2star: float) -> np.ndarray:
    """Compute the projector off the signals of water and fat at one R2* and 0 Hz: (n_echoes, n_echoes) complex.

    Args:
        te: (n_echoes,) s.
        fat: (n_echoes,) dephasing of the fat.
        r2star: 1/s.
    """
    columns = np.stack([np.ones(te.size), fat], axis=1) * np.exp(-r2star * te)[:, None]
    basis, _ = np.linalg.qr(columns)
    return np.eye(te.size) - basis @ basis.conj().T
