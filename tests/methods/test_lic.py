"""Liver iron from R2* and from χ, and the masks of the trunk."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.contrast.lic_chi import lic_chi
from qsmbench.methods.contrast.lic_r2star import lic_r2star
from qsmbench.methods.mask.body_mask import body_mask
from qsmbench.methods.mask.no_mask import no_mask
from qsmbench.methods.mask.water_mask import water_mask
from qsmbench.metrics.lic_bias import lic_bias
from qsmbench.phantom.description.sources import constants

SHAPE = (12, 10, 8)
MASK = np.ones(SHAPE, bool)


@pytest.mark.parametrize(("b0", "rate", "iron"), [(1.5, 582, 15), (1.5, 75, 1.8), (3.0, 521, 7), (3.0, 39, 0.5)])
def test_r2star_gives_the_published_iron(b0, rate, iron):
    """R2* at these concentrations by Hernando 2022."""
    found = lic_r2star(np.full(SHAPE, rate, np.float32), MASK, b0)
    np.testing.assert_allclose(found, iron, rtol=0.01)


def test_r2star_needs_a_calibration_of_its_field_strength():
    rate = np.full(SHAPE, 100, np.float32)
    with pytest.raises(NotApplicable, match="7 T"):
        lic_r2star(rate, MASK, 7.0)
    with pytest.raises(QsmbenchError, match="both"):
        lic_r2star(rate, MASK, 1.5, slope=0.02)
    assert lic_r2star(rate, MASK, 7.0, intercept=0.2, slope=0.0254)[0, 0, 0] == pytest.approx(2.74, rel=1e-6)


@pytest.fixture
def trunk():
    """χ on a map with an arbitrary zero, and fat fraction: adipose tissue, then a liver with iron and fat."""
    fraction = np.zeros(SHAPE, np.float32)
    fraction[:4] = 0.95
    fraction[4:8] = 0.2
    iron = np.zeros(SHAPE)
    iron[4:8] = 7
    return (0.6 * fraction + 0.41 * iron - 0.37).astype(np.float32), fraction


def test_chi_gives_the_iron_whatever_its_zero_and_fat(trunk):
    chi, fraction = trunk
    found = lic_chi(chi, fraction, MASK)
    np.testing.assert_allclose(found[4:8], 7, atol=1e-4)
    fat = lic_chi(chi, fraction, MASK, correct_fat=False)
    np.testing.assert_allclose(fat[4:8] - found[4:8], 0.6 * 0.2 / 0.41, atol=1e-4)
    assert lic_chi(chi, fraction, MASK, slope=0.11)[5, 5, 5] == pytest.approx(7 * 0.41 / 0.11, rel=1e-4)


def test_chi_needs_its_reference(trunk):
    chi, fraction = trunk
    with pytest.raises(NotApplicable, match="fewer than 20"):
        lic_chi(chi, 0 * fraction, MASK)
    with pytest.raises(QsmbenchError, match="adipose, map"):
        lic_chi(chi, fraction, MASK, reference="muscle")
    np.testing.assert_allclose(lic_chi(chi + 0.37, fraction, MASK, reference="map")[5], 7, atol=1e-4)


def test_the_default_slope_is_that_of_the_phantom():
    known = constants()
    assert known["liver_iron.chi"] * 1000 / known["liver_iron.wet"] == pytest.approx(0.41, abs=0.005)


def test_bias_is_that_of_the_liver_alone():
    truth = np.zeros(SHAPE)
    truth[4:8] = 7
    estimate = np.where(truth > 0, 6.5, 100)
    support = MASK.copy()
    support[4] = False
    assert lic_bias(estimate, truth, MASK, support, artifact="lic") == pytest.approx(-0.5)
    with pytest.raises(NotApplicable):
        lic_bias(estimate, 0 * truth, MASK, support, artifact="lic")


def test_masks_of_body_and_water():
    grid = Grid((40, 36, 20), (3.0, 3.0, 5.0), (0.0, 0.0, 1.0))
    x, y, z = grid.axes()
    body = ((x / 50) ** 2 + (y / 40) ** 2 + 0 * z) < 1
    gas = (x**2 + (y - 10) ** 2 + z**2) < 20**2
    tissue = body & ~gas
    found = body_mask(tissue, grid, closing=3.0)
    assert (found == body).mean() > 0.995
    assert found[gas & body].all()
    assert no_mask(tissue).all()
    fraction = np.where(x > 0, 0.9, 0.1) * tissue
    np.testing.assert_array_equal(water_mask(fraction, tissue), tissue & (fraction < 0.5))
    with pytest.raises(NotApplicable, match="below"):
        water_mask(np.ones(grid.shape), tissue)
