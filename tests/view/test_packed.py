"""Packed volumes: the same values within half a step, in the axes of the patient, wherever they can be."""

import json

import numpy as np
import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.view.packed import OUTSIDE, Packed, pack_labels, pack_map, write_packed

RNG = np.random.default_rng(3)


@pytest.fixture
def grid():
    return Grid((9, 12, 10), (1.0, 2.0, 1.5))


def ball(grid, radius=4.0):
    x, y, z = grid.axes()
    return x**2 + y**2 + z**2 < radius**2


def test_values_are_those_within_half_a_step_and_relative_to_their_mean(grid):
    mask = ball(grid)
    values = RNG.normal(0.3, 0.05, grid.shape).astype(np.float32)
    packed = pack_map(values, "chi", mask, mask, grid)
    assert packed.step == pytest.approx(0.001)
    where = np.argwhere(mask)
    low, high = np.maximum(where.min(0) - 2, 0), np.minimum(where.max(0) + 3, grid.shape)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    assert packed.shape == [b - a for a, b in zip(low, high, strict=True)]
    found = packed.values()
    assert np.array_equal(np.isnan(found), ~mask[box])
    expected = values.astype(float) - values[mask].mean(dtype=float)
    assert np.abs(found - expected[box])[mask[box]].max() <= packed.step / 2 + 1e-6
    centre = (np.array(grid.shape) - 1) / 2
    assert packed.first == pytest.approx(
        (low - centre) * grid.voxel_size + grid.affine[:3, :3] @ centre + grid.affine[:3, 3]
    )


def test_a_map_with_its_own_zero_keeps_it(grid):
    mask = ball(grid)
    packed = pack_map(np.full(grid.shape, 17.3), "r2star", mask, mask, grid)
    assert np.nanmean(packed.values()) == pytest.approx(17.3, abs=packed.step / 2)


def test_values_beyond_the_whole_numbers_become_their_ends(grid):
    mask = ball(grid)
    values = np.zeros(grid.shape)
    inside = np.argwhere(mask)
    values[tuple(inside[0])], values[tuple(inside[-1])] = 1e9, -1e9
    found = pack_map(values, "r2star", mask, mask, grid).values()
    step = 20 / 100
    assert np.nanmax(found) == pytest.approx(32767 * step) and np.nanmin(found) == pytest.approx(-32767 * step)


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (1, -1, -1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_the_axes_of_the_array_do_not_matter(grid, order, flips):
    mask, values = ball(grid), RNG.normal(0, 0.05, grid.shape)
    plain = pack_map(values, "chi", mask, mask, grid)
    turned = [
        np.ascontiguousarray(v.transpose(order)[tuple(slice(None, None, f) for f in flips)]) for v in (values, mask)
    ]
    affine = np.eye(4)
    affine[:3, :3] = (np.diag(np.diag(grid.affine)[:3]))[:, order] * flips
    corner = [0 if f > 0 else n - 1 for n, f in zip(turned[0].shape, flips, strict=True)]
    affine[:3, 3] = grid.affine[:3, 3] - affine[:3, :3] @ corner
    other = pack_map(turned[0], "chi", turned[1], turned[1], Grid.from_affine(turned[0].shape, affine))
    assert (other.shape, other.spacing, other.data) == (plain.shape, plain.spacing, plain.data)
    assert other.first == pytest.approx(plain.first)


def test_masks_and_labels(grid):
    mask = ball(grid)
    shape = pack_map(mask & (RNG.random(grid.shape) > 0.5), "mask", mask, mask, grid)
    assert shape.type == "uint8" and set(np.unique(shape.values()[~np.isnan(shape.values())])) == {0.0, 1.0}
    labels = np.where(mask, 7, 0)
    assert pack_labels(labels, mask, grid).type == "uint8"
    many = pack_labels(np.where(mask, 300, 0), mask, grid)
    assert many.type == "uint16" and np.nanmax(many.values()) == 300
    assert pack_labels(np.where(mask, OUTSIDE["uint8"], 0), mask, grid).type == "uint16"


def test_a_file_is_json_with_what_is_added(grid, tmp_path):
    mask = ball(grid)
    write_packed(
        tmp_path / "deep" / "regions.json", pack_labels(np.where(mask, 1, 0), mask, grid), names={1: "caudate"}
    )
    content = json.loads((tmp_path / "deep" / "regions.json").read_text())
    assert content.pop("names") == {"1": "caudate"}
    assert np.nansum(Packed(**content).values() == 1) == mask.sum()


def test_a_kind_without_a_colour_scale_is_refused(grid):
    with pytest.raises(QsmbenchError, match="no colour scale for 'magnitude'"):
        pack_map(np.zeros(grid.shape), "magnitude", ball(grid), ball(grid), grid)
