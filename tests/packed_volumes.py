"""Packed volumes of an invented study: a ball with known values, and two regions."""

import numpy as np

from qsmbench.grid import Grid
from qsmbench.view.packed import (
    VOLUMES,
    pack_labels,
    pack_map,
    packed_chain,
    packed_regions,
    packed_truth,
    write_packed,
)

GRID = Grid((20, 24, 18), (2.0, 2.0, 3.0))
X, Y, Z = np.broadcast_arrays(*GRID.axes())
BALL = X**2 + Y**2 + Z**2 < 17.0**2
TRUTH = np.where(BALL, 0.004 * X + 0.002 * Y - 0.001 * Z, 0.0)
"""Its mean in the ball is 0, since it is odd."""
ERROR = {"a": 0.05 * np.sign(X), "b": 0.02 * np.sign(Y)}
"""Errors of two chains, whose means in the ball are 0."""
NAMES = {1: "right_half", 2: "left_half"}


def write_volumes(study, dataset, chains, **about):
    """Pack the volumes of some chains of a dataset; their errors alternate between those of `ERROR`.

    Further keys are of the truth, such as the `widening` of its colour scale.
    """
    folder = study / dataset / VOLUMES
    for i, chain in enumerate(chains):
        estimate = TRUTH + ERROR["ab"[i % 2]]
        write_packed(packed_chain(folder, "chi", chain), pack_map(estimate, "chi", BALL, BALL, GRID))
    write_packed(packed_truth(folder, "chi"), pack_map(TRUTH, "chi", BALL, BALL, GRID), **about)
    labels = np.where(BALL, np.where(X > 0, 1, 2), 0)
    write_packed(packed_regions(folder), pack_labels(labels, BALL, GRID), names=NAMES)
