"""Calling an inversion that wants more than the field: the magnitudes and echo times of a plain scan."""

import numpy as np

TE, B0 = np.array([0.004, 0.012, 0.020]), 3.0


def invert(method, field, mask, grid, te=TE, magnitude=None, **settings):
    """χ [ppm] by `method`; the magnitudes are those of uniform tissue with R2* = 25/s unless given."""
    if magnitude is None:
        magnitude = np.exp(-25 * te) * np.ones((*mask.shape, 1)) * mask[..., None]
    given = {
        "local_field": field,
        "magnitude": magnitude.astype(np.float32),
        "mask": mask,
        "grid": grid,
        "te": te,
        "b0": B0,
    }
    return method(*(given[name] for name in method.consumes), **settings)
