"""The table of scores: both supports, controls, reasons."""

import numpy as np
import pytest

from qsmbench import metrics
from qsmbench.errors import QsmbenchError


def table(head, estimate, support=None, common=None, **more):
    support = head.mask if support is None else support
    given = {"truth": head.truth, "labels": head.labels, "regions": head.regions, "grid": head.grid, **more}
    return metrics.score(estimate, support, head.mask, head.eroded if common is None else common, **given)


def cell(scores, metric, support, region=""):
    row = scores[(scores.metric == metric) & (scores.support == support) & (scores.region == region)]
    assert len(row) == 1
    return row.iloc[0]


def test_columns_and_rows(head):
    scores = table(head, head.estimate)
    assert tuple(scores.columns) == metrics.COLUMNS
    assert len(scores) == len(scores.drop_duplicates(["metric", "region", "support"]))
    # of masks, veins and livers
    others = {"dice", *(n for n in metrics.names() if n.startswith(("vein_", "oef_", "lic_")))}
    of_sources = {n for n in metrics.names() if "source_table" in metrics.find(n).consumes}  # there is none
    assert set(scores.metric) == set(metrics.names()) - others - of_sources
    assert (scores.reason == "").eq(scores.value.notna()).all()
    assert set(scores[scores.metric == "bias"].region) == {"caudate", "putamen", "pallidum", "vein"}


@pytest.mark.parametrize("artifact", ["chi", "local_field", "r2star", "chi_dia"])
@pytest.mark.parametrize("support", ["study", "common"])
@pytest.mark.parametrize("name", ["nrmse", "detrended_nrmse", "hfen"])
def test_the_controls_bound_the_table_to_the_last_bit(head, name, support, artifact):
    truth = head.truth + np.float32(0.3)  # a zero of its own would count
    given = {"truth": truth, "artifact": artifact}
    assert cell(table(head, truth, **given), name, support).value == 0.0
    assert cell(table(head, np.zeros_like(truth), **given), name, support).value == 100.0


def test_a_zero_map_without_support_is_the_zero_control(head):
    nowhere = np.zeros_like(head.mask)
    scores = table(head, np.zeros_like(head.truth), support=nowhere)
    assert cell(scores, "nrmse", "study").value == 100.0
    assert cell(scores, "coverage", "study").value == 0.0


def test_coverage_is_scored_once(head):
    scores = table(head, head.estimate, support=head.eroded)
    row = cell(scores, "coverage", "study")
    assert row.value == pytest.approx(100 * head.eroded.sum() / head.mask.sum())
    assert row.unit == "%"
    assert not ((scores.metric == "coverage") & (scores.support == "common")).any()


def test_missing_voxels_hold_the_whole_truth_as_their_error(head):
    """A method that is right where it dares is wrong by exactly the truth elsewhere."""
    estimate = np.where(head.eroded, head.truth, 123.0).astype(np.float32)  # rubbish beyond the support
    scores = table(head, estimate, support=head.eroded, metrics=["nrmse", "mean"])
    t = np.float64(head.truth)
    inside = np.where(head.eroded, t - t[head.eroded].mean(), 0)[head.mask]
    error = inside - inside.mean() - (t[head.mask] - t[head.mask].mean())
    expected = 100 * np.linalg.norm(error) / np.linalg.norm(t[head.mask] - t[head.mask].mean())
    assert expected > 10
    assert cell(scores, "nrmse", "study").value == pytest.approx(expected, rel=1e-9)
    assert cell(scores, "nrmse", "common").value == 0.0


def test_eroding_does_not_pay(head):
    """On the study mask, the same map scores worse when part of it is withheld."""
    whole = table(head, 0.8 * head.truth, metrics=["nrmse"])
    part = table(head, 0.8 * head.truth, support=head.eroded, metrics=["nrmse"])
    assert cell(part, "nrmse", "study").value > cell(whole, "nrmse", "study").value
    assert cell(part, "nrmse", "common").value == cell(whole, "nrmse", "common").value


def test_real_data_without_truth(head):
    scores = table(head, head.estimate, truth=None)
    assert cell(scores, "nrmse", "study").reason == "there is no truth"
    assert np.isnan(cell(scores, "nrmse", "study").value)
    assert np.isfinite(cell(scores, "mean", "study", "caudate").value)
    assert cell(scores, "data_consistency", "common").reason == "there is no field"
    assert np.isfinite(cell(table(head, head.estimate, field=head.truth), "data_consistency", "study").value)


def test_without_labels(head):
    scores = table(head, head.estimate, labels=None, regions=())
    assert cell(scores, "dgm_slope", "study").reason == "there are no labels"
    assert np.isfinite(cell(scores, "nrmse", "study").value)


def test_empty_common_mask(head):
    scores = table(head, head.estimate, common=np.zeros_like(head.mask))
    common = scores[scores.support == "common"]
    assert common.value.isna().all()
    assert set(common.reason) <= {"the mask is empty", "there is no field"}


def test_empty_region_is_nan_with_its_reason(head):
    regions = [*head.regions, (77, "claustrum", "")]
    row = cell(table(head, head.estimate, regions=regions), "bias", "study", "claustrum")
    assert np.isnan(row.value)
    assert row.reason == "the region has no voxel in the mask"


def test_constant_truth_is_nan_with_its_reason(head):
    row = cell(table(head, head.estimate, truth=np.zeros_like(head.truth)), "nrmse", "study")
    assert np.isnan(row.value) and row.reason == "the truth is constant within the mask"


def test_other_artifacts_get_the_metrics_that_fit(head):
    scores = table(head, head.estimate, artifact="r2star")
    assert "xsim" not in set(scores.metric) and "nrmse" in set(scores.metric)
    assert cell(scores, "bias", "study", "vein").unit == "1/s"
    asked = table(head, head.estimate, artifact="r2star", metrics=["xsim"])
    assert cell(asked, "xsim", "study").reason == "scores chi, not r2star"


def test_a_volume_on_another_grid_is_refused(head):
    with pytest.raises(QsmbenchError, match=r"truth: shape \(40, 36, 31\) differs from the grid's \(40, 36, 32\)"):
        table(head, head.estimate, truth=head.truth[..., :-1])


def test_unknown_metric_is_refused(head):
    with pytest.raises(QsmbenchError, match="unknown metric 'psnr'"):
        table(head, head.estimate, metrics=["psnr"])


def test_one_support_at_a_time_gives_the_same_rows(head):
    both = table(head, head.estimate, metrics=["nrmse", "coverage"])
    parts = [table(head, head.estimate, metrics=["nrmse", "coverage"], supports=(s,)) for s in ("study", "common")]
    assert [len(p) for p in parts] == [2, 1]
    assert [*parts[0].value, *parts[1].value] == [*both.value]


def test_common_without_its_mask_is_refused(head):
    with pytest.raises(
        QsmbenchError, match="common: the mask of the voxels that all methods reconstructed is required"
    ):
        metrics.score(head.estimate, head.mask, head.mask, truth=head.truth, grid=head.grid)


def test_an_offset_of_a_map_with_a_zero_of_its_own_is_an_error(head):
    """R2* + 30/s: an NRMSE of 30·√n over the norm of the truth, a bias of 30/s; χ + 30 ppm is χ."""
    rates = 20 + 100 * head.truth
    found = table(head, rates + 30, truth=rates, artifact="r2star")
    expected = 100 * 30 * np.sqrt(head.mask.sum()) / np.linalg.norm(rates[head.mask].astype(float))
    assert expected > 100
    assert cell(found, "nrmse", "study").value == pytest.approx(expected, rel=1e-6)
    assert cell(found, "detrended_nrmse", "study").value > 5
    assert cell(found, "bias", "common", "putamen").value == pytest.approx(30, rel=1e-6)
    assert cell(found, "mean", "study", "putamen").value == pytest.approx(20 + 9 + 30, abs=2)
    # both look at structure alone
    assert cell(found, "correlation", "study").value == pytest.approx(1)
    assert cell(found, "hfen", "study").value == pytest.approx(0, abs=1e-3)
    chi = table(head, rates + 30, truth=rates, artifact="chi")
    assert cell(chi, "nrmse", "study").value == pytest.approx(0, abs=1e-4)
    assert cell(chi, "bias", "common", "putamen").value == pytest.approx(0, abs=1e-5)


def test_missing_voxels_of_a_map_with_a_zero_of_its_own_are_zero(head):
    """Nothing is shifted: the error is the truth where voxels are missing, and nothing elsewhere."""
    rates = 20 + 100 * head.truth
    found = table(head, np.where(head.eroded, rates, 123.0), truth=rates, support=head.eroded, artifact="r2star")
    missing, all_of_it = (np.linalg.norm(rates[m].astype(float)) for m in (head.mask & ~head.eroded, head.mask))
    assert cell(found, "nrmse", "study").value == pytest.approx(100 * missing / all_of_it, rel=1e-9)
    assert cell(found, "nrmse", "common").value == 0.0


def test_a_mask_is_scored_against_the_true_one(head):
    """An eroded mask lies in the true one: its Dice is 2n/(n + N), its coverage n/N."""
    found = metrics.score(
        head.eroded, head.eroded, head.mask, truth=head.mask, grid=head.grid, artifact="mask", supports=("study",)
    )
    n, of = head.eroded.sum(), head.mask.sum()
    assert set(found.metric) == {"dice", "coverage"}
    assert cell(found, "dice", "study").value == pytest.approx(2 * n / (n + of))
    assert cell(found, "coverage", "study").value == pytest.approx(100 * n / of)


def test_a_mask_that_is_too_large_is_told_by_dice_alone(head):
    everywhere = np.ones_like(head.mask)
    found = metrics.score(
        everywhere, everywhere, head.mask, head.mask, truth=head.mask, grid=head.grid, artifact="mask"
    )
    assert cell(found, "coverage", "study").value == 100
    assert cell(found, "dice", "study").value == pytest.approx(2 / (1 + head.mask.size / head.mask.sum()))
    assert set(found.support) == {"study"}


def test_a_mask_without_truth_or_by_a_metric_of_maps_has_its_reason(head):
    asked = metrics.score(
        head.mask, head.mask, head.mask, grid=head.grid, artifact="mask", metrics=["dice", "nrmse"], supports=("study",)
    )
    assert cell(asked, "dice", "study").reason == "there is no truth"
    assert cell(asked, "nrmse", "study").reason == "scores maps, not mask"


@pytest.mark.parametrize("artifact", ["unwrapped", "phase", "magnitude", "labels", "field_noise"])
def test_what_is_not_scored_has_no_rows_but_a_reason(head, artifact):
    echoes = np.zeros((*head.grid.shape, 3), np.float32)
    found = metrics.score(echoes, head.mask, head.mask, grid=head.grid, artifact=artifact)
    assert found.empty and tuple(found.columns) == metrics.COLUMNS and found.value.dtype == float
    assert metrics.not_scored(artifact)
    assert metrics.not_scored("chi") is None and metrics.not_scored("mask") is None
