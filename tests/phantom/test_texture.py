"""Tissues vary within themselves, and keep their means."""

from __future__ import annotations

import numpy as np
import pytest
from objects import box

from qsmbench.phantom.load import load
from qsmbench.phantom.species import CHANNELS

REGIONS = ("white_matter", "cortex", "putamen", "globus_pallidus_externus", "red_nucleus", "dentate", "thalamus")


@pytest.fixture(scope="module")
def plain():
    phantom = load("head", {"voxel_size": 2, "supersampling": 1, "texture": None})
    return phantom.render(phantom.grid(), 3.0)


def inside(properties, name):
    index = next(i for i, n, _ in properties.regions if n == name)
    return properties.labels == index


@pytest.mark.parametrize("name", REGIONS)
@pytest.mark.parametrize("channel", ["chi_para", "chi_dia", "r2star", "t1", "pd"])
def test_mean_of_a_region_stays(plain, rendered, name, channel):
    """To 1 % of the mean, in T1 somewhat less: 1/x has a mean of its own."""
    region = inside(rendered, name)
    before, after = getattr(plain, channel)[region].mean(), getattr(rendered, channel)[region].mean()
    assert after == pytest.approx(before, rel=0.015 if channel == "t1" else 0.01)


@pytest.mark.parametrize("name", REGIONS)
def test_it_varies_as_much_as_stated(plain, rendered, head, name):
    region = inside(rendered, name)
    group = next(g for _, n, g in rendered.regions if n == name)
    ratio = (rendered.chi_para[region] / plain.chi_para[region]).std()
    stated = head.description.texture.groups[group].iron
    assert 0.5 * stated < ratio < 1.3 * stated


def test_properties_vary_together(plain, rendered):
    region = inside(rendered, "putamen")
    change = {c: (getattr(rendered, c) - getattr(plain, c))[region] for c in CHANNELS}
    assert change["r2star"] == pytest.approx(137 * (change["chi_para"] + change["chi_dia"]), abs=0.05)
    assert np.corrcoef(change["chi_dia"], change["t1"])[0, 1] < -0.5  # more myelin, shorter T1
    assert np.corrcoef(change["chi_dia"], change["water_pd"])[0, 1] < -0.9


def test_texture_does_not_depend_on_the_grid(head):
    grid = box((25, -20, 25), 80, 2)
    inner = load("head", {"voxel_size": 1, "supersampling": 1})
    fine = inner.render(grid.refine((2, 2, 2)), 3.0).chi
    mean = fine.reshape(grid.shape[0], 2, grid.shape[1], 2, grid.shape[2], 2).mean((1, 3, 5))
    coarse = head.render(grid, 3.0)
    pure = inside(coarse, "white_matter")
    for axis in (0, 1, 2):
        for step in (-1, 1):
            pure &= np.roll(inside(coarse, "white_matter"), step, axis)
    assert pure.sum() > 5000
    spread = coarse.chi[pure].std()
    assert (coarse.chi - mean)[pure].std() < 0.2 * spread


def test_another_seed_is_another_texture(head):
    other = load("head", {"voxel_size": 2, "supersampling": 1, "texture.seed": 5})
    grid = box((25, -20, 25), 80, 2)
    one, another = head.render(grid, 3.0), other.render(grid, 3.0)
    assert np.array_equal(one.labels, another.labels)
    assert not np.array_equal(one.chi, another.chi)


@pytest.fixture(scope="module")
def unbalanced():
    keys = {f"texture.groups.{g}.balance": 0.3 for g in ("wm", "gm", "dgm")}
    phantom = load("head", {"voxel_size": 2, "supersampling": 1, **keys})
    return phantom.render(phantom.grid(), 3.0)


def test_balance_shows_in_chi_alone(rendered, unbalanced):
    """What magnitude images show stays bit for bit, but for χ+ + χ−, which rounds."""
    for channel in ("pd", "t1", "r2", "r2star", "fat_fraction", "labels"):
        assert np.array_equal(getattr(rendered, channel), getattr(unbalanced, channel)), channel
    sums = [p.chi_para + p.chi_dia for p in (rendered, unbalanced)]
    assert sums[1] == pytest.approx(sums[0], abs=1e-6)
    assert unbalanced.chi_para.min() >= 0 and unbalanced.chi_dia.min() >= 0


@pytest.mark.parametrize("name", ["cortex", "thalamus", "brainstem"])
def test_share_of_chi_para_varies_as_stated(rendered, unbalanced, name):
    """Where both parts are large: elsewhere the share ends at 0 or 1."""
    region = inside(rendered, name)
    total = (rendered.chi_para + rendered.chi_dia)[region]
    moved = (unbalanced.chi_para - rendered.chi_para)[region] / total
    assert 0.15 < moved.std() < 0.35
