"""Sheets and lines thinner than a voxel keep their volume in voxels of 0.5 to 3 mm, whatever lies inside of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import nibabel as nib
import numpy as np
import pytest
from objects import layer, moment, write

from qsmbench.grid import Grid
from qsmbench.phantom.load import load
from qsmbench.phantom.painting.canvas import Canvas

SIZES = [0.5, 1.0, 2.0, 3.0]
BALL = {"shape": "ellipsoid", "center": [0.3, 0.2, -0.4], "radii": [9, 9, 9]}


def inner(thickness):
    return {"shape": "offset", "of": BALL, "by": -thickness}


def ball(radius):
    return 4 / 3 * np.pi * radius**3


def grid(size: float) -> Grid:
    """About the object."""
    n = round(30 / size)
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = -size * (n - 1) / 2
    return Grid.from_affine((n, n, n), affine)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("thickness", [0.3, 0.6, 1.2])
def test_a_shell_and_what_it_encloses_keep_their_volumes(tmp_path, thickness, size):
    """The shell is white matter in water, its inside muscle: χ of each apart."""
    parts = ball(9) - ball(9 - thickness), ball(9 - thickness)
    for outer, within, expected in ((1, 0, parts[0]), (0, 1, parts[1])):
        tissues = {"white_matter": {"chi": outer}, "muscle": {"chi": within}, "water": {"chi": 0}}
        shells = [{"depth": thickness, "tissue": "muscle"}]
        phantom = write(tmp_path, [{"shape": BALL, "tissue": "white_matter", "shells": shells}], tissues=tissues)
        assert moment(phantom, grid(size)) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("size", SIZES)
def test_shells_of_parts_of_the_space(tmp_path, size):
    """0.6 of the outer shell, then 0.4 of another tissue in all that is deeper: the rest of that is still the outer."""
    tissues = {"white_matter": {"chi": 1}, "muscle": {"chi": 3}, "water": {"chi": 0}}
    shells = [{"depth": 0.5, "tissue": "muscle", "amount": 0.4}]
    layers = [{"shape": BALL, "tissue": "white_matter", "amount": 0.6, "shells": shells}]
    expected = 0.6 * (ball(9) - ball(8.5)) + (0.4 * 3 + 0.6 * 0.6) * ball(8.5)
    assert moment(write(tmp_path, layers, tissues=tissues), grid(size)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("thickness", [0.3, 0.6])
def test_a_sheet_between_two_offsets(tmp_path, thickness, size):
    half = {"shape": "half_space", "point": [0.3, 0, 0], "normal": [1, 0, 0]}
    cut = {"shape": "intersection", "of": [half, BALL]}
    for outer, share in ((BALL, 1), (cut, 0.5)):
        sheet = {"shape": "difference", "of": [outer, inner(thickness)]}
        expected = share * (ball(9) - ball(9 - thickness))
        assert moment(write(tmp_path, [layer(sheet)]), grid(size)) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("thickness", [0.3, 0.9])
def test_a_sheet_between_two_levels_of_a_map(tmp_path, thickness, size):
    """A ramp from 0 to 1 over 12 mm along (1, 2, 2): a sheet across a cube of 16 mm about the origin."""
    normal = np.array([1, 2, 2]) / 3
    places = np.stack(np.meshgrid(*3 * [np.arange(-16.0, 17)], indexing="ij"), -1)
    affine = np.eye(4)
    affine[:3, 3] = -16
    nib.save(nib.Nifti1Image((0.5 - places @ normal / 12).astype(np.float32), affine), tmp_path / "ramp.nii.gz")
    outer, deeper = ({"shape": "map", "map": "ramp", "level": v, "width": 12} for v in (0.5, 0.5 + thickness / 12))
    cylinder = {"shape": "cylinder", "center": [0, 0, 0], "radius": 7, "length": 40, "rotate": tilt(normal)}
    for first in (outer, {"shape": "intersection", "of": [cylinder, outer]}):
        sheet = {"shape": "intersection", "of": [cylinder, {"shape": "difference", "of": [first, deeper]}]}
        phantom = write(tmp_path, [layer(sheet)], maps={"ramp": {"file": "ramp.nii.gz"}})
        assert moment(phantom, grid(size)) == pytest.approx(np.pi * 49 * thickness, rel=0.03)


def tilt(normal):
    """Rotation about x, then y [degrees] that takes z to a direction."""
    return [-float(np.degrees(np.arcsin(normal[1]))), float(np.degrees(np.arctan2(normal[0], normal[2]))), 0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("radius", [0.2, 0.5, 1.0])
def test_a_line(tmp_path, radius, size):
    points = [[-10.3, 0.4, 1.7, radius], [2.2, 3.1, -2.2, radius], [9.4, -6.3, 5.9, radius]]
    length = np.linalg.norm(np.diff(np.array(points)[:, :3], axis=0), axis=1).sum() + 4 / 3 * radius
    phantom = write(tmp_path, [layer({"shape": "tube", "points": points})])
    assert moment(phantom, grid(size)) == pytest.approx(np.pi * radius**2 * length, rel=0.03)


THIN = {  # in the template: middle and size of a box about them, mm
    "stria_of_gennari": ((0, -82, 0), (42, 42, 30)),
    "medullary_lamina": ((0, -5, 0), (60, 42, 36)),
    "fields_of_forel": ((0, -14, -8), (42, 24, 24)),
    "medullary_lamina_of_thalamus": ((0, -14, 8), (36, 42, 30)),
    "subcortical_white_matter": ((40, 40, 20), (36, 36, 36)),
}


@cache
def volume(name: str, size: float) -> float:
    """Of a region of the median person, without what is not its own in a voxel, mm³."""
    phantom = load("head", {"texture": None, "vessels": None, "sources": []})
    middle, extent = THIN[name]
    affine = np.diag([size, size, size, 1.0])
    affine[:3, 3] = np.array(middle) - (np.array(extent) - size) / 2
    canvas = Canvas.blank(
        Grid.from_affine(tuple(round(e / size) for e in extent), affine), np.zeros(1), phantom._maps[1]
    )
    label = next(i for i, n, _ in phantom.anatomy if n == name)
    for painted in phantom._visible:
        shells = [replace(s, values=np.array([float(s.label == label)])) for s in phantom._shells(painted, 3.0)]
        canvas.paint_shape(phantom._compiler(painted.shape), shells, phantom.warp)
    return float(canvas.stack[0].sum(dtype=float)) * size**3


@pytest.mark.parametrize("size", [1.0, 3.0])
@pytest.mark.parametrize("name", THIN)
def test_thin_regions_of_the_head(name, size):
    assert volume(name, size) == pytest.approx(volume(name, 0.5), rel=0.03)
