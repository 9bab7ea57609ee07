"""Two-pass inversion: a bleed without signal does not spoil the rest of the head."""

import numpy as np
import oracles
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.methods.background.pdf import pdf
from qsmbench.methods.inversion.rts import rts
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.methods.joint.two_pass import two_pass
from qsmbench.units import rad_per_ppm

TE, B0 = np.array([0.006, 0.012, 0.018]), 3.0


@pytest.fixture(scope="module")
def bleeding(head):
    """The head with a strong source in it that leaves no signal: total field, phase, magnitude, χ and the source."""
    x, y, z = head.grid.axes()
    bleed = (x + 8) ** 2 + (y - 10) ** 2 + (z - 6) ** 2 < 6**2
    chi = np.where(bleed, 2.0, head.chi).astype(np.float32)
    rng = np.random.default_rng(0)
    field = head.local_field + oracles.sphere_field((x, y, z), head.grid.b0_dir, (-8, 10, 6), 6, 2.0)
    tilt = 0.004 * x - 0.002 * z
    signal = (head.mask & ~bleed)[..., None] * np.exp(1j * rad_per_ppm(B0, 1.0) * (field + tilt)[..., None] * TE)
    signal = signal + 0.02 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    lost = rng.uniform(-1, 1, field.shape)  # what a field map holds where there is nothing but noise
    total = np.where(bleed, lost, field + tilt + 0.001 * rng.standard_normal(field.shape)) * head.mask
    return total.astype(np.float32), np.angle(signal).astype(np.float32), np.abs(signal).astype(np.float32), chi, bleed


def test_a_bleed_does_not_spoil_the_rest(head, bleeding):
    total, phase, magnitude, truth, bleed = bleeding
    once = tkd(pdf(total, head.mask, head.grid), head.mask, head.grid)
    twice, mask = two_pass(total, phase, magnitude, head.mask, head.grid, TE, B0, inversion="tkd")
    np.testing.assert_array_equal(mask, head.mask)
    rest = binary_erosion(head.mask, iterations=2) & ~binary_dilation(bleed, iterations=3)
    assert oracles.nrmse(twice, truth, rest) < 0.6 * oracles.nrmse(once, truth, rest)
    assert twice[bleed].mean() > 0.3
    assert twice.dtype == np.float32
    assert not twice[~mask].any()


def test_streaks_of_a_bleed_stay_out_with_the_default_methods(head, bleeding):
    """Around the bleed the map errs less than half as much as one pass, and the hole holds the strong source."""
    total, phase, magnitude, truth, bleed = bleeding
    once = rts(pdf(total, head.mask, head.grid), head.mask, head.grid)
    twice, _ = two_pass(total, phase, magnitude, head.mask, head.grid, TE, B0)
    rest = binary_erosion(head.mask, iterations=2) & ~binary_dilation(bleed, iterations=3)
    near = rest & binary_dilation(bleed, iterations=8)
    for where in (rest, near):
        assert oracles.nrmse(twice, truth, where) < 0.4 * oracles.nrmse(once, truth, where)
    assert twice[bleed].all()
    assert 1.2 < twice[bleed].mean() < 2.2  # 2 ppm, of which the lost phase takes some


def test_a_reliable_phase_needs_one_pass(head, bleeding):
    _, phase, magnitude, _, _ = bleeding
    still = np.zeros_like(phase)
    field = (head.local_field * head.mask).astype(np.float32)
    chi, _ = two_pass(field, still, magnitude, head.mask, head.grid, TE, B0, inversion="tkd")
    np.testing.assert_allclose(chi, tkd(pdf(field, head.mask, head.grid), head.mask, head.grid), atol=1e-7)


def test_what_lies_outside_the_mask_does_not_matter(head, bleeding):
    total, phase, magnitude, _, _ = bleeding
    other = np.where(head.mask[..., None], phase, np.random.default_rng(3).uniform(-3, 3, phase.shape))
    results = [
        two_pass(total, p.astype(np.float32), magnitude, head.mask, head.grid, TE, B0, inversion="tkd")[0]
        for p in (phase, other)
    ]
    np.testing.assert_array_equal(*results)


def test_other_methods_take_the_passes(head, bleeding):
    total, phase, magnitude, truth, bleed = bleeding
    chi, mask = two_pass(total, phase, magnitude, head.mask, head.grid, TE, B0, background="vsharp", inversion="l2")
    assert mask.sum() < head.mask.sum()
    rest = mask & ~binary_dilation(bleed, iterations=4)
    assert np.corrcoef(chi[rest], truth[rest])[0, 1] > 0.5


def test_reasons_not_to_run(head, bleeding):
    total, phase, magnitude, _, _ = bleeding
    inputs = total, phase, magnitude, head.mask, head.grid, TE, B0
    with pytest.raises(QsmbenchError, match="two_pass: pdf does not produce chi"):
        two_pass(*inputs, inversion="")
    with pytest.raises(QsmbenchError, match="two_pass: tkd needs local_field; available: total_field, phase"):
        two_pass(*inputs, background="", inversion="tkd")
    noise = np.random.default_rng(0).uniform(-np.pi, np.pi, phase.shape).astype(np.float32)
    with pytest.raises(NotApplicable, match="unreliable in the whole mask"):
        two_pass(total, noise, *inputs[2:], threshold=0.95)
