"""Veins and oxygen extraction: formulas by hand, cylinders whose share of each voxel is exact, and the head's veins."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.methods.contrast.oef import oef
from qsmbench.methods.contrast.oef_map import oef_map
from qsmbench.methods.contrast.veins import veins
from qsmbench.methods.contrast.venogram import venogram
from qsmbench.ops.masks.blood import oxygen_extraction
from qsmbench.ops.masks.vessel import ridge
from qsmbench.ops.solvers.cylinder import fit_cylinders
from qsmbench.phantom.load import load
from qsmbench.phantom.veins.lines import vein_maps

BLOOD = 0.42 * (3.43 * (1 - 0.65) - 0.10)
"""χ of venous blood, Hct 0.42 and Y 0.65 [ppm]: 0.46221."""

OEF = 1 - 0.65 / 0.98


def tube(grid, axis, centre, radius, n=5):
    """Share of each voxel in an infinite cylinder: n³ points in each voxel."""
    total, steps = np.zeros(grid.shape), (np.arange(n) + 0.5) / n - 0.5
    axis = np.array(axis) / np.linalg.norm(axis)
    for a in steps:
        for b in steps:
            for c in steps:
                place = [
                    x + s * d - m for x, s, d, m in zip(grid.axes(), (a, b, c), grid.voxel_size, centre, strict=True)
                ]
                along = sum(p * u for p, u in zip(place, axis, strict=True))
                total += sum(p**2 for p in place) - along**2 < radius**2
    return total / n**3


def settings(**more):
    return {"reference": "map", **more}


def test_oxygen_extraction_by_hand():
    assert oxygen_extraction(0.46221, 0.42, 3.43, -0.10, 0.98) == pytest.approx(0.336735, abs=1e-6)
    assert oxygen_extraction(0.0, 0.40, 3.39, 0.0, 1.0) == 0
    # fully deoxygenated blood of another constant: χ = 0.45·2.26
    assert oxygen_extraction(0.45 * 2.26, 0.45, 2.26, 0.0, 0.97) == pytest.approx(1)


@pytest.mark.parametrize("correction", ["none", "maximum"])
def test_oef_of_a_resolved_vein_is_exact(correction):
    """In voxels wholly within a vein of 6 voxels, χ is that of blood; the formula is all that remains."""
    grid = Grid((21, 23, 25), (1.0, 1.0, 1.0))
    share = tube(grid, (0.2, 0.3, 1), (0, 0, 0), 3.0)
    chi = (BLOOD * share).astype(np.float32)
    mask = np.ones(grid.shape, bool)
    found, _ = oef(chi, share >= 0.5, mask, grid, **settings(correction=correction))
    np.testing.assert_allclose(found[share == 1], OEF, atol=1e-5)
    assert not found[share < 0.5].any()


def test_oef_of_the_head_s_sinus_is_that_of_its_truth():
    """χ of the phantom's blood against the saturation of its veins: two ways from one description."""
    phantom = load("head", {"texture": None, "vessels.saturation.default": 0.58})
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    affine[:3, 3] = (-8, -70, -8)
    grid = Grid.from_affine((32, 40, 40), affine)
    truth = phantom.vein_maps(grid)
    chi = phantom.render(grid, 3.0).chi
    deep = truth["vein_diameter"] > 2.5
    filled = deep & (np.abs(chi - np.median(chi[deep])) < 1e-4)
    assert filled.sum() > 100
    hct = phantom.description.vessels.hct
    given = settings(correction="none", haematocrit=hct)
    found, _ = oef(chi, truth["vein"], np.ones(grid.shape, bool), grid, **given)
    np.testing.assert_allclose(found[filled], 1 - 0.58 / 0.98, atol=1e-4)
    np.testing.assert_allclose(truth["oef"][filled], 1 - 0.58 / 0.98, atol=1e-6)
    names = {name: (n, region) for n, name, region in phantom.vein_names}
    assert names["straight_sinus"][1] == "sinus" and (truth["vein_name"] == names["straight_sinus"][0]).sum() > 100
    np.testing.assert_array_equal(truth["vein_name"] > 0, truth["vein"])


@pytest.mark.parametrize("size", [(1.0, 1.0, 1.0), (0.8, 1.0, 1.5)])
@pytest.mark.parametrize(("axis", "diameter"), [((0, 0, 1), 2.0), ((1, 0.4, 0.2), 3.0), ((1, 1, 1), 4.0)])
def test_a_fitted_cylinder_is_the_one_that_was_averaged(size, axis, diameter):
    grid = Grid((25, 25, 25), size)
    centre = (0.31, -0.22, 0.1)
    share = tube(grid, axis, centre, diameter / 2)
    chi = 0.02 + 0.4 * share
    point = 12 + np.array(centre) / size
    direction = np.array(axis) / np.linalg.norm(axis)
    mask = np.ones(grid.shape, bool)
    given = {"points": point[None] + 0.3, "directions": direction[None], "radii": np.array([1.3 * diameter / 2])}
    fit = fit_cylinders(chi, mask, share >= 0.5, grid, length=8.0, **given)
    assert 2 * fit.radius[0] == pytest.approx(diameter, rel=0.02)
    assert fit.contrast[0] == pytest.approx(0.4, rel=0.03) and fit.around[0] == pytest.approx(0.02, abs=2e-3)


def drawn(rng, diameter, cnr):
    """A vein of random direction in noise: the map, the voxels of the vein, and the grid."""
    grid = Grid((33, 33, 33), (1.0, 1.0, 1.0))
    axis = rng.standard_normal(3)
    share = tube(grid, axis, rng.uniform(-0.5, 0.5, 3), diameter / 2, n=4)
    chi = BLOOD * share + BLOOD / cnr * rng.standard_normal(grid.shape)
    return chi.astype(np.float32), share >= 0.5, grid


def test_oef_is_corrected_for_partial_volume():
    """Veins of 1.5–4 voxels, contrast 3–8 times the noise: at most 7.7 %, below the maximum voxel's (Ward 2017)."""
    rng = np.random.default_rng(3)
    errors = {"cylinder": [], "maximum": [], "none": []}
    for diameter in (1.5, 2.0, 3.0, 4.0):
        for cnr in (3.0, 5.0, 8.0):
            chi, vein, grid = drawn(rng, diameter, cnr)
            for correction, found in errors.items():
                values, _ = oef(chi, vein, np.ones(grid.shape, bool), grid, correction=correction)
                middle = vein & (np.max(np.abs(np.indices(grid.shape) - 16), axis=0) < 8) & (values != 0)
                found.append(abs(values[middle].mean() / OEF - 1))
    means = {correction: float(np.mean(found)) for correction, found in errors.items()}
    assert means["cylinder"] <= 0.077
    assert means["cylinder"] < means["maximum"] and means["cylinder"] < means["none"]


def test_too_thin_a_vein_has_a_diameter_and_no_value():
    chi, _, grid = drawn(np.random.default_rng(0), 1.0, 50.0)
    vein = tube(grid, np.random.default_rng(0).standard_normal(3), (0, 0, 0), 0.8, n=3) > 0.3
    found, diameter = oef(chi, vein, np.ones(grid.shape, bool), grid)
    assert (diameter[vein] > 0).all() and not found.any()


def test_the_reference_is_a_setting():
    """A map shifted by a constant: the tissue around gives the same, the map's zero does not."""
    chi, vein, grid = drawn(np.random.default_rng(5), 4.0, 20.0)
    mask = np.ones(grid.shape, bool)
    plain, shifted = (oef(chi + c, vein, mask, grid)[0][vein] for c in (0.0, 0.07))
    np.testing.assert_allclose(plain, shifted, atol=2e-3)
    by_map = oef(chi + np.float32(0.07), vein, mask, grid, reference="map", tissue=-0.07)[0][vein]
    np.testing.assert_allclose(by_map, plain, atol=0.02)
    change = oef(chi, vein, mask, grid, tissue=0.01)[0][vein] - plain
    np.testing.assert_allclose(change, 0.01 / (0.42 * 3.43 * 0.98), rtol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"correction": "best"}, "correction is 'best'; choose from cylinder, maximum, none"),
        ({"reference": "csf"}, "reference is 'csf'; choose from around, map"),
        ({"haematocrit": 42.0}, "haematocrit is 42.0"),
        ({"pool": 0.0}, "pool is 0.0"),
    ],
)
def test_settings_out_of_range_are_refused(wrong, message):
    chi, vein, grid = drawn(np.random.default_rng(5), 4.0, 20.0)
    with pytest.raises(QsmbenchError, match=message):
        oef(chi, vein, np.ones(grid.shape, bool), grid, **wrong)


def test_the_ridge_of_a_gaussian_tube():
    """σ² √(λ₂ λ₃) of a tube exp(−r²/2s²), smoothed by σ = s: ¼ at its centre; a sphere's is lower, a slope has none."""
    grid = Grid((48, 48, 48), (1.0, 1.0, 1.0))
    x, y, z = grid.axes()
    image = (np.exp(-(x**2 + y**2) / (2 * 3.0**2)) + 0 * z).astype(np.float32)
    assert ridge(image, grid, (3.0,))[23:25, 23:25, 24].max() == pytest.approx(0.25, rel=0.06)
    ball = np.exp(-(x**2 + y**2 + z**2) / (2 * 3.0**2)).astype(np.float32)
    assert ridge(ball, grid, (3.0,)).max() < 0.2
    slope = np.sin(2 * np.pi * x / 48 + 0 * y + 0 * z).astype(np.float32)
    assert ridge(slope, grid, (3.0,)).max() < 5e-3  # the root of a rounding error


def test_veins_are_found_and_a_ball_is_not():
    grid = Grid((40, 40, 40), (1.0, 1.0, 1.0))
    rng = np.random.default_rng(1)
    x, y, z = grid.axes()
    mask = x**2 + y**2 + z**2 < 18**2
    true = (tube(grid, (1, 0.3, 0.1), (0, 6, 3), 1.5, n=3) > 0.5) & mask
    ball = (x**2 + (y + 9) ** 2 + z**2 < 3.5**2) & mask
    chi = (0.4 * true + 0.3 * ball + 0.02 * rng.standard_normal(grid.shape)).astype(np.float32)
    found, diameter = veins(chi, mask, grid)
    assert 2 * (found & true).sum() / (found.sum() + true.sum()) > 0.9
    assert not (found & ball).any()
    np.testing.assert_allclose(np.median(diameter[found & true]), 3.0, atol=0.4)


def test_no_vein_is_said():
    grid = Grid((30, 30, 30), (1.0, 1.0, 1.0))
    mask = np.ones(grid.shape, bool)
    noise = np.random.default_rng(0).standard_normal(grid.shape).astype(np.float32)
    with pytest.raises(NotApplicable, match="no vein was found"):
        veins(noise, mask, grid)
    with pytest.raises(NotApplicable, match="there is no vein"):
        oef(noise, ~mask, mask, grid)


def scattered_veins():
    """Voxels of veins at random, with extraction and diameter, on a grid whose first axis points to the left."""
    affine = np.diag([-1.5, 1.0, 2.0, 1.0])
    affine[:3, 3] = 10.3, -9, -12
    grid = Grid.from_affine((16, 18, 13), affine)
    rng = np.random.default_rng(0)
    vein = rng.random(grid.shape) > 0.95
    found = np.where(vein, rng.uniform(0.2, 0.6, grid.shape), 0).astype(np.float32)
    return grid, found, (vein * rng.uniform(0.5, 6, grid.shape)).astype(np.float32)


def test_a_map_of_oxygen_extraction_by_a_loop():
    grid, found, diameter = scattered_veins()
    mask = np.ones(grid.shape, bool)
    mapped = oef_map(found, diameter, mask, grid, width=5.0, widest=4.0)
    places = np.argwhere((diameter > 0) & (diameter <= 4)) * grid.voxel_size
    value, wide = (v[(diameter > 0) & (diameter <= 4)].astype(float) for v in (found, diameter))
    right = 10.3 - places[:, 0] > 0
    for voxel in ((2, 5, 6), (6, 9, 3), (7, 9, 3), (13, 12, 9)):
        here = np.array(voxel) * grid.voxel_size
        weight = np.exp(-((places - here) ** 2).sum(axis=1) / (2 * 5.0**2)) / wide**2 * (right == (10.3 - here[0] > 0))
        assert mapped[voxel] == pytest.approx((weight * value).sum() / weight.sum(), abs=2e-3)


def test_a_map_of_oxygen_extraction_keeps_the_hemispheres_apart():
    """Constant on each side up to the median plane, and 0 where there are no veins or no mask."""
    grid, found, diameter = scattered_veins()
    right = np.broadcast_to((10.3 - 1.5 * np.arange(16) > 0)[:, None, None], grid.shape)
    mask = np.ones(grid.shape, bool)
    mask[:, :2] = False
    for left_value in (0.3, 0.0):
        sides = np.where(found > 0, np.where(right, 0.5, left_value), 0).astype(np.float32)
        mapped = oef_map(sides, diameter, mask, grid)
        np.testing.assert_allclose(mapped[mask], np.where(right, 0.5, left_value)[mask], atol=1e-6)
        assert not mapped[~mask].any()
    with pytest.raises(NotApplicable, match=r"no vein of at most 0\.1 mm has a value"):
        oef_map(found, diameter, mask, grid, widest=0.1)


def test_a_venogram_by_a_loop():
    grid = Grid((8, 9, 21), (1.0, 1.0, 2.0))
    rng = np.random.default_rng(0)
    chi = rng.standard_normal(grid.shape).astype(np.float32)
    vein, mask = rng.random(grid.shape) > 0.8, np.ones(grid.shape, bool)
    found = venogram(chi, vein, mask, grid, thickness=10.0)
    for k in (0, 9, 20):
        layers = slice(max(k - 2, 0), k + 3)
        expected = np.where(vein[3, 4, layers], np.maximum(chi[3, 4, layers], 0), 0).max()
        assert found[3, 4, k] == expected


def test_true_veins_on_a_grid():
    """A thin vein at 60° to B0 and a wide one along it: voxels by their centres, diameter and angle of each."""
    grid = Grid((20, 20, 20), (1.0, 1.0, 1.0))
    wide = np.array([[0, 0, -20, 2.0], [0, 0, 20, 2.0]])
    thin = np.array([[6 - 20 * np.sin(np.pi / 3), 5, -10, 0.1], [6 + 20 * np.sin(np.pi / 3), 5, 10, 0.1]])
    maps = vein_maps([wide, thin], np.array([0.3, 0.5]), np.array([4, 7], np.uint8), grid)
    x, y, _ = grid.axes()
    inside = np.broadcast_to(np.hypot(x, y) < 2, grid.shape)
    first = maps["vein_diameter"] == 4
    np.testing.assert_array_equal(first, inside)
    second = np.isclose(maps["vein_diameter"], 0.2)
    assert set(np.argwhere(second)[:, 1]) <= {14, 15}
    np.testing.assert_allclose(maps["vein_angle"][second], 60, atol=0.01)
    np.testing.assert_allclose(maps["vein_angle"][first], 0, atol=0.1)
    assert (maps["oef"][first] == np.float32(0.3)).all() and (maps["oef"][second] == 0.5).all()
    np.testing.assert_array_equal(maps["vein_name"], np.select([first, second], [4, 7]))
    np.testing.assert_array_equal(maps["vein"], maps["vein_diameter"] > 0)


def test_true_veins_do_not_depend_on_how_many_are_drawn_together(monkeypatch):
    grid, rng = Grid((24, 22, 20), (1.0, 1.1, 1.3)), np.random.default_rng(1)
    tree = [np.column_stack([rng.uniform(-9, 9, (n, 3)), rng.uniform(0.1, 2, n)]) for n in (2, 5, 3, 2, 4, 2, 3)]
    together = vein_maps(tree, np.linspace(0.1, 0.7, 7), np.arange(1, 8, dtype=np.uint8), grid)
    monkeypatch.setattr("qsmbench.phantom.veins.lines.TOGETHER", 2)
    in_parts = vein_maps(tree, np.linspace(0.1, 0.7, 7), np.arange(1, 8, dtype=np.uint8), grid)
    for name in together:
        np.testing.assert_array_equal(in_parts[name], together[name], err_msg=name)
    assert len(np.unique(together["oef"])) > 4


def test_true_veins_turn_with_the_grid():
    """On a grid whose axes are permuted and flipped, the same places have the same values."""
    line = np.array([[-8, -3, -6, 1.2], [0, 1, 1, 1.0], [7, 6, 8, 0.4]])
    plain = Grid((22, 20, 24), (1.0, 1.0, 1.0))
    affine = plain.affine[:, [2, 0, 1, 3]].copy()
    affine[:3, 3] = plain.affine[:3, 3] + plain.affine[:3, 0] * 21
    affine[:3, 1] *= -1
    turned = Grid.from_affine((24, 22, 20), affine)
    a, b = (vein_maps([line], np.array([0.4]), np.array([1], np.uint8), g) for g in (plain, turned))
    for name in a:
        np.testing.assert_allclose(a[name][::-1].transpose(2, 0, 1).astype(float), b[name].astype(float), atol=1e-3)
