"""Metrics of lesions on maps made by hand, whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import ndimage

from qsmbench.data.source_table import PlacedSource
from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.metrics import Reference, find

CHI = (0.4, -0.3, 0.2, -0.05)
CENTRES = ((12, 12, 12), (30, 12, 12), (12, 30, 12), (30, 30, 12))
RADIUS = 3.2
PER_LESION = ("lesion_contrast", "lesion_chi_total", "lesion_chi_error", "lesion_volume_ratio", "rim_contrast")
PER_SCAN = ("lesion_sign_accuracy", "lesion_sign_auc", "lesion_sensitivity", "lesion_false_positives")


def row(index, voxels, chi, **more):
    """A row of the table for a ball of some voxels of 1 × 1 × 1.5 mm."""
    volume = 1.5 * voxels
    given = {"kind": "iron", "place": "in", "dose": "", "name": "dot", "region": "white", "inside": 1.0,
             "x": 0.0, "y": 0.0, "z": 0.0, "shell": 0.0, "part_of": 0, "by": "scenario"}  # fmt: skip
    return PlacedSource(**{"index": index, "volume": volume, "chi_total": chi * volume, **given, **more})


@pytest.fixture
def scene():
    """Four balls of CHI in white matter of −0.03 ppm, in a grey shell of 0.02 ppm; label 2 are the balls."""
    grid = Grid((43, 43, 25), (1.0, 1.0, 1.5))
    labels = np.zeros(grid.shape, np.uint8)
    labels[1:-1, 1:-1, 1:-1], labels[4:-4, 4:-4, 3:-3] = 3, 1
    truth = np.where(labels == 1, -0.03, np.where(labels == 3, 0.02, 0)).astype(np.float32)
    sources, table = np.zeros(grid.shape, np.uint16), []
    index = np.indices(grid.shape)
    for i, (chi, centre) in enumerate(zip(CHI, CENTRES, strict=True), 1):
        offset = (index - np.reshape(centre, (3, 1, 1, 1))) * np.reshape(grid.voxel_size, (3, 1, 1, 1))
        ball = (offset**2).sum(0) <= RADIUS**2
        truth[ball] += np.float32(chi)
        labels[ball], sources[ball] = 2, i
        table.append(row(i, ball.sum(), chi))
    regions = [(1, "white", "wm"), (2, "dot", "lesion"), (3, "grey", "gm")]
    return SimpleNamespace(grid=grid, truth=truth, mask=labels > 0, labels=labels, regions=regions, sources=sources,
                           table=table)  # fmt: skip


def about(scene, table):
    """What a metric of lesions takes after the maps."""
    return scene.mask, scene.mask, scene.sources, table, scene.labels, scene.regions, scene.grid


def scores(scene, estimate, support=None, table=None):
    """Metric → value, or metric → {index: value}."""
    reference = Reference(scene.mask, None, scene.truth, scene.labels, scene.regions, scene.sources,
                          scene.table if table is None else table, grid=scene.grid)  # fmt: skip
    rows = reference.rows(estimate.astype(np.float32), scene.mask if support is None else support,
                          metrics=[*PER_LESION, *PER_SCAN], supports=("study",))  # fmt: skip
    found: dict = {}
    for r in rows:
        if r["region"]:
            found.setdefault(r["metric"], {})[int(r["region"].removeprefix("source "))] = r["value"]
        else:
            found[r["metric"]] = r["value"]
    return found


def test_the_truth_is_perfect(scene):
    found = scores(scene, scene.truth)
    assert found["lesion_contrast"] == {i: pytest.approx(chi, abs=1e-6) for i, chi in enumerate(CHI, 1)}
    assert found["lesion_chi_error"] == dict.fromkeys((1, 2, 3, 4), 0)
    assert found["lesion_volume_ratio"] == dict.fromkeys((1, 2, 3, 4), 1)
    assert found["rim_contrast"] == dict.fromkeys((1, 2, 3, 4), pytest.approx(0, abs=1e-6))
    assert [found[m] for m in PER_SCAN] == [100, 1, 100, 0]


@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_a_scaled_map_loses_its_share(scene, offset):
    found = scores(scene, 0.7 * scene.truth + offset)
    assert found["lesion_contrast"] == {i: pytest.approx(0.7 * chi, abs=1e-5) for i, chi in enumerate(CHI, 1)}
    assert list(found["lesion_chi_error"].values()) == pytest.approx([-30, 30, -30, 30], abs=0.05)
    assert found["lesion_volume_ratio"] == dict.fromkeys((1, 2, 3, 4), 1)


def test_the_opposite_sign_is_wrong_everywhere(scene):
    found = scores(scene, -scene.truth)
    assert found["lesion_sign_accuracy"] == 0
    assert found["lesion_sign_auc"] == 0
    assert found["lesion_chi_error"][1] == pytest.approx(-200, abs=0.1)
    assert found["lesion_volume_ratio"] == dict.fromkeys((1, 2, 3, 4), 0)


def test_one_wrong_sign_of_four(scene):
    estimate = scene.truth.copy()
    estimate[scene.sources == 4] += 0.2
    found = scores(scene, estimate)
    assert found["lesion_sign_accuracy"] == 75
    assert found["lesion_sign_auc"] == 1  # 0.15 is still below 0.2
    estimate[scene.sources == 4] += 0.1
    assert scores(scene, estimate)["lesion_sign_auc"] == 0.75


def test_blur_blooms_but_keeps_the_total(scene):
    def total(sigma):
        return scores(scene, ndimage.gaussian_filter(scene.truth.astype(float), sigma))

    found = total(0.6)
    assert abs(found["lesion_chi_error"][1]) < 4
    assert found["lesion_contrast"][1] < 0.4
    wide = np.isin(scene.sources, [1])
    grown = ndimage.binary_dilation(wide)
    estimate = scene.truth.copy()
    estimate[grown & ~wide] = estimate[wide].max()
    ratio = scores(scene, estimate)["lesion_volume_ratio"][1]
    assert ratio == pytest.approx(grown.sum() / wide.sum())


def test_total_of_a_map_is_that_of_the_table(scene):
    """Where the tissue is uniform, the total of the true map is what the table of sources says."""
    expected = {r.index: pytest.approx(r.chi_total, rel=1e-3) for r in scene.table}
    assert scores(scene, scene.truth)["lesion_chi_total"] == expected
    zero = scores(scene, np.zeros_like(scene.truth))
    assert zero["lesion_chi_error"] == {i: pytest.approx(-100 * np.sign(c), abs=0.01) for i, c in enumerate(CHI, 1)}


def test_a_rim_is_told_from_none(scene):
    ball = scene.sources == 1
    depth = ndimage.distance_transform_edt(ball, sampling=scene.grid.voxel_size)
    rim = ball & (depth <= 1.6)
    estimate = scene.truth.copy()
    estimate[rim] += 0.1
    assert scores(scene, estimate)["rim_contrast"][1] > 0.08
    scene.sources[rim] = 5
    table = [*scene.table, row(5, rim.sum(), 0.1, shell=1.5, part_of=1, name="rim")]
    found = scores(scene, estimate, table=table)
    assert found["rim_contrast"][1] > 0.08
    assert set(found["rim_contrast"]) == {1, 2, 3, 4}  # a rim is no lesion of its own
    assert found["lesion_contrast"][1] == pytest.approx(0.4 + 0.1 * rim.sum() / ball.sum(), abs=1e-5)


def test_what_was_not_reconstructed_is_missed(scene):
    support = scene.mask & (scene.sources != 3)
    found = scores(scene, np.where(support, scene.truth, 0), support)
    assert np.isnan(found["lesion_contrast"][3]) and np.isfinite(found["lesion_contrast"][1])
    assert found["lesion_sign_accuracy"] == 75
    assert found["lesion_sensitivity"] == 75


def test_lesions_under_noise_are_lost_one_by_one(scene):
    noise = np.random.default_rng(0).normal(size=scene.truth.shape)
    found = [scores(scene, scene.truth + s * noise) for s in (0.0, 0.05, 0.2, 3.0)]
    sensitivity = [f["lesion_sensitivity"] for f in found]
    assert sensitivity == sorted(sensitivity, reverse=True)
    assert (sensitivity[0], sensitivity[-1]) == (100, 0)
    assert found[2]["lesion_sensitivity"] in (25, 50, 75)
    assert found[-1]["lesion_false_positives"] > 50


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_false_positives_are_counted(scene, n):
    """Spots that are no lesion, stronger than all lesions: one of them is allowed for."""
    estimate = scene.truth.copy()
    for x in (8, 14, 20, 26, 32)[:n]:
        estimate[x, 21, 17] += 5
    found = scores(scene, estimate)
    assert found["lesion_false_positives"] == n
    assert found["lesion_sensitivity"] == (100 if n < 2 else 0)


def test_borders_of_tissue_are_no_candidates(scene):
    estimate = scene.truth.copy()
    estimate[scene.labels == 3] = 2.0
    found = scores(scene, estimate)
    assert (found["lesion_sensitivity"], found["lesion_false_positives"]) == (100, 0)


def test_findings_rims_and_tissues_are_no_lesions(scene):
    table = [
        row(1, 10, 0.4, by="population"), row(2, 10, 0.3, shell=1.0), row(3, 1e6, 0.2, place="region"),
    ]  # fmt: skip
    with pytest.raises(NotApplicable, match="the truth has no lesion"):
        find("lesion_contrast")(scene.truth, *about(scene, table))


def test_a_region_is_a_lesion_but_not_searched_for(scene):
    table = [row(1, 10, 0.4, place="region")]
    found = find("lesion_contrast")(scene.truth, *about(scene, table))
    assert set(found) == {1}
    with pytest.raises(NotApplicable, match="the truth has no lesion"):
        find("lesion_sensitivity")(scene.truth, scene.truth, *about(scene, table))


def test_without_names_of_tissues_the_whole_mask_is_searched(scene):
    table = [row(i, (scene.sources == i).sum(), chi, region="", name="") for i, chi in enumerate(CHI, 1)]
    estimate = scene.truth.copy()
    estimate[2, 21, 12] += 5  # in grey matter
    assert scores(scene, estimate, table=table)["lesion_false_positives"] > 0
    assert scores(scene, estimate)["lesion_false_positives"] == 0


def test_a_lesion_in_thin_tissue_has_a_ring(scene):
    """A lesion that fills the grey shell from side to side has no grey matter within reach but at its border."""
    spot = (scene.labels == 3) & (np.indices(scene.grid.shape)[0] < 4)
    scene.sources[spot], scene.labels[spot] = 5, 4
    estimate = np.where(spot, 0.5, scene.truth).astype(np.float32)
    table = [row(5, spot.sum(), 0.5, region="grey", name="bleed")]
    scene.regions.append((4, "bleed", "lesion"))
    found = find("lesion_contrast")(estimate, *about(scene, table))
    assert found[5] > 0.45


def test_what_cancels_has_no_total(scene):
    table = [row(1, 100, 0.4), row(2, 100, 0.0005)]
    assert set(find("lesion_chi_error")(scene.truth, scene.truth, *about(scene, table))) == {1}


def test_one_sign_has_no_auc(scene):
    with pytest.raises(NotApplicable, match="lesions of both signs"):
        find("lesion_sign_auc")(scene.truth, scene.truth, *about(scene, [scene.table[0], scene.table[2]]))


def test_without_a_table_there_is_a_reason(scene):
    reference = Reference(scene.mask, None, scene.truth, scene.labels, scene.regions, grid=scene.grid)
    for r in reference.rows(scene.truth, scene.mask, metrics=["lesion_contrast"], supports=("study",)):
        assert np.isnan(r["value"])
        assert r["reason"] == "there are no sources"


def test_the_observer_alone_on_noise_finds_what_chance_gives(scene):
    """On a map without any lesion, the scores of lesions are like those of other places."""
    rng = np.random.default_rng(1)
    found = [scores(scene, rng.normal(size=scene.truth.shape))["lesion_sensitivity"] for _ in range(5)]
    assert np.mean(found) < 30
