"""What a user gets wrong is told in one line."""

from __future__ import annotations

import csv

import pytest
import yaml

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.phantom.description.tissues import read_tissues, table
from qsmbench.phantom.load import load
from qsmbench.phantom.species import CHANNELS
from qsmbench.typed_yaml import read_yaml
from qsmbench.units import blood_chi


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"voxel": 1}, "voxel is unknown"),
        ({"voxel_size": -1}, "voxel_size.0 is -1: .*greater than 0"),
        ({"voxel_size": "big"}, "voxel_size is 'big'"),
        ({"radius": "big"}, "radius is 'big'; it must be a number"),
        ({"radius": -3}, "radii.0 is -3"),
        ({"kind": "abdomen"}, "kind|abdomen"),
        ({"tissues.caudate.colour": 1}, "tissues.caudate.colour is unknown"),
        ({"supersampling": 0}, "supersampling.0 is 0"),
    ],
)
def test_illegal_overrides(overrides, message):
    with pytest.raises(QsmbenchError, match=f"sphere.yaml: .*{message}") as caught:
        load("sphere", overrides)
    assert "\n" not in str(caught.value)


def test_unknown_phantom():
    with pytest.raises(QsmbenchError, match=r"'heart' is unknown; choose from .*head.*sphere"):
        load("heart")
    with pytest.raises(QsmbenchError, match=r"nowhere.yaml: no such file"):
        load("nowhere.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": {"shape": "cone"}, "tissue": "fat"}, "cone"),
        ({"shape": {"shape": "ref", "name": "knee"}, "tissue": "fat"}, "'knee' is unknown"),
        ({"shape": {"shape": "map", "map": "knee"}, "tissue": "fat"}, "'knee' is unknown"),
        ({"shape": {"shape": "ellipsoid", "radii": [1, 1, 1]}, "tissue": "knee"}, "tissue 'knee' is unknown"),
        ({"shape": {"shape": "ellipsoid", "radii": [1, 1, 1]}}, "give either tissue or material"),
    ],
)
def test_illegal_layers(tmp_path, change, message):
    content = yaml.safe_load((data_dir() / "phantoms" / "sphere.yaml").read_text())
    content["layers"].append(change)
    path = tmp_path / "wrong.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(QsmbenchError, match=f"wrong.yaml: .*{message}") as caught:
        phantom = load(str(path), {"voxel_size": 8})
        phantom.render(phantom.grid(), 3.0)
    assert "\n" not in str(caught.value)


def test_broken_yaml(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text("kind: [")
    with pytest.raises(QsmbenchError, match=r"broken.yaml: is not YAML"):
        load(str(path))


def test_grid_of_the_head_is_in_mni_space():
    grid = load("head", {"voxel_size": 3}).grid()
    assert grid.shape == (64, 80, 85)
    lower = grid.affine @ [-0.5, -0.5, -0.5, 1]
    assert lower[:3] == pytest.approx([-96, -132, -150])
    assert grid.b0_dir == (0, 0, 1)


def test_b0_dir_can_be_given():
    assert load("sphere", {"b0_dir": [1, 0, 0]}).grid().b0_dir == (1, 0, 0)
    assert load("sphere").supersampling == (2, 2, 2)


def test_every_value_of_the_table_has_a_source():
    with (data_dir() / "phantoms" / "tissues.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(row["source"] and row["assumed"] in ("yes", "no") for row in rows)
    memory = [r for r in rows if "assumption" in r["source"] or "memory" in r["source"]]
    assert all(row["assumed"] == "yes" for row in memory if "blood" not in row["tissue"])


def test_every_tissue_is_complete_and_positive():
    for tissue in table().values():
        for b0 in (1.5, 3.0, 7.0):
            para, dia, *protons = tissue.values(b0)
            water, fat = protons[:4], protons[4:]
            assert para >= 0 and dia >= 0 and 0 <= water[0] + fat[0] <= 1
            for pd, t1, r2, r2star in (water, fat):
                assert pd >= 0 and t1 > 0 and 0 <= r2 <= r2star


def test_relaxation_between_fields_is_interpolated():
    tissue = table()["white_matter"]
    low, middle, high = (tissue.values(b0)[CHANNELS.index("t1")] for b0 in (3.0, 5.0, 7.0))
    assert middle == pytest.approx((low + high) / 2)


def test_blood():
    assert blood_chi(0.42, 0.70) == pytest.approx(0.390, abs=0.001)
    assert blood_chi(0.42, 0.98) == pytest.approx(-0.013, abs=0.001)


def test_wrong_number_in_a_table(tmp_path):
    path = tmp_path / "tissues.csv"
    path.write_text("tissue,group,property,b0,value,unit,source,assumed\nfat,,chi,,much,ppm,nobody,yes\n")
    with pytest.raises(QsmbenchError, match="fat: chi: value 'much' is not a number"):
        read_tissues(path)


MEASURED_R2STAR = {  # 1/T2* [1/s] of physics.md A1, at 3 T unless stated: Peters 2007, Biondetti's tables
    ("white_matter", 3.0): 18.9,
    ("white_matter", 1.5): 15.2,
    ("white_matter", 7.0): 37.0,
    ("cortex", 3.0): 15.2,
    ("cortex", 1.5): 11.9,
    ("cortex", 7.0): 30.3,
    ("caudate", 3.0): 18.2,
    ("putamen", 3.0): 18.5,
    ("globus_pallidus_externus", 3.0): 34.5,
    ("csf", 3.0): 5.0,
}


@pytest.mark.parametrize(("tissue", "b0"), MEASURED_R2STAR)
def test_r2star_from_chi_and_r2_is_what_is_measured(tissue, b0):
    assert table()[tissue].values(b0)[CHANNELS.index("r2star")] == pytest.approx(MEASURED_R2STAR[tissue, b0], rel=0.21)


def test_dr_is_a_setting(head):
    plain, none = (load("head", {"dr": dr}).tissues["putamen"].values(3.0, dr) for dr in (137.0, 0.0))
    r2, r2star, para, dia = (CHANNELS.index(c) for c in ("r2", "r2star", "chi_para", "chi_dia"))
    assert none[r2star] == none[r2]
    assert plain[r2star] - plain[r2] == pytest.approx(137 * (plain[para] + plain[dia]))


def test_a_new_chi_keeps_the_diamagnetic_part_if_it_can():
    tissues = load("head", {"tissues.caudate.chi": 0.1, "tissues.putamen.chi": -0.2}).tissues
    assert tissues["caudate"].values(3.0)[:2] == pytest.approx((0.109, 0.009))
    assert tissues["putamen"].values(3.0)[:2] == pytest.approx((0, 0.2))


def test_a_file_is_read_anew_once_it_has_changed_and_its_content_is_the_reader_s_own(tmp_path):
    """The content is kept by the text: a reader may change its copy, and a changed file is another text."""
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: [1, 2]}\nnothing:\n")
    first = read_yaml(path)
    first["a"]["b"].append(3)
    assert read_yaml(path) == {"a": {"b": [1, 2]}, "nothing": None}
    path.write_text("a: {b: [4]}\n")
    assert read_yaml(path) == {"a": {"b": [4]}}
