"""What `import qsmbench` offers: found, fast, explained, and refusing bad input in one line."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import qsmbench as qb
from qsmbench.dependencies import PACKAGE
from qsmbench.errors import FailedError, QsmbenchError
from qsmbench.method import method
from qsmbench.run import registry

HEAVY = {"numpy", "pandas", "scipy", "numba", "pydantic", "nibabel", "snakemake"}


@pytest.fixture(scope="module")
def scan():
    return qb.simulate("sphere", voxel_size=6)


@pytest.fixture(scope="module")
def chi(scan):
    return qb.reconstruct("romeo.fit.vsharp.tkd", scan)


def test_the_import_alone_loads_nothing():
    code = f"import sys, qsmbench; dir(qsmbench); sys.exit(bool({HEAVY} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_no_name_is_that_of_a_module():
    """Python sets a module as an attribute of the package when it is imported: it would hide the function."""
    assert {n for n in qb.__all__ if (PACKAGE / n).exists() or (PACKAGE / f"{n}.py").exists()} == {"methods"}


def test_every_name_is_there_and_explained():
    assert set(qb.__all__) <= set(dir(qb))
    stub = (PACKAGE / "__init__.pyi").read_text()
    for name in qb.__all__:
        assert getattr(qb, name).__doc__
        assert f"import {name} as {name}" in stub
        if name not in ("methods", "Grid"):
            assert "Example:" in getattr(qb, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'; choose from Grid"):
        qb.nothing  # noqa: B018


def test_every_method_is_an_attribute_with_its_own_signature_and_help():
    assert dir(qb.methods) == sorted(registry.names())
    for name in registry.names():
        found = getattr(qb.methods, name)
        assert found is registry.find(name)
        assert list(inspect.signature(found).parameters) == [*found.consumes, *found.settings]
        assert found.__name__ == name and found.summary in found.__doc__
    assert list(inspect.signature(getattr(qb.methods, "tv+lcurve")).parameters)[-3:] == ["choose", "span", "steps"]
    with pytest.raises(AttributeError, match="did you mean tv"):
        qb.methods.tvv  # noqa: B018


def test_a_folder_of_the_name_of_a_stage_is_no_method(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AttributeError, match="unknown method 'mine'"):
        qb.methods.mine  # noqa: B018


def test_a_method_takes_arrays_as_people_have_them(scan):
    field, mask, grid = scan.truth["local_field"], scan.mask, scan.grid
    expected = qb.methods.tkd(field, mask, grid)
    for other in (mask.astype(float), 3 * mask.astype(np.uint8), mask.tolist()):
        np.testing.assert_array_equal(qb.methods.tkd(field, other, grid), expected)
    np.testing.assert_array_equal(qb.methods.tkd(mask=mask, grid=grid, local_field=field), expected)
    unwrapped = qb.methods.romeo(scan.phase, scan.magnitude, scan.mask, grid, list(scan.te))
    np.testing.assert_array_equal(unwrapped, qb.reconstruct("romeo", scan).values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"local_field": lambda a: a[1:]}, r"tkd: local_field has shape \(15, 16, 16\); it must be that of the grid"),
        ({"mask": lambda a: a[..., None]}, r"tkd: mask has shape \(16, 16, 16, 1\)"),
        ({"local_field": lambda a: a * 1j}, "tkd: local_field is of type complex64; it must be real numbers"),
        ({"grid": lambda g: g.voxel_size}, "tkd: grid is tuple; it must be a Grid"),
    ],
)
def test_a_method_refuses_arrays_that_do_not_fit(scan, change, message):
    arguments = {"local_field": scan.truth["local_field"], "mask": scan.mask, "grid": scan.grid}
    with pytest.raises(QsmbenchError, match=message):
        qb.methods.tkd(**{n: change.get(n, lambda a: a)(v) for n, v in arguments.items()})


def made(scan, **changes):
    given = {"phase": scan.phase, "magnitude": scan.magnitude, "te": scan.te, "b0": 3, "voxel_size": 6}
    return qb.Scan(**{**given, "mask": scan.mask, **changes})


def test_a_scan_of_own_arrays_is_the_same_scan(scan, chi):
    np.testing.assert_array_equal(qb.reconstruct(chi.chain, made(scan)).values, chi.values)
    others = {
        "te": list(scan.te),
        "mask": scan.mask.astype(float) * 0.3,
        "phase": scan.phase.astype(float),
        "voxel_size": np.array([6, 6, 6]),
        "b0": np.float32(3),
    }
    np.testing.assert_array_equal(qb.reconstruct(chi.chain, made(scan, **others)).values, chi.values)
    one = qb.Scan(scan.phase[..., 0], scan.magnitude[..., 0], te=0.005, b0=3, affine=scan.grid.affine)
    assert one.phase.shape == (16, 16, 16, 1) and one.grid.voxel_size == (6, 6, 6) and one.mask.any()
    with_truth = made(scan, truth={"chi": scan.truth["chi"]})
    ours, theirs = (qb.score(chi, t).set_index("metric")["value"]["nrmse"] for t in (with_truth, scan))
    assert ours == theirs


def test_phase_in_units_of_a_scanner_is_rescaled(scan):
    stored = np.round((scan.phase + np.pi) / np.pi * 2048).clip(0, 4095).astype(np.int16)
    np.testing.assert_allclose(made(scan, phase=stored).phase, scan.phase, atol=2e-3)


def test_b0_follows_from_the_affine(scan):
    turn = np.deg2rad(20)
    affine = np.eye(4)
    affine[:3, :3] = 6 * np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    found = made(scan, voxel_size=None, affine=affine)
    np.testing.assert_allclose(found.grid.b0_dir, (0, np.sin(turn), np.cos(turn)), atol=1e-6)
    np.testing.assert_allclose(found.grid.affine, affine, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phase": lambda s: s.magnitude * np.exp(1j * s.phase)}, "phase is complex; give np.angle"),
        (
            {"magnitude": lambda s: s.magnitude[1:]},
            r"magnitude has shape \(15, 16, 16, 8\); the scan has \(16, 16, 16\)",
        ),
        ({"mask": lambda s: s.mask[:, 1:]}, r"mask has shape \(16, 15, 16\); the scan has \(16, 16, 16\)"),
        ({"mask": lambda s: 0 * s.mask}, "mask is empty"),
        ({"te": lambda s: s.te[:3]}, r"phase has shape \(16, 16, 16, 8\), 8 echoes; te has 3 echo times"),
        ({"te": lambda s: 1000 * s.te}, "echo times are in seconds"),
        ({"te": lambda s: "soon"}, "te is 'soon'; it must be a list"),
        ({"b0": lambda s: "3T"}, "b0 is '3T'; it must be a number"),
        ({"voxel_size": lambda s: None}, "one of voxel_size"),
        ({"voxel_size": lambda s: (1, 2)}, r"voxel_size is \(1, 2\); it must be three numbers"),
        ({"affine": lambda s: s.grid.affine}, "not both"),
        ({"voxel_size": lambda s: None, "affine": lambda s: np.eye(3)}, r"affine has shape \(3, 3\)"),
        ({"voxel_size": lambda s: None, "affine": lambda s: np.eye(4) * np.nan}, "must be finite"),
        ({"phase": lambda s: s.phase * np.nan}, "voxels are NaN or infinite"),
        ({"phase": lambda s: np.rad2deg(s.phase)}, "it must be in radians"),
        ({"phase": lambda s: None, "magnitude": lambda s: None}, "neither phase nor magnitude"),
        ({"truth": lambda s: {"chii": s.phase}}, "truth: unknown artifact 'chii'"),
        ({"truth": lambda s: {"chi": s.phase}}, r"chi has shape \(16, 16, 16, 8\); it must be \(nx, ny, nz\)"),
    ],
)
def test_what_is_no_scan_is_refused(scan, changes, message):
    with pytest.raises(QsmbenchError, match=message) as refused:
        made(scan, **{name: change(scan) for name, change in changes.items()})
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, c: qb.simulate("haed"), "phantom 'haed' is unknown"),
        (lambda s, c: qb.simulate("sphere", voxelsize=2), "voxelsize is unknown"),
        (lambda s, c: qb.simulate("sphere", "brain-3T"), "did you mean brain-3t"),
        (lambda s, c: qb.simulate("sphere", seed=-1), "seeds.0 is -1"),
        (lambda s, c: qb.simulate("sphere", orientation=3), "orientation is 3; choose from 0"),
        (lambda s, c: qb.simulate("sphere", set_protocol=["snr=3"]), "set_protocol is"),
        (lambda s, c: qb.reconstruct("truth.tvv", s), "unknown method 'tvv'"),
        (lambda s, c: qb.reconstruct(["romeo"], s), r"chain is \['romeo'\]; it must be method names"),
        (lambda s, c: qb.reconstruct("romeo", s.phase), "scan is ndarray; it must be a Scan"),
        (lambda s, c: qb.reconstruct("tv.romeo", s), "tv needs local_field"),
        (lambda s, c: qb.reconstruct("truth.tv", made(s)), "uses the truth; scan has none"),
        (lambda s, c: qb.reconstruct("truth.tv", s, settings={"tv": {"lambda": 1}}), "unknown setting 'lambda'"),
        (lambda s, c: qb.reconstruct("truth.tv", s, settings={"strength": 1}), r"settings\['strength'\]: chain"),
        (lambda s, c: qb.reconstruct("truth.tv", s, settings={"tv": 1}), "must be a dict"),
        (lambda s, c: qb.reconstruct("truth.m", s, methods={"m": len}), "decorated with @method"),
        (lambda s, c: qb.reconstruct("truth.m", s, methods={"m": Path("no.py")}), "no.py: no such file"),
        (lambda s, c: qb.reconstruct("truth.tv", s, device="gpu"), "device is 'gpu'"),
        (lambda s, c: qb.score(c.values[1:], s.truth), r"chi has shape \(15, 16, 16\)"),
        (lambda s, c: qb.score(c, s.truth["chi"]), "truth is ndarray; it must be the truth of a scan"),
        (lambda s, c: qb.score(c, made(s)), "scan: has no truth"),
        (lambda s, c: qb.score(c, s, artifact="field_noise"), "field_noise is not scored"),
        (lambda s, c: qb.score(c, qb.simulate("sphere", voxel_size=8)), r"the truth has \(12, 12, 12\)"),
        (lambda s, c: qb.show(c.values), "cannot draw ndarray alone"),
        (lambda s, c: qb.show(s, echo=9), "echo is 9; choose from 0…7"),
        (lambda s, c: qb.show(c, centre=(1, 2, 99)), "the grid has"),
        (lambda s, c: qb.show(s.truth, artifact="labels"), "no colour scale for 'labels'"),
        (lambda s, c: qb.load_scan("/nowhere"), "/nowhere: no such folder"),
        (lambda s, c: qb.catalogue("method"), "cannot list 'method'; choose from .*did you mean methods"),
        (lambda s, c: qb.render("sphere", b0="3"), "b0 is '3'"),
    ],
)
def test_bad_input_is_refused_in_one_line(scan, chi, call, message):
    with pytest.raises(QsmbenchError, match=message) as refused:
        call(scan, chi)
    assert "\n" not in str(refused.value)


def test_what_a_method_raises_is_the_cause(scan):
    @method(produces="chi", reference="test")
    def broken(local_field):
        raise RuntimeError("no luck")

    @method(produces="chi", reference="test")
    def too_small(local_field):
        return local_field[1:]

    with pytest.raises(FailedError, match=r"truth.m: failed: RuntimeError: no luck") as failed:
        qb.reconstruct("truth.m", scan, methods={"m": broken})
    assert isinstance(failed.value.__cause__, RuntimeError)
    with pytest.raises(FailedError, match=r"chi has shape \(15, 16, 16\); the scan has \(16, 16, 16\)"):
        qb.reconstruct("truth.m", scan, methods={"m": too_small})
    with pytest.raises(FailedError, match="cosmos: skipped: 1 orientations"):
        qb.reconstruct("truth.cosmos", scan)


def test_pictures(scan, chi):
    for picture in (qb.show(scan), qb.show(scan.truth), qb.show(chi), qb.show(chi, scan), qb.show(chi.values, scan)):
        assert isinstance(picture, Image.Image) and picture.width > 600
    grey = np.asarray(qb.show(scan).convert("L"))
    assert not np.array_equal(grey, np.asarray(qb.show(scan, echo=3).convert("L")))


def test_lists_are_those_of_the_command_line(scan):
    assert "brain-3t" in qb.catalogue("protocols") and "sphere" in qb.catalogue("phantoms")
    assert list(qb.catalogue("methods")) == registry.names()
    assert re.search("16 × 16 × 16 voxels of 6 × 6 × 6 mm, 3 T", repr(scan))


def test_a_rendered_phantom_is_the_truth_where_it_is_even(scan):
    sphere = qb.render("sphere", voxel_size=6)
    assert sphere.grid == scan.grid
    even = scan.truth["labels"] == sphere.labels
    same = np.isclose(sphere.chi, scan.truth["chi"], atol=1e-6)
    assert even.mean() > 0.9 and same[even].mean() > 0.8
