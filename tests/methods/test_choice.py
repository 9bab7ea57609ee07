"""The choice of the regularisation: on curves whose corner is known, and on a head with known noise."""

import numpy as np
import oracles
import pytest

from qsmbench.choice.curve import corner, curvature, inflection
from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import collected
from qsmbench.ops.solvers.solution import record_solution, report_solution
from qsmbench.run import registry

SIGMA = 0.002


@pytest.fixture(scope="module")
def noisy(head):
    noise = SIGMA * np.random.default_rng(0).standard_normal(head.mask.shape)
    return ((head.local_field + noise) * head.mask).astype(np.float32)


def chosen(name, field, head, **settings):
    method = registry.find(name)
    noise = np.full(head.mask.shape, SIGMA, np.float32)
    inputs = {"local_field": field, "mask": head.mask, "grid": head.grid, "field_noise": noise}
    with collected() as notes:
        chi = method(*(inputs[n] for n in method.consumes), **settings)
    return chi, notes["chosen"]


def test_curvature_is_that_of_a_circle():
    """A quarter of a circle of radius 2 in log-log axes, run through at an uneven speed."""
    t = np.linspace(0.15, 1, 25) ** 2 * np.pi / 2
    strengths = np.geomspace(1e-3, 1e3, t.size)
    misfits, roughnesses = np.exp(-2 * np.cos(t)), np.exp(-2 * np.sin(t))
    _, bend = curvature(strengths, misfits, roughnesses)
    inner = slice(bend.size // 8, -bend.size // 8)  # a spline's ends are free
    np.testing.assert_allclose(bend[inner], 0.5, rtol=0.03)


def test_the_corner_of_a_tikhonov_problem():
    """Singular values 10⁻ⁱ, coefficients that fall as fast until the noise: Hansen's textbook case."""
    s = 10.0 ** -np.arange(0, 6, 0.25)
    data = s * 1.0 + 1e-3 * np.where(np.arange(s.size) % 2, 1, -1)
    strengths = np.geomspace(1e-10, 1, 41)
    filtered = [s**2 / (s**2 + a) for a in strengths]
    misfits = np.array([np.linalg.norm((1 - f) * data) for f in filtered])
    sizes = np.array([np.linalg.norm(f * data / s) for f in filtered])
    errors = [np.linalg.norm(f * data / s - 1) for f in filtered]
    found = corner(strengths, misfits, sizes)
    assert np.interp(np.log(found), np.log(strengths), errors) < 1.1 * min(errors)
    assert inflection(strengths, misfits, sizes) < found


def test_the_terms_of_a_solution(head):
    grid, mask = head.grid, head.mask
    chi = (head.chi * mask).astype(np.float32)
    field = oracles.free_space_field(chi, grid.voxel_size, grid.b0_dir)
    with record_solution() as terms:
        report_solution(np.zeros_like(chi), field, mask, grid)
    assert terms.misfit == pytest.approx(np.linalg.norm(field[mask]), rel=1e-5)
    ramp = np.arange(grid.shape[0], dtype=np.float32)[:, None, None] * np.ones(grid.shape, np.float32)
    with record_solution() as terms:
        report_solution(ramp, field, mask, grid)
    n, ny, nz = grid.shape
    # steps of one, and the cyclic jump back
    assert terms.roughness == pytest.approx(2 * (n - 1) * ny * nz / grid.voxel_size[0], rel=1e-5)


def choosable():
    inversions = [m for m in map(registry.find, registry.names()) if m.produces[0] == "chi"]
    inversions = [m for m in inversions if "local_field" in m.consumes]
    return [m.name for m in inversions if "regularisation" in m.settings or m.name in ("tkd", "tsvd")]


@pytest.mark.parametrize("name", choosable())
def test_every_inversion_with_a_strength_shows_its_solution(name, head, noisy):
    """And it misses the field by less than doing nothing does."""
    method = registry.find(name)
    magnitude = (head.mask[..., None] * np.array([1.0, 0.7])).astype(np.float32)
    inputs = {"local_field": noisy, "mask": head.mask, "grid": head.grid, "magnitude": magnitude}
    inputs |= {"te": np.array([0.005, 0.02]), "b0": 3.0}
    with record_solution() as terms:
        method(*(inputs[n] for n in method.consumes))
    assert 0 < terms.misfit < 0.8 * np.linalg.norm(noisy)
    assert terms.roughness > 0


@pytest.mark.parametrize("name", ["l2", "tv"])
def test_discrepancy_misses_the_field_by_its_noise(name, head, noisy):
    chi, choice = chosen(f"{name}+discrepancy", noisy, head)
    again = registry.find(name)
    with record_solution() as terms:
        plain = again(noisy, head.mask, head.grid, regularisation=choice["value"])
    np.testing.assert_array_equal(chi, plain)
    assert terms.misfit == pytest.approx(SIGMA * np.sqrt(np.count_nonzero(head.mask)), rel=0.025)
    assert choice["by"] == "discrepancy" and choice["setting"] == "regularisation"
    assert not choice["at_end"]


def test_a_choice_that_wants_to_go_on_says_so(head, noisy):
    _, choice = chosen("l2+discrepancy", noisy, head, regularisation=1e-12, span=10.0)
    assert choice["at_end"]
    assert choice["value"] == pytest.approx(1e-12 * 10**0.5)


def test_discrepancy_needs_noise(head, noisy):
    method = registry.find("l2+discrepancy")
    inputs = {"local_field": noisy, "mask": head.mask, "grid": head.grid, "field_noise": np.zeros_like(noisy)}
    with pytest.raises(NotApplicable, match="noise of the field is zero everywhere"):
        method(*(inputs[n] for n in method.consumes))


def test_the_choices_are_near_the_best_for_tv_and_follow_the_noise(head, noisy):
    louder = noisy + (2 * (noisy - head.local_field) * head.mask).astype(np.float32)
    tv = registry.find("tv")
    values = {}
    for level, field in (("quiet", noisy), ("loud", louder)):
        errors = [
            oracles.nrmse(tv(field, head.mask, head.grid, regularisation=s), head.chi, head.mask)
            for s in np.geomspace(1e-4, 1e-2, 9)
        ]
        for how in ("lcurve", "inflection"):
            chi, choice = chosen(f"tv+{how}", field, head)
            assert oracles.nrmse(chi, head.chi, head.mask) < 1.2 * min(errors)
            values[how, level] = choice["value"]
        # the corner regularises more than the inflection does (Milovic 2021)
        assert values["inflection", level] < values["lcurve", level]
    for how in ("lcurve", "inflection"):
        assert values[how, "loud"] > 2 * values[how, "quiet"]


def test_a_curve_that_bends_the_other_way_everywhere_has_no_corner():
    strengths = np.geomspace(1e-3, 1, 9)
    angle = np.linspace(0.1, 1.4, 9)
    with pytest.raises(NotApplicable, match=r"the L-curve has no corner between 0.001 and 1"):
        corner(strengths, np.exp(np.sin(angle)), np.exp(np.cos(angle)))


def test_what_cannot_be_chosen_is_said():
    with pytest.raises(QsmbenchError, match=r"l2\+luck: unknown choice 'luck'; choose from lcurve"):
        registry.find("l2+luck")
    with pytest.raises(QsmbenchError, match=r"vsharp does not compute chi from local_field"):
        registry.find("vsharp+lcurve")
    volume = np.ones((4, 4, 4), np.float32)
    with pytest.raises(QsmbenchError, match=r"choose is 'colour'; l2 has penalty, regularisation"):
        registry.find("l2+lcurve")(volume, volume > 0, Grid(volume.shape, (1.0, 1.0, 1.0)), choose="colour")
