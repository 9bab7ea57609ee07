"""Conformance: sound methods pass, and each deliberately broken one is caught by the check that is meant for it."""

import json
import re
import threading
import time
from pathlib import Path

import numpy as np
import oracles
import pytest
import sound
from scipy.ndimage import maximum_filter, minimum_filter

from qsmbench.conform import FAIL, NOT_APPLICABLE, PASS, conform
from qsmbench.conform.compare import agreement, best_shift, difference
from qsmbench.conform.scene import ISOTROPIC, NOISE, OBLIQUE, SOURCES, render, sphere
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Method, method
from qsmbench.run import registry
from qsmbench.units import rad_per_ppm

BROKEN = sorted((Path(__file__).parent / "broken").glob("*.py"))
ANISOTROPIC = Grid((46, 36, 34), (1.0, 1.5, 1.6), OBLIQUE)


def failed(checks):
    return {c.name: c.reason for c in checks if c.status == FAIL}


# The scene


@pytest.mark.parametrize(
    "scene",
    [
        render(),
        render(ANISOTROPIC),
        render(ANISOTROPIC).permuted((1, 2, 0)),
        render(ANISOTROPIC).permuted((2, 1, 0)),
        render(ANISOTROPIC).mirrored(),
        render(Grid((35, 37, 39), ISOTROPIC.voxel_size)).moved((2, -2, 3)),
    ],
    ids=["plain", "anisotropic", "permuted", "reversed", "mirrored", "moved"],
)
def test_the_field_of_the_scene_is_that_of_its_chi(scene):
    """By the dipole kernel in k-space, which the scene does not use; voxels on the rim of a sphere apart."""
    chi, expected = scene.truth["chi"], scene.truth["local_field"]
    away = scene.mask & (maximum_filter(chi, 3) - minimum_filter(chi, 3) < 1e-6)

    def error(voxel_size):
        return oracles.nrmse(oracles.free_space_field(chi, voxel_size, scene.grid.b0_dir), expected, away)

    size = scene.grid.voxel_size
    assert error(size) < 0.12
    assert size[0] == size[2] or error(size[::-1]) > 4 * error(size)


def test_a_sphere_has_its_dipole_field():
    x, y, z = (np.array([v]) for v in (0.0, 0.0, 4.0))
    assert sphere(x, y, z, (0, 0, 1), (0, 0, 0), 2.0)[0] == pytest.approx(2 / 3 / 8)
    assert sphere(x, y, z, (1, 0, 0), (0, 0, 0), 2.0)[0] == pytest.approx(-1 / 3 / 8)
    field, inside = sphere(x, y, z, (0, 0, 1), (0, 0, 3), 2.0)
    assert field[0] == 0 and inside[0]


def test_the_mean_of_chi_is_zero_so_that_local_is_defined():
    assert sum(chi * radius**3 for _, radius, chi in SOURCES) == pytest.approx(0)
    chi, mask = render().truth["chi"], render().mask
    assert abs(chi[mask].mean()) < 1e-3 * np.abs(chi).max()


def test_the_phases_of_the_scene_are_those_of_its_field():
    scene = render(b0=1.5, offset=True)
    turns = (scene.volumes["unwrapped"] - scene.volumes["phase"])[scene.mask] / (2 * np.pi)
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-5)
    x, y, z = scene.grid.axes()
    coils = 0.8 + 0.06 * x - 0.04 * y + 0 * z
    expected = coils[..., None] + rad_per_ppm(1.5, 1.0) * scene.truth["total_field"][..., None] * scene.te
    noise = (scene.volumes["unwrapped"] - expected)[scene.mask] * scene.volumes["magnitude"][scene.mask]
    assert noise.std() == pytest.approx(NOISE, rel=0.05)
    error = (scene.volumes["total_field"] - scene.truth["total_field"])[scene.mask]
    assert (error / scene.truth["field_noise"][scene.mask]).std() == pytest.approx(1, rel=0.05)


# The comparison


def test_agreement_is_slope_and_correlation():
    scene = render()
    found = agreement("chi", {"chi": -3 * scene.truth["chi"] + 7}, scene)[0]
    assert (found.slope, found.correlation) == pytest.approx((-3, -1))
    later, wrapped = scene.truth["unwrapped"] * [1, 2, 3, 4], scene.truth["phase"]
    assert [a.slope for a in agreement("unwrapped", {"unwrapped": later}, scene)] == pytest.approx([1, 2, 3, 4])
    assert agreement("phase", {"phase": -wrapped}, scene)[0].slope == pytest.approx(-1)
    assert agreement("phase", {"phase": wrapped + 0.3}, scene)[0].correlation == pytest.approx(1)
    assert agreement("field_noise", {"field_noise": 3 * scene.truth["field_noise"]}, scene)[0].slope == pytest.approx(3)
    assert agreement("mask", {"mask": np.ones_like(scene.mask)}, scene)[0].correlation == pytest.approx(
        scene.mask.mean(), rel=1e-6
    )


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 0, 0), (0, -1, 0), (1, 1, -1)])
@pytest.mark.parametrize("name", ["chi", "local_field", "total_field", "unwrapped", "r2star"])
def test_a_shift_is_found(name, shift):
    scene = render()
    moved = np.roll(scene.truth[name], shift, (0, 1, 2))
    assert best_shift(name, {name: moved}, scene) == shift


def test_differences_know_what_is_free():
    scene = render()
    mask, phase, unwrapped, chi = scene.mask, *(scene.truth[n] for n in ("phase", "unwrapped", "chi"))
    assert difference("phase", phase + 2 * np.pi, phase, mask) < 1e-5
    assert difference("unwrapped", unwrapped + 2 * np.pi * mask[..., None], unwrapped, mask) < 1e-5
    assert difference("unwrapped", unwrapped * 1.1, unwrapped, mask) == pytest.approx(0.1, rel=1e-3)
    assert difference("chi", chi + 0.1, chi, mask) > 1
    assert difference("mask", ~mask, mask, mask) > 1


# Methods


SETTINGS = {
    "qsmart": {"whole_width": 5.0, "tissue_width": 5.0},  # its filter leaves little of so small an object
    "tgv_qsm": {"max_iterations": 150},  # its time is that of its iterations
}
"""Where the defaults are for a head, or take long: conformance does not depend on accuracy."""

MARGIN = 10.0
"""Margin around the mask [mm] of methods whose own is larger, since heads are: the scene is 46 mm long."""


def for_small_objects(name):
    """Settings of a method for the scene of the checks."""
    margin = registry.find(name).settings.get("pad")
    wide = {"pad": MARGIN} if isinstance(margin, float) and margin > MARGIN else {}
    return {**wide, **SETTINGS.get(name, {})}


BY_DESIGN = {
    "no_mask": {"truth", "zero outside"},  # it takes every voxel
    "lic_r2star": {"zero input"},  # a calibration has an intercept
    "lic_chi": {"runs"},  # the plain scene has no fat to refer to
    "after_sato": {"runs"},
}
"""Checks that cannot pass on the scenes of a head."""

FEWEST = {"true_veins": 8, "no_mask": 5, "lic_r2star": 5}
"""Passed checks of methods that take little, to which few apply; 12 of all others."""


@pytest.mark.parametrize("name", [n for n in registry.names() if n != "zero"])
def test_built_in_methods_conform(name):
    checks = conform(name, for_small_objects(name))
    assert set(failed(checks)) == BY_DESIGN.get(name, set())
    if "runs" in BY_DESIGN.get(name, set()):
        return
    assert sum(c.status == PASS for c in checks) >= FEWEST.get(name, 12)


@pytest.mark.parametrize(
    "sound_method", [v for v in vars(sound).values() if isinstance(v, Method)], ids=lambda m: m.name
)
def test_sound_methods_conform(sound_method):
    assert failed(conform(sound_method)) == {}


@pytest.mark.slow  # each of its runs is a process
def test_a_folder_of_others_code_conforms():
    assert failed(conform(str(Path(__file__).parents[1] / "external" / "tkd-python"))) == {}


def test_the_control_that_finds_nothing_does_not_conform():
    assert {"sign", "units", "truth"} <= set(failed(conform("zero")))


@pytest.mark.parametrize("path", BROKEN, ids=lambda p: p.stem)
def test_broken_methods_are_caught(path):
    meant = re.findall(r'"([^"]+)"', re.search(r"^FAILS = (.*)$", path.read_text(), re.M).group(1))
    assert meant
    checks = conform(str(path))
    assert set(meant) <= set(failed(checks))
    assert checks[0].name == "runs" and (checks[0].status == PASS) != (meant == ["runs"])


def test_every_check_catches_something():
    """But for NaN, which the reader of volumes refuses, so that no method is ever given any."""
    meant = {
        n for p in BROKEN for n in re.findall(r'"([^"]+)"', re.search(r"^FAILS = (.*)$", p.read_text(), re.M).group(1))
    }
    names = {c.name for c in conform("tkd")}
    assert names - meant == {"nan outside", "axis swap"} - meant
    assert meant <= names


def test_nan_outside_counts_where_it_is_let_in(monkeypatch):
    from qsmbench.conform import checks

    def let_in(name, volume, grid, integers=False):
        return volume

    monkeypatch.setattr(checks, "_through_file", let_in)
    status = {c.name: c.status for c in conform("tkd")}  # it multiplies by the mask, and 0 · NaN is NaN
    assert status["nan outside"] == FAIL
    status = {c.name: c.status for c in conform("fit")}  # it takes the voxels of the mask out
    assert status["nan outside"] == PASS


def test_a_noise_map_is_held_against_the_best_possible():
    @method(produces=("total_field", "field_noise"), reference="textbook")
    def linear(unwrapped, magnitude, mask, te, b0, *, factor=1.0):
        """Weighted slope of the phase through zero, and what the signal's noise makes of it."""
        information = np.maximum((magnitude**2) @ te**2, 1e-9)
        field = (magnitude**2 * unwrapped) @ te / information / rad_per_ppm(b0, 1.0)
        return field * mask, factor * NOISE / np.sqrt(information) / rad_per_ppm(b0, 1.0) * mask

    assert set(failed(conform(linear))) == {"phase offset"}
    assert "units" in failed(conform(linear, {"factor": rad_per_ppm(3.0, 1.0)}))


def test_other_orientations_are_the_same_head():
    for scene in (render(), render(ANISOTROPIC).permuted((1, 2, 0)).mirrored()):
        for grid, field in scene.others:
            expected = oracles.free_space_field(scene.truth["chi"], grid.voxel_size, grid.b0_dir)
            assert np.corrcoef(field[scene.mask], expected[scene.mask])[0, 1] > 0.95

    @method(produces="chi", reference="deliberately broken")
    def first_alone(mask, orientations):
        """It takes the directions of B0 to be alike."""
        one = orientations[0]
        return tkd(sum(o.local_field for o in orientations) / len(orientations), mask, one.grid)

    tkd = registry.find("tkd")
    assert "truth" in failed(conform(first_alone))


def test_checks_that_do_not_apply_say_why():
    skipped = [
        c for name in ("tkd", "laplacian", "vsharp", "truth") for c in conform(name) if c.status == NOT_APPLICABLE
    ]
    assert skipped
    assert all(c.reason and c.question for c in skipped)


def test_settings_reach_the_method():
    plain, thresholded = (
        next(c.reason for c in conform("tkd", settings) if c.name == "sign") for settings in ({}, {"threshold": 0.4})
    )
    assert plain != thresholded
    with pytest.raises(QsmbenchError, match="unknown setting 'radius'; choose from threshold"):
        conform("tkd", {"radius": 3})
    with pytest.raises(QsmbenchError, match="unknown method 'tk'"):
        conform("tk")


def test_a_method_that_never_runs_fails_at_once():
    @method(produces="chi", reference="deliberately broken")
    def picky(local_field):
        """It finds a reason each time."""
        raise NotApplicable("not on a Monday")

    checks = conform(picky)
    assert failed(checks) == {"runs": "cannot run on a plain scan: not on a Monday"} and len(checks) == 1


@pytest.mark.parametrize("where", ["main thread", "another thread"])
def test_the_time_is_limited(where):
    rounds = []

    @method(produces="chi", reference="deliberately broken")
    def slow(local_field, mask):
        """It would take a while."""
        for i in range(40):
            time.sleep(0.02)
            rounds.append(i)
        return local_field * mask

    found = []
    if where == "main thread":
        found = conform(slow, time_limit=0.3)
        assert len(rounds) < 40  # interrupted
    else:
        thread = threading.Thread(target=lambda: found.extend(conform(slow, time_limit=0.3)))
        thread.start()
        thread.join()
    assert failed(found) == {"runs": "the time limit of 0.3 s for all checks was reached"}


# The command


@pytest.fixture
def conform_command(command, monkeypatch, tmp_path):
    """Run `qsmbench conform` in an empty folder; returns exit code, standard output and standard error."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: command("conform", *arguments)


def test_a_sound_method_leaves_with_zero(conform_command, tmp_path):
    code, out, _ = conform_command("tkd", "--set", "threshold=0.1")
    assert code == 0
    assert " 0 failed" in out
    content = json.loads((tmp_path / "conform-tkd" / "conform.json").read_text())
    assert content["passed"] and content["settings"] == {"threshold": 0.1}
    assert {c["status"] for c in content["checks"]} == {PASS, NOT_APPLICABLE}
    page = (tmp_path / "conform-tkd" / "index.html").read_text()
    assert "tkd conforms" in page and "threshold=0.1" in page
    assert page.count("data:image/png;base64,") == 3
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_a_broken_method_leaves_with_one_and_shows_where(conform_command, tmp_path):
    path = next(p for p in BROKEN if p.stem == "kernel_transposed")
    code, out, _ = conform_command(path, "--out", "page")
    assert code == 1
    assert re.search(r"anisotropic\W+fail", out)
    page = (tmp_path / "page" / "index.html").read_text()
    assert "kernel_transposed does not conform" in page
    assert page.count("data:image/png;base64,") == 3 * 3  # plain, anisotropic, axis swap


def test_bad_usage_leaves_with_two(conform_command, tmp_path):
    for arguments, message in (
        (["tk"], "unknown method 'tk'"),
        (["tkd", "--set", "t=1"], "unknown setting 't'"),
        (["missing.py"], "no such file"),
        (["tkd", "--out", "/dev/null/page"], "cannot be written to"),
    ):
        code, _, err = conform_command(*arguments)
        assert code == 2
        assert message in " ".join(err.split())
        assert err.count("\n") == 1
        assert not list(tmp_path.iterdir())


def test_help_has_an_example(conform_command):
    code, out, _ = conform_command("--help")
    assert code == 0
    assert "Example: qsmbench conform tkd" in " ".join(out.split())
