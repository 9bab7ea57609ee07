"""Next to qsm-forward: the same signal, and a field closer to the closed form."""

import numpy as np
import pytest
import qsm_forward
from analytic import oblique, sphere_field, sphere_fraction
from objects import protons

from qsmbench.grid import Grid
from qsmbench.scan.field import field_of
from qsmbench.scan.signal import spoiled_gre


@pytest.mark.parametrize("b0_dir", [(0.0, 0.0, 1.0), oblique(0.3, -0.5, 0.81)])
@pytest.mark.parametrize(("shape", "voxel_size"), [((64, 64, 64), (1, 1, 1)), ((64, 32, 22), (1, 2, 3))])
def test_field_is_more_accurate(shape, voxel_size, b0_dir):
    """Largest and rms error of a sphere's field, two voxels and more from its surface, same χ, same padding."""
    radius = 14.0
    grid = Grid(shape, voxel_size, b0_dir)
    chi = sphere_fraction(grid, radius)
    analytic, r = sphere_field(grid, radius)
    away = np.abs(r - radius) >= 2 * max(voxel_size)
    theirs = qsm_forward.generate_field(chi, voxel_size=list(voxel_size), B0_dir=list(b0_dir))
    ours, peer = (np.abs(field - analytic)[away] for field in (field_of(chi, grid), theirs))
    assert ours.max() < peer.max()
    assert np.sqrt(np.mean(ours**2)) < 0.1 * np.sqrt(np.mean(peer**2))


def test_signal_is_the_same():
    """Both are the spoiled gradient echo; γ̄ differs in the fourth digit there (42.58 MHz/T), hence the tolerance."""
    rng = np.random.default_rng(0)
    shape = (6, 5, 4)
    field = np.full(shape, 0.04, np.float32)  # the slope of a field dephases the signal, there only between voxels
    pd = rng.uniform(0.5, 1, shape).astype(np.float32)
    t1, r2star = rng.uniform(0.5, 2, shape).astype(np.float32), rng.uniform(5, 50, shape).astype(np.float32)
    te = np.array([0.005, 0.02])
    ours = spoiled_gre(field, protons(shape, pd, t1, r2star), (1, 1, 1), te=te, tr=0.05, flip_angle=15.0, b0=3.0)
    for e, t in enumerate(te):
        given = {"R1": 1 / t1, "R2star": r2star, "M0": pd}
        theirs = qsm_forward.generate_signal(field, B0=3, TR=0.05, TE=t, flip_angle=15, **given)
        np.testing.assert_allclose(ours[..., e], theirs, rtol=2e-3)
