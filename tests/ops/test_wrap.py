"""Phase modulo 2π."""

import numpy as np
import pytest

from qsmbench.ops.phase.wrap import nearest, wrap


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wrapping_keeps_the_signal_and_the_precision(dtype):
    phase = np.linspace(-40, 40, 3 * 4 * 500, dtype=dtype).reshape(3, 4, 500)
    found = wrap(phase)
    assert found.dtype == dtype
    assert np.abs(found).max() <= np.pi + 1e-5
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * phase), atol=1e-5)


def test_the_nearest_phase_is_congruent_and_within_half_a_turn():
    rng = np.random.default_rng(0)
    phase, reference = rng.uniform(-3, 3, 1000).astype(np.float32), rng.uniform(-50, 50, 1000).astype(np.float32)
    found = nearest(np, phase, reference)
    assert np.abs(found - reference).max() <= np.pi + 1e-4
    np.testing.assert_allclose(np.exp(1j * found), np.exp(1j * phase), atol=1e-4)
