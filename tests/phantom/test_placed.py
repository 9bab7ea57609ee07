"""The table of sources, and the map of their indices, say what is in the truth."""

from __future__ import annotations

import numpy as np
import pytest
from objects import layer, write

from qsmbench.data.source_table import PlacedSource, read_sources, write_sources
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.placed import View, placed_sources

BALL = 4 / 3 * np.pi
BOX = {"shape": "box", "half": [15, 15, 15]}


def view(phantom, grid=None):
    """The labels of a phantom on a grid, by default its own."""
    grid = grid or phantom.grid()
    labels = phantom.render(grid, 3.0).labels
    return View(grid, labels, np.bincount(labels.ravel(), minlength=256) * grid.voxel_volume)


def placed(folder, sources, tissue="white_matter", **more):
    """The table and the map of a box with sources, and the phantom."""
    phantom = write(folder, [{"shape": BOX, "tissue": tissue}], sources=sources, **more)
    found = placed_sources(phantom, view(phantom), 3.0)
    assert found is not None
    return (*found, phantom)


@pytest.mark.parametrize("voxel_size", [1, 2])
@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ({"source": "iron", "chi": 0.1}, "iron"),
        ({"source": "calcification", "hu": 300}, "calcification"),
        ({"source": "myelin", "change": -0.6}, "myelin"),
        ({"source": "haemorrhage", "stage": "acute"}, "haemorrhage"),
        ({"source": "fat", "fraction": 0.5}, "fat"),
    ],
)
def test_total_chi_is_what_the_truth_differs_by(tmp_path, source, kind, voxel_size):
    (row,), indices, phantom = placed(
        tmp_path, [{**source, "at": [1.3, -2.1, 3], "radii": [3, 4, 5]}], voxel_size=voxel_size
    )
    plain = write(tmp_path, [{"shape": BOX, "tissue": "white_matter"}], voxel_size=voxel_size)
    grid = plain.grid()
    change = (phantom.render(grid, 3.0).chi.astype(float) - plain.render(grid, 3.0).chi).sum() * grid.voxel_volume
    assert (row.index, row.kind, row.part_of, row.shell) == (1, kind, 0, 0)
    assert row.chi_total == pytest.approx(change, rel=1e-3)
    assert row.sign == np.sign(change)
    assert row.volume == pytest.approx(BALL * 60, rel=0.01)
    assert (row.x, row.y, row.z) == pytest.approx((1.3, -2.1, 3), abs=0.05)
    assert (indices == 1).sum() * grid.voxel_volume == pytest.approx(row.volume, rel=0.1)
    centre = np.argwhere(indices == 1).mean(0) * grid.voxel_size + grid.affine[:3, 3]
    assert centre == pytest.approx((row.x, row.y, row.z), abs=0.3)


def test_a_source_below_the_voxel_has_a_voxel(tmp_path):
    (row,), indices, _ = placed(
        tmp_path, [{"source": "iron", "chi": 0.4, "at": [0.3, 0.2, 0.1], "radii": 0.4}], voxel_size=3
    )
    assert (indices == 1).sum() >= 1
    assert row.chi_total == pytest.approx(0.4 * BALL * 0.4**3, rel=0.01)
    assert row.diameter == pytest.approx(0.8, rel=0.01)


def test_sources_at_one_place_are_one_row(tmp_path):
    place = {"in": "white_matter", "count": 3, "diameter": [3, 6], "seed": 2, "name": "plaque"}
    rows, indices, _ = placed(
        tmp_path, [{"source": "myelin", "change": -0.5, **place}, {"source": "iron", "chi": 0.02, **place}]
    )
    assert [(r.index, r.kind, r.place, r.name, r.region, r.by) for r in rows] == [
        (i, "myelin+iron", "in", "plaque", "white_matter", "phantom") for i in (1, 2, 3)
    ]
    assert rows[0].dose == "myelin change -0.5; iron chi 0.02 ppm"
    assert set(np.unique(indices)) == {0, 1, 2, 3}
    alone, _, _ = placed(tmp_path, [{"source": "myelin", "change": -0.5, **place}])
    for row, single in zip(rows, alone, strict=True):
        assert row.chi_total - single.chi_total == pytest.approx(0.02 * row.volume, rel=0.01)
        assert row.inside > 0.9


def test_a_rim_is_part_of_its_lesion(tmp_path):
    place = {"in": "white_matter", "count": 2, "diameter": [8, 10], "seed": 2}
    rows, indices, _ = placed(
        tmp_path,
        [
            {"source": "myelin", "change": -0.5, **place, "name": "plaque"},
            {"source": "iron", "chi": 0.05, **place, "shell": 1.2, "name": "rim"},
        ],
    )
    assert [(r.name, r.shell, r.part_of) for r in rows] == [
        ("plaque", 0, 0), ("plaque", 0, 0), ("rim", 1.2, 1), ("rim", 1.2, 2),
    ]  # fmt: skip
    assert {1, 2, 3, 4} <= set(np.unique(indices))  # the core keeps the number of the plaque


def test_a_region_has_the_volume_of_the_region(tmp_path):
    ball = {"shape": {"shape": "ellipsoid", "radii": [9, 9, 9]}, "tissue": "putamen"}
    iron = {"source": "iron", "chi": 0.1, "region": "putamen"}
    phantom = write(tmp_path, [ball], sources=[iron, {**iron, "side": "left", "chi": 0.05}])
    grid = phantom.grid().refine((2, 2, 2))
    rows, indices = placed_sources(phantom, view(phantom, grid), 3.0)
    whole, half = rows
    assert whole.volume == pytest.approx(BALL * 729, rel=0.01)
    assert half.volume == pytest.approx(whole.volume / 2, rel=0.03)
    assert whole.chi == pytest.approx(0.1, rel=1e-3)
    assert half.chi == pytest.approx(0.05, rel=1e-3)
    assert half.x < -2
    x = np.argwhere(indices == 2)[:, 0] * 0.5 + grid.affine[0, 3]
    assert x.max() < 0


def test_a_gradient_counts_by_its_mean(tmp_path):
    ball = {"shape": {"shape": "ellipsoid", "radii": [9, 9, 9]}, "tissue": "putamen"}
    iron = {"source": "iron", "chi": 0.1, "region": "putamen", "gradient": [0, 1, 0]}
    phantom, plain = write(tmp_path, [ball], sources=[iron]), write(tmp_path, [ball])
    change = float((phantom.render(phantom.grid(), 3.0).chi - plain.render(plain.grid(), 3.0).chi).sum())
    phantom = write(tmp_path, [ball], sources=[iron])
    (row,), _ = placed_sources(phantom, view(phantom), 3.0)
    assert row.chi_total == pytest.approx(change, rel=0.02)


def test_part_of_the_object_in_view(tmp_path):
    """A grid that ends in a lesion, or does not reach it, does not change what the table says."""
    phantom = write(tmp_path, [{"shape": BOX, "tissue": "white_matter"}],
                    sources=[{"source": "iron", "chi": 0.1, "at": [0, 0, 0], "radii": 4}])  # fmt: skip
    affine = np.eye(4)
    affine[:3, 3] = 0, -8, -8
    half = Grid.from_affine((16, 16, 16), affine)
    far = Grid.from_affine((4, 4, 4), affine + np.array([[0, 0, 0, 9], [0] * 4, [0] * 4, [0] * 4]))
    for grid, there in ((half, True), (far, False)):
        (row,), indices = placed_sources(phantom, view(phantom, grid), 3.0)
        assert row.chi_total == pytest.approx(0.1 * BALL * 64, rel=0.01)
        assert indices.any() == there


def test_an_object_without_sources_has_none(tmp_path):
    phantom = write(tmp_path, [layer(BOX)])
    assert placed_sources(phantom, view(phantom), 3.0) is None


def test_what_is_written_is_read(tmp_path):
    rows = [
        PlacedSource(
            1, "iron", "region", "iron chi 0.1 ppm", "", "putamen", 1.0, 1.5, -2.25, 0.5, 12.5, 1.25, 0.0, 0, "scenario"
        ),
        PlacedSource(
            2, "fat", "at", "fat fraction 0.5", "fat", "", 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 1.5, 1, "population"
        ),
    ]
    write_sources(tmp_path / "sources.tsv", rows)
    assert read_sources(tmp_path / "sources.tsv") == rows
    assert [(r.sign, r.is_finding) for r in rows] == [(1, False), (0, True)]
    assert read_sources(tmp_path / "none.tsv") == []
    write_sources(tmp_path / "empty.tsv", [])
    assert read_sources(tmp_path / "empty.tsv") == []
    text = (tmp_path / "sources.tsv").read_text()
    (tmp_path / "sources.tsv").write_text(text.replace("12.5", "much"))
    with pytest.raises(QsmbenchError, match="volume is 'much'; it must be a number"):
        read_sources(tmp_path / "sources.tsv")
    (tmp_path / "sources.tsv").write_text("index\tkind\n1\tiron\n")
    with pytest.raises(QsmbenchError, match="has no column 'place'"):
        read_sources(tmp_path / "sources.tsv")
