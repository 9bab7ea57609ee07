"""Sources do what their dose says, where they are put, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from objects import box, layer, moment, write
from scipy import constants as c
from scipy.spatial.distance import pdist

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.phantom.description.sources import Oxygenation, constants
from qsmbench.phantom.description.tissues import table
from qsmbench.phantom.load import load
from qsmbench.phantom.painting.placing import source_shapes

BALL = {"shape": "ellipsoid", "radii": [8, 8, 8]}
TISSUE = {"shape": BALL, "tissue": "putamen"}


def at(phantom, point, b0=3.0):
    """The properties in a tiny voxel at `point` [mm]."""
    affine = np.diag([0.1, 0.1, 0.1, 1.0])
    affine[:3, 3] = point
    found = phantom.render(Grid.from_affine((1, 1, 1), affine), b0)
    names = ("chi", "chi_para", "chi_dia", "pd", "t1", "r2", "r2star", "fat_fraction")
    return {name: float(getattr(found, name)[0, 0, 0]) for name in names}


def with_source(folder, **source):
    return write(folder, [TISSUE], sources=[source])


def test_iron_in_a_region(tmp_path):
    before = at(write(tmp_path, [TISSUE]), (0, 0, 0))
    after = at(with_source(tmp_path, source="iron", dose=100, region="putamen"), (0, 0, 0))
    assert after["chi_para"] - before["chi_para"] == pytest.approx(0.110, rel=1e-4)
    assert after["chi_dia"] == pytest.approx(before["chi_dia"])
    assert after["r2star"] - before["r2star"] == pytest.approx(137 * 0.110, rel=1e-4)
    assert after["r2"] == pytest.approx(before["r2"])
    assert after["t1"] < before["t1"]


def test_less_iron_never_makes_negative_parts(tmp_path):
    after = at(with_source(tmp_path, source="iron", dose=-500, region="putamen"), (0, 0, 0))
    assert after["chi_para"] == 0
    assert after["r2star"] >= after["r2"]


def test_whole_region_has_the_moment_of_its_volume(tmp_path):
    plain, iron = write(tmp_path, [TISSUE]), None
    before = moment(plain)
    iron = with_source(tmp_path, source="iron", chi=0.05, region="putamen")
    assert moment(iron) - before == pytest.approx(0.05 * 4 / 3 * np.pi * 8**3, rel=0.01)


def test_gadolinium_follows_the_law_of_curie(tmp_path):
    """χ = μ0·N·(gμB)²·S(S+1)/(3kT), S = 7/2, g = 2, at body temperature; 1 mmol/l is 1 mol/m³."""
    magneton = c.physical_constants["Bohr magneton"][0]
    curie = c.mu_0 * c.N_A * (2 * magneton) ** 2 * 3.5 * 4.5 / (3 * c.k * 310.15) * 1e6
    assert constants()["gadolinium.chi"] == pytest.approx(curie, rel=0.01)
    before = at(write(tmp_path, [TISSUE]), (0, 0, 0))
    after = at(with_source(tmp_path, source="gadolinium", concentration=0.5, at=[0, 0, 0], radii=4), (0, 0, 0))
    assert after["chi"] - before["chi"] == pytest.approx(curie / 2, rel=0.01)
    assert 1 / after["t1"] - 1 / before["t1"] == pytest.approx(0.5 * constants()["gadolinium.r1"], rel=1e-3)


def test_calcium_of_bone_is_as_diamagnetic_as_bone(tmp_path):
    after = at(with_source(tmp_path, source="calcification", density=1200, at=[0, 0, 0], radii=4), (0, 0, 0))
    before = at(write(tmp_path, [TISSUE]), (0, 0, 0))
    assert after["chi"] - before["chi"] == pytest.approx(-2.1, rel=0.01)
    assert after["pd"] == 0


def test_calcium_by_ct(tmp_path):
    """A choroid plexus of 100 HU has −0.15 ppm (Hett 2026)."""
    after = at(with_source(tmp_path, source="calcification", hu=100, at=[0, 0, 0], radii=4), (0, 0, 0))
    before = at(write(tmp_path, [TISSUE]), (0, 0, 0))
    assert after["chi"] - before["chi"] == pytest.approx(-0.15, rel=0.05)


@pytest.mark.parametrize(
    ("stage", "chi"),
    [("hyperacute", 0.57), ("acute", 1.3), ("early_subacute", 1.14), ("late_subacute", 0.4), ("chronic", 0.71)],
)
def test_haemorrhage_takes_the_place_of_tissue(tmp_path, stage, chi):
    phantom = with_source(tmp_path, source="haemorrhage", stage=stage, at=[1, 0, 0], radii=[4, 5, 6], name="clot")
    assert at(phantom, (1, 0, 0))["chi"] == pytest.approx(chi)
    index = next(i for i, name, group in phantom.regions if (name, group) == ("clot", "lesion"))
    labels = phantom.render(phantom.grid(), 3.0).labels
    assert (labels == index).sum() == pytest.approx(4 / 3 * np.pi * 120, rel=0.1)


def test_fat_in_tissue(tmp_path):
    before = at(write(tmp_path, [TISSUE]), (0, 0, 0))
    after = at(with_source(tmp_path, source="fat", fraction=0.3, at=[0, 0, 0], radii=4), (0, 0, 0))
    assert after["chi"] == pytest.approx(0.7 * before["chi"] + 0.3 * 0.6, rel=1e-3)
    fat, water = 0.3 * 1 * 0.99, 0.7 * before["pd"] + 0.3 * 0.01
    assert after["fat_fraction"] == pytest.approx(fat / (fat + water), rel=1e-3)


def test_fat_leaves_the_relaxation_of_water_alone(tmp_path):
    fat = {"source": "fat", "fraction": 0.3, "region": "tissue"}
    iron = {"source": "iron", "dose": 300, "region": "tissue"}
    gadolinium = {"source": "gadolinium", "concentration": 0.5, "region": "tissue"}
    layers = [{"shape": BALL, "region": "tissue", "material": {"chi": 0, "pd": 0.9, "t1": 0.8, "r2": 20, "r2star": 30}}]
    plain, mixed, iron_in_it, gd = (
        write(tmp_path, layers, sources=s).render(box((0, 0, 0), 1, 1), 3.0)
        for s in ([], [fat], [fat, iron], [fat, gadolinium])
    )
    own = table()["fat"]
    pure = 1 - own.at("fat_fraction", 3.0)  # a little water comes with the fat
    water = 0.7 * 0.9 / (0.7 * 0.9 + 0.3 * pure)
    for name in ("t1", "r2", "r2star"):
        expected = water * getattr(plain, name).item() + (1 - water) * own.at(name, 3.0)
        assert getattr(mixed, name).item() == pytest.approx(expected, rel=1e-4)
        assert getattr(mixed, f"fat_{name}").item() == pytest.approx(own.at(f"fat_{name}", 3.0), rel=1e-5)
    more = iron_in_it.r2star.item() - mixed.r2star.item()
    assert more > 30
    assert iron_in_it.fat_r2star.item() - mixed.fat_r2star.item() == pytest.approx(more, rel=1e-4)
    assert iron_in_it.t1.item() < mixed.t1.item() and iron_in_it.fat_t1.item() == mixed.fat_t1.item()
    assert gd.t1.item() < 0.5 * mixed.t1.item() and gd.fat_t1.item() == pytest.approx(mixed.fat_t1.item())


def test_oxygen_extraction_of_people():
    """OEF = 1 − Y/0.98, with the mean and the standard deviation that are stated; the template has the mean."""
    source = Oxygenation(source="oxygenation", oef=0.4, scatter=0.05)
    people = 1 - np.array([source.of(n) for n in range(1, 801)]) / 0.98
    assert source.of(0) == pytest.approx(0.98 * 0.6)
    assert people.mean() == pytest.approx(0.4, abs=4 * 0.05 / np.sqrt(800))
    assert people.std() == pytest.approx(0.05, rel=0.1)
    assert source.of(7) == Oxygenation(source="oxygenation", oef=0.4, scatter=0.05).of(7)
    plain = Oxygenation(source="oxygenation", saturation=0.6)
    assert {plain.of(n) for n in range(4)} == {0.6}


def test_lost_myelin(tmp_path):
    before = at(write(tmp_path, [{"shape": BALL, "tissue": "white_matter"}]), (0, 0, 0))
    phantom = write(
        tmp_path,
        [{"shape": BALL, "tissue": "white_matter"}],
        sources=[{"source": "myelin", "change": -0.5, "region": "white_matter"}],
    )
    after = at(phantom, (0, 0, 0))
    lost = 0.5 * constants()["myelin.chi"] * before["chi_dia"]
    assert after["chi"] - before["chi"] == pytest.approx(lost, rel=1e-3)
    assert after["r2star"] - after["r2"] == pytest.approx(before["r2star"] - before["r2"] - 137 * lost, rel=1e-3)
    assert after["t1"] > before["t1"]
    assert after["pd"] > before["pd"]


@pytest.mark.parametrize("voxel_size", [1, 1.5, [1, 1, 3]])
@pytest.mark.parametrize("radius", [0.25, 0.5, 1])
def test_lesions_below_the_voxel_keep_their_moment(tmp_path, radius, voxel_size):
    background = [layer({"shape": "box", "half": [16, 16, 16]}, chi=0)]
    lesion = {"source": "iron", "chi": 0.4, "at": [0.3, -1.2, 2.1], "radii": radius}
    phantom = write(tmp_path, background, sources=[lesion], voxel_size=voxel_size)
    assert moment(phantom) == pytest.approx(0.4 * 4 / 3 * np.pi * radius**3, rel=0.01)


def test_rim_holds_what_its_thickness_says(tmp_path):
    background = [layer({"shape": "box", "half": [16, 16, 16]}, chi=0)]
    rim = {"source": "iron", "chi": 0.1, "at": [0, 0, 0], "radii": 5, "shell": 1.5}
    phantom = write(tmp_path, background, sources=[rim])
    assert moment(phantom) == pytest.approx(0.1 * 4 / 3 * np.pi * (5**3 - 3.5**3), rel=0.01)
    assert at(phantom, (0, 0, 0))["chi"] == 0


def test_irregular_lesion_is_the_same_on_any_grid(tmp_path):
    background = [layer({"shape": "box", "half": [16, 16, 16]}, chi=0)]
    blob = {"source": "iron", "chi": 1, "at": [0, 0, 0], "radii": [5, 4, 6], "irregular": 0.2, "seed": 3}
    coarse, fine = (write(tmp_path, background, sources=[blob], voxel_size=v) for v in (1.6, 0.5))
    assert moment(coarse) == pytest.approx(moment(fine), rel=0.01)
    other = write(tmp_path, background, sources=[{**blob, "seed": 4}], voxel_size=1.6)
    assert not np.array_equal(other.render(other.grid(), 3.0).chi, coarse.render(coarse.grid(), 3.0).chi)
    assert moment(other) == pytest.approx(4 / 3 * np.pi * 120, rel=0.35)


def test_gradient_grows_across_the_region(tmp_path):
    phantom = with_source(tmp_path, source="iron", chi=0.2, region="putamen", gradient=[0, 1, 0])
    plain = at(write(tmp_path, [TISSUE]), (0, 0, 0))["chi"]
    rise = [at(phantom, (0, y, 0))["chi"] - plain for y in (-7, 0, 7)]
    assert rise[1] == pytest.approx(0.1, abs=0.01)
    assert rise[0] + rise[2] == pytest.approx(0.2, abs=0.01)
    assert rise[2] > 0.17


def test_one_side_only(tmp_path):
    """World axes are RAS: the patient's left is where x is negative."""
    plain = at(write(tmp_path, [TISSUE]), (0, 0, 0))["chi"]
    phantom = with_source(tmp_path, source="iron", chi=0.2, region="putamen", side="left")
    assert at(phantom, (-4, 0, 0))["chi"] == pytest.approx(plain + 0.2, rel=1e-3)
    assert at(phantom, (4, 0, 0))["chi"] == pytest.approx(plain, rel=1e-3)


def test_scattered_lesions_lie_in_their_region(tmp_path):
    bleeds = {"source": "haemorrhage", "stage": "chronic", "in": "putamen", "count": 9, "diameter": [1, 3], "seed": 1}
    phantom = with_source(tmp_path, **bleeds)
    grid = phantom.grid().refine((2, 2, 2))
    labels = phantom.render(grid, 3.0).labels
    again = phantom.render(grid, 3.0).labels
    found = np.argwhere(labels == 2) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    assert np.array_equal(labels, again)
    assert np.linalg.norm(found, axis=1).max() < 8.5
    volume = sum(np.pi / 6 * d**3 for d in np.geomspace(1, 3, 9))
    assert len(found) * grid.voxel_volume == pytest.approx(volume, rel=0.1)


def test_fewer_lesions_where_there_is_no_space_for_all(tmp_path):
    """As many as fit, apart from each other; the first is where it would be alone."""
    many = {"source": "iron", "dose": 5, "in": "putamen", "count": 50, "diameter": 5, "seed": 1}
    phantom = with_source(tmp_path, **many, fewer=True)
    (source,) = phantom.description.sources
    centres = np.array([body.center for body, _ in source_shapes(source, phantom.atlas)])
    assert 1 < len(centres) < 50
    assert pdist(centres).min() > 5 - 2  # the atlas has voxels of 2 mm
    (one,) = with_source(tmp_path, **{**many, "count": 1}).description.sources
    ((first, _),) = source_shapes(one, phantom.atlas)
    assert first.center == tuple(centres[0])


def test_sources_in_an_image_of_labels(tmp_path):
    import nibabel as nib

    labels = np.zeros((12, 12, 12), np.uint8)
    labels[2:10, 2:10, 2:10] = 1
    affine = np.diag([2.0, 2, 2, 1])
    affine[:3, 3] = -11
    nib.save(nib.Nifti1Image(labels, affine), tmp_path / "labels.nii.gz")
    (tmp_path / "labels.tsv").write_text("index\tname\ttissue\n1\tliver\tmuscle\n")
    (tmp_path / "own.yaml").write_text(
        "kind: labelmap\nimage: labels.nii.gz\ntable: labels.tsv\nsources:\n"
        "  - {source: iron, chi: 0.3, region: liver, side: left}\n"
        "  - {source: haemorrhage, stage: acute, at: [4, 0, 0], radii: 2}\n"
    )
    phantom = load(str(tmp_path / "own.yaml"))
    assert at(phantom, (-4, 0, 0))["chi"] == pytest.approx(0.3, rel=1e-3)
    assert at(phantom, (4, 0, 0))["chi"] == pytest.approx(1.3, rel=1e-3)
    assert at(phantom, (4, 6, 0))["chi"] == pytest.approx(0, abs=1e-3)
    assert phantom.regions[-1] == (2, "haemorrhage", "lesion")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"source": "iron", "dose": 9000, "region": "putamen"}, "9000 µg Fe/g is out of range"),
        ({"source": "iron", "region": "putamen"}, "give one of dose"),
        ({"source": "iron", "dose": 5}, "give one of region, at, in, shape"),
        ({"source": "iron", "dose": 5, "at": [0, 0, 0]}, "at and radii must be given together"),
        ({"source": "iron", "dose": 5, "region": "liver"}, "region 'liver' is unknown; choose from putamen"),
        ({"source": "calcification", "density": 5000, "region": "putamen"}, "denser than hydroxyapatite"),
        ({"source": "gadolinium", "concentration": 900, "region": "putamen"}, "more than the undiluted agent"),
        ({"source": "fat", "fraction": 1.4, "region": "putamen"}, "fraction"),
        ({"source": "haemorrhage", "stage": "old", "at": [0, 0, 0], "radii": 3}, "stage"),
        ({"source": "rust", "region": "putamen"}, "iron"),
        ({"source": "iron", "dose": 5, "at": [40, 0, 0], "radii": 3}, "40, 0, 0 mm is outside the object"),
        ({"source": "iron", "dose": 5, "in": "putamen", "count": 50, "diameter": 9}, "not enough space for 50 balls"),
    ],
)
def test_impossible_requests(tmp_path, source, message):
    with pytest.raises(QsmbenchError, match=message):
        phantom = with_source(tmp_path, **source)
        phantom.render(phantom.grid(), 3.0)
