"""What metrics share, and the box that they are given, change no score to the last bit, and nobody's arrays."""

import gc
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import fft, ndimage

from qsmbench import metrics
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.score_table import source_name
from qsmbench.data.source_table import PlacedSource
from qsmbench.grid import Grid
from qsmbench.metrics import _declaration, _score
from qsmbench.metrics._filters import box_mean, correlate
from qsmbench.metrics._once import frozen, once
from qsmbench.metrics.data_consistency import dipole_field
from qsmbench.metrics.xsim import REACH
from qsmbench.ops.kernels.dipole import dipole_kernel


def lesion(index, sign):
    """A ball of the head that counts as a lesion."""
    chi, region = 0.1 * sign * 110, ("caudate", "putamen", "pallidum", "vein")[index - 1]
    return PlacedSource(index, "iron", "in", "", region, "", 1, 0, 0, 0, 110, chi, 0, 0, "scenario")


@pytest.fixture(scope="module")
def scan(head):
    """The head on a wide grid in Fortran's order, as files are read; its masks reach an edge of the grid."""
    wide = [(5, 9), (0, 12), (7, 0)]
    shape = tuple(n + sum(w) for n, w in zip(head.grid.shape, wide, strict=True))

    def padded(volume, outside=0):
        return np.asfortranarray(np.pad(volume, wide, constant_values=outside))

    mask = padded(head.mask)
    mask[20:30, 0, 20:30] = mask[10:20, 10:20, -1] = True
    return SimpleNamespace(
        grid=Grid(shape, head.grid.voxel_size, (0.0, 0.6, 0.8)),
        mask=mask,
        eroded=padded(head.eroded),
        truth=padded(head.truth - np.float32(0.3) * (head.labels == 3), 9),
        labels=padded(head.labels),
        sources=padded(head.labels).astype(np.uint16),
        table=[lesion(i, sign) for i, sign in ((1, 1), (2, 1), (3, -1), (4, 1))],
        regions=head.regions,
        estimates=[padded(head.estimate), padded(0.9 * head.estimate + np.float32(0.1))],
    )


def plain(m, scan, estimate, support, mask, artifact):
    """A metric by itself, on whole volumes that may be written to: nothing is cut, nothing kept."""
    available = {
        "estimate": _score._filled(estimate, support, mask, own_zero=ARTIFACTS[artifact].own_zero),
        "support": support.copy(),
        "study_mask": scan.mask.copy(),
        "mask": mask.copy(),
        "truth": scan.truth.copy(),
        "labels": scan.labels.copy(),
        "regions": scan.regions,
        "sources": scan.sources.copy(),
        "source_table": scan.table,
        "field": scan.truth.copy(),
        "grid": scan.grid,
    }
    found = m(**{n: available[n] for n in m.consumes}, artifact=artifact)
    if m.per == "source":
        found = {source_name(i): value for i, value in found.items()}
    return found if isinstance(found, dict) else {"": found}


@pytest.mark.parametrize("artifact", ["chi", "local_field", "r2star"])
@pytest.mark.parametrize("name", [n for n in metrics.names() if n != "dice"])
def test_the_box_and_what_is_shared_change_no_bit(scan, name, artifact):
    m = metrics.find(name)
    if not m.can_score(artifact):
        pytest.skip(f"{name} is not of {artifact}")
    reference = metrics.Reference(
        scan.mask, scan.eroded, scan.truth, scan.labels, scan.regions, scan.sources, scan.table, grid=scan.grid,
        artifact=artifact,
    )  # fmt: skip
    for estimate in scan.estimates:
        for support in (scan.mask, scan.eroded):
            rows = reference.rows(estimate, support, scan.truth)  # all metrics, so that they share
            for where, mask in (("study", scan.mask), ("common", scan.eroded)):
                found = {r["region"]: r["value"] for r in rows if (r["metric"], r["support"]) == (name, where)}
                if where == "study" or "mask" in m.consumes:
                    assert found == plain(m, scan, estimate, support, mask, artifact)


def test_every_metric_of_maps_is_local_and_the_box_holds_what_it_needs():
    assert {n for n in metrics.names() if not metrics.find(n).local} == {"dice", "oef_asymmetry", "oef_bias_by_side"}
    assert _declaration.MARGIN >= REACH


@pytest.mark.parametrize("shape", [(20, 17, 31), (1, 9, 40), (5, 4, 3)])
def test_the_filters_are_those_of_scipy(shape):
    rng = np.random.default_rng(0)
    volume = rng.normal(size=shape)
    for reach in (3, 7):
        kernel = rng.normal(size=reach + 1)
        kernel = np.concatenate([kernel[:0:-1], kernel])
        for axis in range(3):
            for mode in ("constant", "nearest"):
                expected = ndimage.correlate1d(volume, kernel, axis, mode=mode)
                found = correlate(volume, kernel, axis, replicated=mode == "nearest")
                np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14)
        expected = ndimage.uniform_filter(volume, 2 * reach + 1, mode="constant")
        np.testing.assert_allclose(box_mean(volume, reach), expected, rtol=0, atol=1e-14)


def test_the_field_is_that_of_a_transform_of_the_whole_padded_volume(scan):
    chi = np.random.default_rng(1).normal(size=(21, 14, 25)).astype(np.float32)
    shape = tuple(fft.next_fast_len(2 * n, real=True) for n in chi.shape)
    spectrum = fft.rfftn(chi, shape) * dipole_kernel(scan.grid, shape)
    expected = fft.irfftn(spectrum, shape)[:21, :14, :25]
    np.testing.assert_allclose(dipole_field(chi, scan.grid), expected, rtol=0, atol=1e-6)


def with_metric(monkeypatch, function, **more):
    """Score with a metric of another package."""
    declared = metrics.metric(unit="", best=0.0, higher_is_better=False, reference="test", **more)(function)
    monkeypatch.setattr(_score, "find", lambda name: declared if name == function.__name__ else metrics.find(name))


def test_a_metric_of_others_gets_whole_volumes(scan, monkeypatch):
    seen = {}

    def curious(estimate, truth, mask, study_mask, support, labels, field, grid):
        seen.update({name: value for name, value in locals().items() if name != "seen"})
        return 0.0

    with_metric(monkeypatch, curious, centred=False)
    arguments = (scan.estimates[0], scan.mask, scan.mask, scan.eroded, scan.truth, scan.labels, scan.regions)
    metrics.score(*arguments, grid=scan.grid, field=scan.truth, metrics=["nrmse", "curious"], supports=("common",))
    assert seen.pop("grid") == scan.grid
    expected = {"estimate": np.where(scan.mask, scan.estimates[0], 0), "truth": scan.truth, "mask": scan.eroded}
    expected |= {"study_mask": scan.mask, "support": scan.mask, "labels": scan.labels, "field": scan.truth}
    assert set(seen) == set(expected)
    for name, volume in seen.items():
        np.testing.assert_array_equal(volume, expected[name], err_msg=name)
        assert not volume.flags.writeable


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("what", ["estimate", "truth", "mask", "labels", "field", "support"])
def test_no_metric_changes_what_others_get(scan, monkeypatch, local, what):
    def careless(estimate, truth, mask, labels, field, support):
        locals()[what][...] = 1
        return 0.0

    with_metric(monkeypatch, careless, local=local)
    arguments = (scan.estimates[0], scan.mask, scan.mask, scan.eroded, scan.truth, scan.labels, scan.regions)
    before = [np.array(v) for v in arguments[:-1]]
    alone, both = (
        metrics.score(*arguments, grid=scan.grid, field=scan.truth, metrics=names)
        for names in (["nrmse", "hfen"], ["careless", "nrmse", "hfen"])
    )
    assert both[both.metric == "careless"].reason.str.contains("read-only").tolist() == [True, True]
    assert both[both.metric != "careless"].value.tolist() == alone.value.tolist()
    for found, expected in zip(arguments, before, strict=False):
        np.testing.assert_array_equal(found, expected)
        assert found.flags.writeable


def test_a_result_is_kept_as_long_as_its_arrays_and_only_if_they_cannot_change():
    calls = []

    @once
    def doubled(array):
        calls.append(array.shape)
        return 2 * array

    constant, changing = frozen(np.arange(3.0)), np.arange(4.0)
    assert doubled(constant) is doubled(constant) and not doubled(constant).flags.writeable
    first = doubled(changing)
    changing += 1
    np.testing.assert_array_equal(doubled(changing), first + 2)
    assert calls == [(3,), (4,), (4,)]
    view = changing.view()
    view.flags.writeable = False  # what it shows may change
    assert doubled(view) is not doubled(view)
    gc.freeze()  # the tests before have left much that need not be looked through each time
    for n in range(5, 60):  # new arrays, some in the places of those that are gone
        assert doubled(frozen(np.arange(n, dtype=float))).size == n
        gc.collect()
    gc.unfreeze()
