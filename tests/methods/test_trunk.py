"""χ of a body of water and fat: inversions that use the separation of the two."""

import numpy as np
import oracles
import pytest

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.joint.after_sato import after_sato
from qsmbench.methods.joint.after_sharma import after_sharma
from qsmbench.methods.joint.tfi import tfi
from qsmbench.methods.joint.water_fat_tfi import water_fat_tfi
from qsmbench.ops.water_fat.precision import field_precision
from qsmbench.spectra import spectrum
from qsmbench.units import hz_per_ppm

TE, B0 = 0.0012 + 0.001 * np.arange(6), 3.0


class Body:
    """An elliptic cylinder of water with a coat of fat, an organ, and air around and in it."""

    grid = Grid((48, 40, 32), (2.0, 2.0, 3.0), (0.0, 0.0, 1.0))

    def __init__(self):
        x, y, z = self.grid.axes()
        radius = np.hypot(x / 42, y / 34) + 0 * z
        gas = (x - 4) ** 2 + (y - 16) ** 2 + (z / 1.5) ** 2 < 7**2
        self.mask = (radius < 1) & (np.abs(z) < 40) & ~gas
        self.organ = (x + 14) ** 2 + (y + 2) ** 2 + (z / 1.5) ** 2 < 12**2
        self.fraction = (((radius > 0.8) | ((y + 16) ** 2 + (x - 14) ** 2 < 60)) & self.mask).astype(np.float32)
        self.chi = np.where(self.mask, 0.6 * self.fraction + 0.3 * self.organ, 9.4).astype(np.float32)
        outside = np.where(self.mask, 0, 9.4)
        inside = np.where(self.mask, self.chi, 0)
        field = oracles.free_space_field(inside + outside - 9.4, self.grid.voxel_size, self.grid.b0_dir)
        self.field = (field * self.mask).astype(np.float32)
        self.magnitude = (self.mask[..., None] * np.exp(-30 * TE)).astype(np.float32)

    def contrast(self, chi, a, b):
        """Mean difference of χ between two sets of voxels, away from the borders of the mask."""
        return float(chi[a & self.mask].mean() - chi[b & self.mask].mean())


@pytest.fixture(scope="module")
def body():
    return Body()


def test_sharma_finds_fat_and_organ_better_than_a_plain_inversion(body):
    water = body.mask & (body.fraction == 0) & ~body.organ
    chi = after_sharma(body.field, body.fraction, body.magnitude, body.mask, body.grid, TE)
    plain = tfi(body.field, body.magnitude, body.mask, body.grid, TE)
    error = [abs(body.contrast(c, body.fraction > 0.5, water) - 0.6) for c in (chi, plain)]
    assert error[0] < 0.06
    assert error[0] < error[1]
    assert body.contrast(chi, body.organ, water) == pytest.approx(0.3, abs=0.08)
    assert abs(chi[body.mask].mean()) < 1e-5


def test_a_wrong_susceptibility_of_fat_is_corrected_by_the_field(body):
    """The prior is no more than that: without the anchor, the field pulls χ of fat towards the true one."""
    water = body.mask & (body.fraction == 0) & ~body.organ
    wrong, held = (
        after_sharma(body.field, body.fraction, body.magnitude, body.mask, body.grid, TE, fat_chi=0.3, anchor=a)
        for a in (0.0, 100.0)
    )
    found, kept = (body.contrast(c, body.fraction > 0.5, water) for c in (wrong, held))
    assert found > 0.4
    assert kept < found
    fat = body.mask & (body.fraction > 0.9)
    assert held[fat].std() < 0.01, "the anchor holds χ of adipose tissue"


@pytest.mark.parametrize("fat_is", ["source", "background"])
def test_sato_finds_the_offset_between_fat_and_water(body, fat_is):
    water = body.mask & (body.fraction == 0) & ~body.organ
    inputs = body.field, body.fraction, body.magnitude, body.mask, body.grid, TE, B0
    chi = after_sato(*inputs, fat_is=fat_is)
    assert body.contrast(chi, body.fraction > 0.5, water) == pytest.approx(0.6, abs=0.2)
    assert abs(chi[body.mask].mean()) < 1e-5


def test_sato_needs_both_and_names_what_is_wrong(body):
    rest = body.magnitude, body.mask, body.grid, TE, B0
    with pytest.raises(NotApplicable, match="above"):
        after_sato(body.field, 0 * body.fraction, *rest)
    with pytest.raises(QsmbenchError, match="source, background"):
        after_sato(body.field, body.fraction, *rest, fat_is="none")


def test_water_fat_tfi_finds_fat_and_organ(body):
    water = body.mask & (body.fraction == 0) & ~body.organ
    parts = (
        (body.mask * (1 - body.fraction)).astype(np.float32),
        body.fraction,
        np.full(body.grid.shape, 30, np.float32),
    )
    chi = water_fat_tfi(body.field, *parts, body.mask, body.grid, TE, B0, tolerance=2e-3)
    assert body.contrast(chi, body.fraction > 0.5, water) == pytest.approx(0.6, abs=0.15)
    assert body.contrast(chi, body.organ, water) == pytest.approx(0.3, abs=0.12)


def test_precision_of_the_field_is_that_of_the_fisher_information():
    """Against the numerical Jacobian over all six real unknowns: water, fat (complex), field and R2*."""
    c = spectrum("fat", 6).dephasing(TE, B0)

    def signal(p):
        water, fat = complex(p[0], p[1]), complex(p[2], p[3])
        return (water + fat * c) * np.exp((2j * np.pi * hz_per_ppm(B0) * p[4] - p[5]) * TE)

    cases = [(1.0, 0.0, 30.0), (0.7, 0.3, 45.0), (0.1, 0.9, 30.0), (0.5, 0.5, 200.0)]
    expected = []
    for water, fat, rate in cases:
        at, steps = np.array([water, 0, fat, 0, 0.1, rate]), np.array([1e-4, 1e-4, 1e-4, 1e-4, 1e-5, 1e-2])
        moves = [s * e for s, e in zip(steps, np.eye(6), strict=True)]
        jacobian = np.stack([(signal(at + m) - signal(at - m)) / (2 * m.sum()) for m in moves])
        parts = np.concatenate([jacobian.real, jacobian.imag], axis=1)
        expected.append(1 / np.linalg.inv(parts @ parts.T)[4, 4] ** 0.5)
    shape = (len(cases), 1, 1)
    volumes = [np.array(v, np.float32).reshape(shape) for v in zip(*cases, strict=True)]
    found = field_precision(*volumes, np.ones(shape, bool), TE, B0, 6).ravel()
    np.testing.assert_allclose(found / found[0], np.array(expected) / expected[0], rtol=2e-3)
