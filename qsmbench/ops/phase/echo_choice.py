"""The echo that a contrast of a single echo is made from."""

from __future__ import annotations

import numpy as np


def nearest_echo(te: np.ndarray, echo_time: float) -> int:
    """Return the index of the echo nearest to a time, the earlier of two equally near.

    Args:
        te: (n_echoes,) s.
        echo_time: s.
    """
    return int(np.argmin(np.abs(np.asarray(te) - echo_time)))
