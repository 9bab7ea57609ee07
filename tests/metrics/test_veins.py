"""Metrics of veins on hand-made lines, whose overlap can be counted."""

import numpy as np
import pytest

from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics import find, score
from qsmbench.ops.masks.centre_line import centre_line, skeleton

GRID = Grid((30, 20, 20), (1.0, 1.0, 1.0))
MASK = np.ones(GRID.shape, bool)


def value(name, *arguments):
    """A metric of the artifact that it is for."""
    metric = find(name)
    return metric(*arguments, artifact=metric.artifacts[-1])


def rod(*, start=3, stop=27, y=10, z=10, half=0):
    """A rod along x with a square cross-section of 2·half + 1 voxels."""
    volume = np.zeros(GRID.shape, bool)
    volume[start:stop, y - half : y + half + 1, z - half : z + half + 1] = True
    return volume


def test_the_skeleton_of_a_thick_rod_is_its_axis():
    line = np.argwhere(skeleton(rod(half=2), GRID))
    assert set(line[:, 1]) == set(line[:, 2]) == {10}
    assert 18 <= len(line) <= 24
    assert skeleton(rod(), GRID).sum() == 24


def test_a_single_voxel_keeps_its_centre_line():
    assert skeleton(rod(start=5, stop=6), GRID).sum() == 1
    block = np.zeros(GRID.shape, bool)
    block[4:6, 4:6, 4:6] = True
    assert skeleton(block, GRID).sum() >= 1


def test_calibre_and_direction_of_a_rod():
    """A square of 5 × 5 mm has the area of a circle of radius 5/√π."""
    line = centre_line(rod(half=2), GRID)
    inner = np.abs(line.voxels[:, 0] - 15) < 5
    np.testing.assert_allclose(line.radius[inner], 5 / np.sqrt(np.pi), rtol=0.1)
    np.testing.assert_allclose(np.abs(line.direction[inner]), [[1, 0, 0]] * inner.sum(), atol=1e-6)


def test_cldice_of_a_shorter_vein():
    """All 16 voxels that were found are in the truth, and 16 of its 24: 2·(2/3)/(1 + 2/3)."""
    assert value("vein_cldice", rod(stop=19), rod(), MASK, GRID) == pytest.approx(0.8)


def test_cldice_does_not_mind_thickness_and_dice_does():
    thick, thin = rod(half=1), rod()
    assert value("vein_cldice", thick, thin, MASK, GRID) == pytest.approx(1)
    assert value("dice", thick, thin) == pytest.approx(2 * 24 / (24 * 10))


def test_cldice_of_disjoint_and_of_empty_veins():
    assert value("vein_cldice", rod(y=5), rod(), MASK, GRID) == 0
    assert value("vein_cldice", np.zeros(GRID.shape, bool), rod(), MASK, GRID) == 0
    with pytest.raises(NotApplicable, match="no true vein"):
        value("vein_cldice", rod(), np.zeros(GRID.shape, bool), MASK, GRID)


def test_half_of_a_false_vein_halves_the_precision():
    found = rod() | rod(y=3)
    assert value("vein_cldice", found, rod(), MASK, GRID) == pytest.approx(2 * 0.5 / 1.5)


@pytest.fixture
def veins():
    """Two true rods of 0.8 and 3 mm diameter; half of the thin one was found, and the whole of the thick one."""
    true = 0.8 * rod(y=4) + 3.0 * rod(y=14, half=1)
    found = 1.0 * rod(y=4, start=15) + 3.5 * rod(y=14, half=1)
    return true.astype(np.float32), found.astype(np.float32)


def test_scores_by_diameter(veins):
    true, found = veins
    recall = value("vein_recall_by_diameter", found, true, MASK, GRID)
    assert recall["diameter below 1 voxel"] == pytest.approx(0.5) and recall["diameter 2–4 voxels"] == 1
    assert np.isnan(recall["diameter 1–2 voxels"]) and np.isnan(recall["diameter from 4 voxels"])
    dice = value("vein_dice_by_diameter", found, true, MASK, GRID)
    assert dice["diameter below 1 voxel"] == pytest.approx(2 * 12 / (12 + 24)) and dice["diameter 2–4 voxels"] == 1
    cldice = value("vein_cldice_by_diameter", found, true, MASK, GRID)
    assert cldice["diameter below 1 voxel"] == pytest.approx(2 * 0.5 / 1.5)
    bias = value("vein_diameter_bias", found, true, MASK, GRID)
    assert bias["diameter below 1 voxel"] == pytest.approx(0.2) and bias["diameter 2–4 voxels"] == pytest.approx(0.5)


def test_named_veins(veins):
    """Half of the thin rod and all of the thick one were found; a vein outside the mask has no share."""
    true, found = veins
    name = np.select([true > 1, true > 0], [1, 2])
    table = [(1, "galen", "vein_deep"), (2, "septal", "vein_deep"), (3, "labbe", "vein_cortical")]
    recall = value("vein_recall_by_name", found, true, MASK, name, table, GRID)
    assert recall["galen"] == 1 and recall["septal"] == pytest.approx(0.5) and np.isnan(recall["labbe"])
    scored = score(
        found, MASK, MASK, MASK, true, grid=GRID, artifact="vein_diameter", vein_name=name, vein_table=table
    ).set_index(["metric", "support", "region"])
    assert scored.loc[("vein_recall_by_name", "study", "septal"), "value"] == pytest.approx(0.5)


def test_what_was_found_far_from_any_vein_counts_in_the_group_of_its_own_diameter(veins):
    true, found = veins
    found = found + 5.0 * rod(y=9, z=4)
    dice = value("vein_dice_by_diameter", found, true, MASK, GRID)
    assert dice["diameter from 4 voxels"] == 0 and dice["diameter 2–4 voxels"] == 1


def test_oef_errors_in_groups(veins):
    """Errors of +0.1 and −0.05 in the rods; the voxels without a value do not count."""
    diameter, found = veins
    truth = np.where(diameter > 0, 0.35, 0).astype(np.float32)
    estimate = np.where(found > 0, np.where(diameter < 1, 0.45, 0.30), 0).astype(np.float32)
    angle = np.where(diameter > 1, 80, 20).astype(np.float32)
    n_thin, n_thick = 12, 24 * 9
    mean = (0.1 * n_thin - 0.05 * n_thick) / (n_thin + n_thick)
    assert value("oef_bias", estimate, truth, MASK) == pytest.approx(mean, abs=1e-6)
    by = value("oef_bias_by_diameter", estimate, truth, MASK, diameter, GRID)
    assert by["diameter below 1 voxel"] == pytest.approx(0.1, abs=1e-6)
    assert by["diameter 2–4 voxels"] == pytest.approx(-0.05, abs=1e-6)
    by = value("oef_bias_by_angle", estimate, truth, MASK, angle)
    assert by["0–30° to B0"] == pytest.approx(0.1, abs=1e-6) and by["60–90° to B0"] == pytest.approx(-0.05, abs=1e-6)
    assert np.isnan(by["30–60° to B0"])
    assert value("oef_limits_by_angle", estimate, truth, MASK, angle)["0–30° to B0"] == pytest.approx(0, abs=1e-6)


def test_limits_of_agreement_by_hand():
    """Errors −1, 0, 1 times 0.1: a standard deviation of 0.1."""
    truth = np.full((3, 1, 1), 0.4, np.float32)
    estimate = truth + np.array([-0.1, 0, 0.1], np.float32).reshape(3, 1, 1)
    assert value("oef_limits", estimate, truth, np.ones((3, 1, 1), bool)) == pytest.approx(0.196, abs=1e-5)


def test_sides_are_those_of_the_world():
    """The array axis runs from right to left here."""
    affine = np.diag([-1.0, 1.0, 1.0, 1.0])
    affine[0, 3] = 14.5
    grid = Grid.from_affine(GRID.shape, affine)
    truth = np.full(GRID.shape, 0.4, np.float32)
    estimate = truth + np.where(np.arange(30) < 15, 0.1, -0.1)[:, None, None].astype(np.float32)
    by = value("oef_bias_by_side", estimate, truth, MASK, grid)
    assert by == {"left": pytest.approx(-0.1, abs=1e-6), "right": pytest.approx(0.1, abs=1e-6)}
    assert value("oef_asymmetry", estimate, truth, MASK, grid) == pytest.approx(-0.2, abs=1e-6)


def test_groups_of_a_metric_of_its_own_are_rows_of_the_table(veins):
    true, found = veins
    table = score(found, MASK, MASK, MASK, true, grid=GRID, artifact="vein_diameter", vein_diameter=true)
    rows = table[(table.metric == "vein_recall_by_diameter") & (table.support == "study")].set_index("region")
    assert rows.loc["diameter below 1 voxel", "value"] == pytest.approx(0.5)
    assert rows.loc["diameter from 4 voxels", "reason"]
    assert not {"nrmse", "xsim", "mean", "bias"} & set(table.metric), "they would score the zeros around veins"


def test_without_a_true_diameter_the_reason_is_said():
    volume = np.full(GRID.shape, 0.3, np.float32)
    table = score(volume, MASK, MASK, MASK, volume, grid=GRID, artifact="oef").set_index("metric")
    assert table.loc["oef_bias_by_diameter", "reason"].iloc[0] == "there is no vein diameter"
    assert table.loc["oef_bias", "value"].iloc[0] == 0
