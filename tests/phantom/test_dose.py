"""The dose of a source is what is painted: for any shape, voxel size and supersampling, in any phantom."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml
from objects import layer, write

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.phantom.placed import View, places
from qsmbench.scan.geometry import GridChoice, scan_geometry

CHI = 0.1
BALL = 4 / 3 * np.pi


def labelmap(folder: Path, labels: np.ndarray, rows: list[str], sources: list[dict], size=(2.0, 2.0, 2.0)) -> Phantom:
    """A label image about the origin, with rows of index, name and tissue."""
    affine = np.diag([*size, 1.0])
    affine[:3, 3] = -np.array(size) * (np.array(labels.shape) - 1) / 2
    nib.save(nib.Nifti1Image(labels, affine), folder / "labels.nii.gz")
    (folder / "labels.tsv").write_text("\n".join(["index\tname\ttissue", *rows]) + "\n")
    content = {"kind": "labelmap", "image": "labels.nii.gz", "table": "labels.tsv", "sources": sources}
    (folder / "own.yaml").write_text(yaml.safe_dump(content))
    return load(str(folder / "own.yaml"))


def dose(make, sources: list[dict], supersampling: int) -> float:
    """∫Δχ dV over the χ of the source: the volume that it fills, mm³."""
    without, phantom = (make(s) for s in ([], sources))
    grid = phantom.grid().refine((supersampling,) * 3)
    before = without.render(grid, 3.0).chi.astype(float)
    return float((phantom.render(grid, 3.0).chi - before).sum()) * grid.voxel_volume / CHI


def region(thickness: tuple[int, int, int]) -> np.ndarray:
    """A box of label 1 in the middle of an image."""
    labels = np.zeros((14, 13, 12), np.uint8)
    labels[tuple(slice((n - t) // 2, (n - t) // 2 + t) for n, t in zip(labels.shape, thickness, strict=True))] = 1
    return labels


@pytest.mark.parametrize("side", [None, "left", "right"])
@pytest.mark.parametrize("supersampling", [1, 2, 3])
@pytest.mark.parametrize("thickness", [(8, 8, 2), (8, 1, 1), (1, 1, 1), (2, 2, 2), (14, 13, 12)])
def test_region_of_a_label_image(tmp_path, thickness, supersampling, side):
    labels = region(thickness)
    own = {"source": "iron", "chi": CHI, "region": "part", **({"side": side} if side else {})}

    def make(sources):
        return labelmap(tmp_path, labels, ["1\tpart\twhite_matter"], sources, (2.0, 1.5, 2.5))

    x = make([]).grid().affine[0, 3] + 2.0 * np.arange(14)
    share = {None: np.ones(14), "left": np.clip(0.5 - x / 2, 0, 1), "right": np.clip(0.5 + x / 2, 0, 1)}[side]
    expected = 7.5 * (labels * share[:, None, None]).sum()
    assert dose(make, [own], supersampling) == pytest.approx(expected, rel=1e-4, abs=1e-4)


PARTS = {  # boxes of label 1 in an image of 21×23×21 voxels
    "voxel": np.s_[10, 11, 9],
    "tube": np.s_[4:17, 11, 9],
    "sheet": np.s_[4:17, 5:17, 9:11],
    "block": np.s_[5:13, 5:13, 5:13],
}


@pytest.fixture
def on_grid(tmp_path):
    """A function that returns what a source adds on a grid of the scan, and on the image's own: ∫Δχ dV [ppm·mm³]."""

    def added(source, part, choice, size, supersampling):
        labels = np.full((21, 23, 21), 2, np.uint8)
        labels[PARTS[part]] = 1
        rows = ["0\toutside\tair", "1\tpart\tputamen", "2\twhite\twhite_matter"]
        phantom, plain = (labelmap(tmp_path, labels, rows, s, size) for s in ([{**source, "region": "part"}], []))
        own, scan = phantom.grid(), scan_geometry(phantom.grid(), (1, 1, 1), GridChoice(**choice)).grid
        found = []
        for grid in (scan.refine((supersampling,) * 3), own):
            change = phantom.render(grid, 3.0).chi.astype(float) - plain.render(grid, 3.0).chi
            found.append(float(change.sum()) * grid.voxel_volume)
        return found

    return added


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize(
    ("choice", "size", "supersampling", "tolerance"),
    [
        ({"voxel_size": 1.5}, (1, 1, 1), 2, 1e-3),
        ({"voxel_size": 0.8}, (1, 1, 1), 2, 1e-3),
        ({"voxel_size": 2.3, "center": [0.3, 0.2, -0.4]}, (1, 1, 1), 1, 1e-3),
        ({"voxel_size": [1.5, 3, 2]}, (2, 2, 2), 1, 1e-3),
        ({"voxel_size": 3}, (2, 1.5, 2.5), 1, 1e-3),
        ({"voxel_size": 2, "rotate": [0, 0, 10]}, (1, 1, 1), 1, 0.01),
        ({"voxel_size": 2, "rotate": [0, 0, 25], "center": [0.3, 0.2, -0.4]}, (1, 1, 1), 2, 0.01),
        ({"voxel_size": 1, "rotate": [10, 20, 30]}, (1, 1, 1), 2, 0.01),
        ({"voxel_size": 3, "rotate": [10, 20, 30]}, (2, 1.5, 2.5), 1, 0.01),
    ],
)
def test_region_of_a_label_image_on_any_grid(on_grid, part, choice, size, supersampling, tolerance):
    """The truth is the number of the image's voxels, times their volume."""
    labels = np.zeros((21, 23, 21))
    labels[PARTS[part]] = 1
    found, own = on_grid({"source": "iron", "chi": CHI}, part, choice, size, supersampling)
    assert own == pytest.approx(CHI * labels.sum() * np.prod(size), rel=1e-3)
    assert found == pytest.approx(own, rel=tolerance)


@pytest.mark.parametrize("part", ["tube", "sheet"])
@pytest.mark.parametrize("choice", [{"voxel_size": 1.5}, {"voxel_size": 2}, {"voxel_size": 2, "rotate": [10, 20, 30]}])
@pytest.mark.parametrize(
    "source",
    [
        {"source": "iron", "chi": CHI, "side": "left"},
        {"source": "iron", "chi": CHI, "gradient": [1, 0.5, 0]},
        {"source": "iron", "change": -0.5},
        {"source": "iron", "chi": -CHI},
        {"source": "myelin", "change": 0.5, "gradient": [1, 0, 0], "side": "right"},
        {"source": "fat", "fraction": 0.4},
        {"source": "haemorrhage", "stage": "acute", "amount": 0.3, "side": "left"},
        {"source": "calcification", "density": 100},
        {"source": "gadolinium", "concentration": 1},
    ],
)
def test_source_in_a_region_on_any_grid(on_grid, source, part, choice):
    """A source changes the tissue of its region, whatever else is in the voxel; on the image's own grid nothing is."""
    found, own = on_grid(source, part, choice, (1, 1, 1), 1)
    assert found == pytest.approx(own, rel=0.01)


@pytest.mark.parametrize("voxel_size", [0.8, 1.5, 2, 2.3])
@pytest.mark.parametrize("part", PARTS)
def test_stated_dose_of_a_region_on_any_grid(tmp_path, part, voxel_size):
    """The table of sources states the dose of a region even if it fills less than half of each voxel."""
    labels = np.full((21, 23, 21), 2, np.uint8)
    labels[PARTS[part]] = 1
    rows = ["0\toutside\tair", "1\tpart\tputamen", "2\twhite\twhite_matter"]
    phantom = labelmap(tmp_path, labels, rows, [{"source": "iron", "chi": CHI, "region": "part"}], (1, 1, 1))
    grid = scan_geometry(phantom.grid(), (1, 1, 1), GridChoice(voxel_size=voxel_size)).grid
    found = phantom.render(grid, 3.0).labels
    (place,) = places(phantom, View(grid, found, np.bincount(found.ravel(), minlength=256) * grid.voxel_volume), 3.0)
    assert place.chi_total == pytest.approx(CHI * (labels == 1).sum(), rel=1e-3)


def test_sources_in_one_region_on_any_grid(tmp_path):
    """Each changes what the one before has left of the tissue."""
    labels = np.full((14, 13, 12), 2, np.uint8)
    labels[4:10, 4:9, 5:6] = 1
    rows = ["0\toutside\tair", "1\tpart\tputamen", "2\twhite\twhite_matter"]
    own = [
        {"source": "iron", "change": 1, "region": "part", "side": "left"},
        {"source": "fat", "fraction": 0.5, "region": "part"},
        {"source": "iron", "change": -0.8, "region": "part", "gradient": [0, 1, 0]},
    ]
    phantom = labelmap(tmp_path, labels, rows, own, (1, 1, 1))
    grids = phantom.grid(), scan_geometry(phantom.grid(), (1, 1, 1), GridChoice(voxel_size=1.7)).grid
    labelmap(tmp_path, labels, rows, [], (1, 1, 1))
    plain = load(str(tmp_path / "own.yaml"))
    expected, found = (
        (phantom.render(g, 3.0).chi.astype(float) - plain.render(g, 3.0).chi).sum() * g.voxel_volume for g in grids
    )
    assert found == pytest.approx(expected, rel=0.01)


def test_side_of_an_oblique_image(tmp_path):
    """The plane between the sides cuts voxels at any angle; the truth is the sum over many points."""
    labels = np.ones((5, 4, 3), np.uint8)
    phantom, plain = (
        labelmap(tmp_path, labels, ["1\tpart\tputamen"], s, (2.0, 1.5, 2.5))
        for s in ([{"source": "iron", "chi": CHI, "region": "part", "side": "left"}], [])
    )
    own = phantom.grid()
    turned = scan_geometry(own, (1, 1, 1), GridChoice(rotate=(10, 20, 30), center=(0.4, 0, 0))).grid
    for p in (phantom, plain):
        p._image[1][:] = turned.affine
    fine = turned.refine((16, 16, 16))
    index = np.indices(fine.shape).reshape(3, -1)
    left = (fine.affine[0, :3] @ index + fine.affine[0, 3] < 0).reshape(5, 16, 4, 16, 3, 16).mean((1, 3, 5))
    change = phantom.render(turned, 3.0).chi - plain.render(turned, 3.0).chi
    np.testing.assert_allclose(change / CHI, left, atol=0.01)


def test_ct_of_calcified_neighbours(tmp_path):
    """Where two calcified regions share a voxel, each counts by its volume."""
    labels = np.ones((12, 12, 12), np.uint8)
    labels[5:] = 2
    own = [{"source": "calcification", "density": 100, "region": name} for name in ("a", "b")]
    phantom = labelmap(tmp_path, labels, ["1\ta\tputamen", "2\tb\tputamen"], own, (1, 1, 1))
    own_ct = phantom.ct(phantom.grid())
    coarse = scan_geometry(phantom.grid(), (1, 1, 1), GridChoice(voxel_size=2)).grid
    np.testing.assert_allclose(phantom.ct(coarse), own_ct[0, 0, 0], rtol=1e-5)


def test_region_source_stays_in_its_label(tmp_path):
    labels = region((8, 8, 2))
    rows = ["1\tpart\twhite_matter"]
    phantom, plain = (
        labelmap(tmp_path, labels, rows, s) for s in ([{"source": "iron", "chi": CHI, "region": "part"}], [])
    )
    grid = phantom.grid().refine((2, 2, 2))
    change = phantom.render(grid, 3.0).chi - plain.render(grid, 3.0).chi
    inside = labels.repeat(2, 0).repeat(2, 1).repeat(2, 2) == 1
    assert change[inside] == pytest.approx(CHI, rel=1e-4)
    assert not change[~inside].any()


SHAPES = {  # location, and volume in mm³
    "below a voxel": ({"at": [0.3, 0.2, 0.1], "radii": 0.4}, BALL * 0.4**3),
    "ball": ({"at": [0.3, 0.2, 0.1], "radii": 5}, BALL * 125),
    "flat": ({"at": [0.3, 0.2, 0.1], "radii": [6, 0.4, 6], "rotate": [10, 20, 30]}, BALL * 14.4),
    "needle": ({"at": [0.3, 0.2, 0.1], "radii": [8, 0.4, 0.4], "rotate": [10, 20, 30]}, BALL * 1.28),
    "rim": ({"at": [0.3, 0.2, 0.1], "radii": 5, "shell": 1.5}, BALL * (125 - 3.5**3)),
    "thin rim": ({"at": [0.3, 0.2, 0.1], "radii": 5, "shell": 0.2}, BALL * (125 - 4.8**3)),
    "sheet": ({"shape": {"shape": "box", "half": [4, 3, 0.15], "rotate": [10, 0, 20]}}, 14.4),
    "wire": (
        {"shape": {"shape": "cylinder", "radius": 0.2, "length": 10, "rotate": [10, 20, 0]}},
        np.pi * 0.4 + BALL * 0.008,
    ),
    "hollow": (
        {"shape": {"shape": "difference", "of": [{"shape": "box", "half": [4, 4, 4]},
                                                 {"shape": "ellipsoid", "radii": [3, 3, 3]}]}},
        512 - BALL * 27,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["shapes", "labelmap"])
@pytest.mark.parametrize(("voxel_size", "supersampling"), [(1, 1), (1, 2), (3, 1), ([1, 1, 3], 2)])
@pytest.mark.parametrize("name", SHAPES)
def test_shapes_in_any_phantom(tmp_path, name, voxel_size, supersampling, kind):
    place, volume = SHAPES[name]
    water = [layer({"shape": "box", "half": [15, 15, 15]}, chi=0)]

    def make(sources):
        if kind == "shapes":
            return write(tmp_path, water, voxel_size=voxel_size, sources=sources)
        size = np.broadcast_to(np.array(voxel_size, float), 3)
        image = np.ones(np.round(30 / size).astype(int), np.uint8)
        return labelmap(tmp_path, image, ["1\tall\tmuscle"], sources, tuple(size.tolist()))

    found = dose(make, [{"source": "iron", "chi": CHI, **place}], supersampling)
    assert found == pytest.approx(volume, rel=0.015)


@pytest.mark.parametrize(("voxel_size", "supersampling"), [(0.5, 2), (1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize(("name", "outer", "inner"), [("outer", 8, 7), ("sheet", 7, 6.6), ("core", 6.6, 0)])
def test_layers_that_are_thinner_than_a_voxel(tmp_path, name, outer, inner, voxel_size, supersampling):
    shells = [
        {"depth": 1, "tissue": "cortex", "region": "sheet"},
        {"depth": 1.4, "tissue": "putamen", "region": "core"},
    ]
    ball = {"shape": {"shape": "ellipsoid", "radii": [8, 8, 8]}, "tissue": "white_matter", "region": "outer"}

    def make(sources):
        return write(tmp_path, [{**ball, "shells": shells}], voxel_size=voxel_size, sources=sources)

    found = dose(make, [{"source": "iron", "chi": CHI, "region": name}], supersampling)
    assert found == pytest.approx(BALL * (outer**3 - inner**3), rel=0.015)


@pytest.mark.parametrize("kind", ["iron", "fat", "haemorrhage"])
def test_region_filled_with_anything(tmp_path, kind):
    labels = region((8, 8, 2))
    of = {"iron": {"chi": CHI}, "fat": {"fraction": 0.4}, "haemorrhage": {"stage": "acute", "amount": 0.3}}[kind]

    def made(supersampling):
        return dose(
            lambda s: labelmap(tmp_path, labels, ["1\tpart\twhite_matter"], s),
            [{"source": kind, "region": "part", **of}],
            supersampling,
        )

    assert made(2) == pytest.approx(made(1), rel=1e-5)
    assert made(1) > 0


def test_removing_more_iron_than_there_is_changes_chi_all_the_same(tmp_path):
    def make(sources):
        return write(tmp_path, [{"shape": {"shape": "ellipsoid", "radii": [8, 8, 8]}, "tissue": "white_matter"}],
                     sources=sources)  # fmt: skip

    own = {"source": "iron", "chi": -CHI, "in": "white_matter", "diameter": 6, "name": "plaque"}
    assert dose(make, [own], 1) == pytest.approx(-BALL * 27, rel=0.01)
    phantom = make([own])
    properties = phantom.render(phantom.grid(), 3.0)
    assert properties.chi_para.min() >= 0
    assert properties.chi_dia.max() > 0.05
    (row,) = (r for r in phantom.provenance(3.0) if r.name == "χ− in place of iron")
    para = next(float(r.value) for r in phantom.provenance(3.0) if r.name == "chi_para of white_matter")
    assert float(row.value) == pytest.approx(CHI - para, rel=1e-3)
    assert (row.region, row.assumed) == ("plaque", True)


def test_sources_at_one_place_remove_together(tmp_path):
    def notes(*sources):
        phantom = write(tmp_path, [{"shape": {"shape": "ellipsoid", "radii": [8, 8, 8]}, "tissue": "putamen"}],
                        sources=[{"source": "iron", "region": "putamen", **s} for s in sources])  # fmt: skip
        return [float(r.value) for r in phantom.provenance(3.0) if r.name.startswith("χ− in place")]

    plain = write(tmp_path, [{"shape": {"shape": "ellipsoid", "radii": [8, 8, 8]}, "tissue": "putamen"}])
    para = next(float(r.value) for r in plain.provenance(3.0) if r.name == "chi_para of putamen")
    assert notes({"chi": -0.6 * para}) == []
    assert notes({"chi": -0.6 * para}, {"chi": -0.6 * para}) == [pytest.approx(0.2 * para, rel=1e-3)]
    assert notes({"change": -1}, {"chi": -0.01}) == [pytest.approx(0.01)]
    assert notes({"chi": -0.6 * para}, {"chi": -0.6 * para, "side": "left"}) == []  # of a part: a place of its own


TWO = ["1\tputamen\tputamen", "2\twhite\twhite_matter", "5\tputamen\tputamen"]


@pytest.fixture
def two_sides() -> np.ndarray:
    """White matter with label 1 on the left and label 5 on the right, both putamen."""
    labels = np.full((20, 12, 12), 2, np.uint8)
    labels[3:7, 3:9, 3:9] = 1
    labels[13:17, 3:9, 3:9] = 5
    return labels


@pytest.mark.parametrize(
    ("place", "left", "right"),
    [
        ({"region": "putamen"}, 1, 1),
        ({"region": "putamen", "side": "left"}, 1, 0),
        ({"region": "putamen", "side": "right"}, 0, 1),
    ],
)
def test_two_labels_of_one_name(tmp_path, two_sides, place, left, right):
    sources = [{"source": "iron", "chi": CHI, **place}]
    phantom, plain = (labelmap(tmp_path, two_sides, TWO, s) for s in (sources, []))
    change = phantom.render(phantom.grid(), 3.0).chi - plain.render(plain.grid(), 3.0).chi
    assert change[two_sides == 1] == pytest.approx(CHI * left, abs=1e-5)
    assert change[two_sides == 5] == pytest.approx(CHI * right, abs=1e-5)
    assert not change[two_sides == 2].any()
    assert phantom.regions == [(1, "putamen", "dgm"), (2, "white", "wm")]
    assert set(np.unique(phantom.render(phantom.grid(), 3.0).labels)) == {1, 2}


@pytest.mark.parametrize(("side", "signs"), [(None, {-1, 1}), ("left", {-1}), ("right", {1})])
def test_scattering_in_two_labels_of_one_name(tmp_path, two_sides, side, signs):
    own = {"source": "iron", "chi": 1, "in": "putamen", "count": 6, "diameter": 3, "seed": 3, "name": "dot"}
    phantom = labelmap(tmp_path, two_sides, TWO, [{**own, **({"side": side} if side else {})}])
    properties = phantom.render(phantom.grid(), 3.0)
    dot = next(i for i, n, _ in phantom.regions if n == "dot")
    dots = np.argwhere(properties.labels == dot)[:, 0] - 9.5
    assert set(np.sign(dots)) == signs


def test_an_index_has_one_row(tmp_path):
    with pytest.raises(QsmbenchError, match=r"labels.tsv: index 1 has two rows, putamen and white"):
        labelmap(tmp_path, region((2, 2, 2)), ["1\tputamen\tputamen", "1\twhite\twhite_matter"], []).regions  # noqa: B018


@pytest.mark.parametrize("voxel_size", [1, 2, 3])
@pytest.mark.parametrize("first", [{"source": "myelin", "change": -0.5}, {"source": "haemorrhage", "stage": "acute"}])
def test_sources_at_one_place_make_one_region(tmp_path, first, voxel_size):
    """Two or three sources in a place label the same voxels as one."""
    ball = {"shape": {"shape": "box", "half": [15, 15, 15]}, "tissue": "white_matter"}
    place = {"in": "white_matter", "count": 5, "diameter": [3, 7], "seed": 2, "name": "plaque"}
    iron = {"source": "iron", "chi": 0.01, **place}

    def labelled(*sources):
        phantom = write(tmp_path, [ball], voxel_size=voxel_size, sources=list(sources))
        return phantom.render(phantom.grid(), 3.0).labels == 2

    one = labelled(iron)
    assert one.any()
    assert np.array_equal(labelled({**first, **place}, iron), one)
    assert np.array_equal(labelled({**first, **place}, iron, iron), one)


def test_balls_that_do_not_fit_are_refused(tmp_path):
    def make(diameter):
        thin = [{"shape": {"shape": "box", "half": [12, 12, 2]}, "tissue": "putamen"}]
        return write(tmp_path, thin, sources=[{"source": "iron", "chi": CHI, "in": "putamen", "diameter": diameter}])

    make(4).render(make(4).grid(), 3.0)
    with pytest.raises(QsmbenchError, match=r"diameter is 16 mm, but only \d\d % of such a ball lies in putamen"):
        make(16).render(make(16).grid(), 3.0)


def test_calcification_drawn_for_a_person_is_assumed():
    rows = load("head", {"age": 60}).provenance(3.0)
    own = [r for r in rows if r.region == "choroid_plexus_calcification" and r.name == "calcification hu"]
    assert own
    assert all(r.assumed and r.by == "population" and "population" in r.source for r in own)


@pytest.mark.parametrize("voxel_size", [0.75, 1.5, 3.0])
@pytest.mark.parametrize(
    ("name", "middle"), [("substantia_nigra", (0, -16, -12)), ("globus_pallidus_externus", (0, 2, 2))]
)
def test_region_of_the_head(name, middle, voxel_size):
    """A source in a nucleus has the dose that a nucleus of another tissue would have, on any grid."""
    bare = {"vessels": None, "texture": None}
    plain = load("head", bare)
    own = plain.tissues[name].at("chi_para", 3.0)
    source = load("head", {**bare, "sources": [{"source": "iron", "chi": CHI, "region": name}]})
    tissue = load("head", {**bare, f"tissues.{name}.chi_para": own + CHI})
    shape = (int(78 / voxel_size), int(54 / voxel_size), int(42 / voxel_size))
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = np.array(middle) - voxel_size * (np.array(shape) - 1) / 2
    grid = Grid.from_affine(shape, affine)
    before = plain.render(grid, 3.0).chi.astype(float)
    found, expected = ((p.render(grid, 3.0).chi - before).sum() for p in (source, tissue))
    assert found == pytest.approx(expected, rel=0.005)
