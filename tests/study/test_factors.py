"""Crossed keys of datasets and crossed chains: their scans, names and columns."""

import pytest
import yaml

from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.study import config
from qsmbench.study.datasets import Simulated
from qsmbench.study.factors import factors
from qsmbench.study.plan import Plan

ENTRY = {"phantom": "parkinson", "protocol": "brain-3t", "seeds": [0, 1], "set": {"voxel_size": 3}}


def plan(*datasets, chains=("truth",)):
    return Plan(config.parse({"study": "s", "datasets": list(datasets), "chains": chains}, "x.yaml"))


def test_all_combinations_are_scans_with_their_factors_as_columns():
    over = {"subject": [1, 2], "case": ["control", "patient"], "snr": [30, 100]}
    found = plan({**ENTRY, "over": over})
    rows = [found._row_of(d) for d in found.datasets.values()]
    assert len(rows) == 2 * 2 * 2 * 2 and len(found.groups) == 8
    assert rows[0] == {
        "dataset": "parkinson-control-subject-1_brain-3t_snr-30_seed-0",
        "group": "parkinson-control-subject-1_brain-3t_snr-30",
        **{"phantom": "head", "scenario": "parkinson", "case": "control", "subject": "1", "protocol": "brain-3t"},
        **{"seed": 0, "orientation": "0", "voxel_size": 3, "snr": 30},
    }
    assert {(r["subject"], r["case"], r["snr"]) for r in rows} == {
        (s, c, n) for s in "12" for c in ("control", "patient") for n in (30, 100)
    }


def test_too_many_combinations_are_refused_before_they_are_made():
    """Three million scans, or 10¹² chains, would take more time and memory than there is."""
    radii, chi = [1 + i / 100 for i in range(3000)], [i / 100 for i in range(1, 1001)]
    sphere = {"phantom": "sphere", "protocol": "brain-3t", "over": {"radius": radii, "delta_chi": chi}}
    with pytest.raises(QsmbenchError, match=r"over: stands for 3000000 scans; a dataset may have 100000"):
        plan(sphere)
    steps = {f"step {i}": [f"m{j}" for j in range(10)] for i in range(12)}
    with pytest.raises(QsmbenchError, match=r"stands for 1000000000000 chains; a mapping may stand for 100000"):
        plan(ENTRY, chains=steps)


def test_the_scan_is_that_of_the_same_keys_written_out():
    crossed = plan({**ENTRY, "over": {"subject": [2], "snr": [30]}})
    plain = plan({**ENTRY, "set": {"voxel_size": 3, "subject": 2}, "set_protocol": {"snr": 30}})
    specs = [[j.settings for j in p.jobs() if j.name.startswith(("simulate", "noise"))] for p in (crossed, plain)]
    assert specs[0] == specs[1]


def test_protocols_phantoms_and_orientations_are_crossed_too():
    groups = plan({"over": {"phantom": ["head", "parkinson"], "protocol": ["brain-3t", "brain-7t"]}}).groups
    assert list(groups) == ["head_brain-3t", "head_brain-7t", "parkinson_brain-3t", "parkinson_brain-7t"]
    turned = plan({"phantom": "head", "protocol": "cosmos-3t", "over": {"orientation": "all"}})
    assert [r["orientation"] for r in map(turned._row_of, turned.datasets.values())][:3] == ["0", "1", "2"]


def test_all_cases_of_a_scenario():
    from qsmbench.phantom.load import cases

    rows = [plan({**ENTRY, "over": {"case": "all"}})._factors]
    assert [f["case"] for f in rows[0].values()] == cases("parkinson")


def test_names_of_named_datasets_and_of_values_that_are_no_words():
    over = {"voxel_size": [[1, 1, 2], 2.5], "subject": [3]}
    assert list(plan({"phantom": "head", "protocol": "brain-3t", "name": "mine", "over": over}).groups) == [
        "mine_voxel_size-1x1x2_subject-3",
        "mine_voxel_size-2.5_subject-3",
    ]
    noise = {"texture.groups": [{"wm": {"iron": 0.1}}, {"wm": {"iron": 0.2}}]}
    names = list(plan({"phantom": "head", "protocol": "brain-3t", "over": noise}).groups)
    assert names == ["head_brain-3t_texture.groups-1", "head_brain-3t_texture.groups-2"]


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"nonsense": [1]}, "over.nonsense: neither parkinson nor brain-3t has this key"),
        ({"seed": [1]}, "over.seed: the seeds of the noise are the key seeds"),
        ({"subject": []}, r"over.subject is \[\]; list its values"),
        ({"subject": [1, 1]}, "over.subject: 1 is listed twice"),
        ({"subject": "all"}, "over.subject is all; choose from case, orientation"),
        ({"voxel_size": [1]}, "over.voxel_size: set has this key as well"),
        ({"mask": [1]}, r"both the phantom and the protocol have this key; choose from set.mask, set_protocol.mask"),
        ({"case": ["nosuch"]}, "case 'nosuch' is unknown; choose from control"),
        ({"snr": ["x"]}, "snr"),
    ],
)
def test_what_cannot_be_crossed(over, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        plan({**ENTRY, "over": over})
    assert "\n" not in str(caught.value)


def test_keys_of_one_name_do_not_share_a_column(tmp_path):
    named = {"snr": 30, "value": 1, "region": 2}
    body = yaml.safe_load((data_dir() / "phantoms" / "sphere.yaml").read_text())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({**body, "parameters": body["parameters"] | named}))
    mine = {"phantom": str(tmp_path / "mine.yaml"), "protocol": "brain-3t"}
    sources = {
        "a": Simulated(**mine, set={"snr": 9}),
        "b": Simulated(**mine, set={"snr": 8}, set_protocol={"snr": 7, "tr": 0.05}),
    }
    found = factors(sources)
    assert found["a"]["set.snr"] == 9 and found["b"]["set.snr"] == 8 and found["b"]["set_protocol.snr"] == 7
    assert found["b"]["tr"] == 0.05 and not any("snr" in f for f in found.values())
    taken = factors({"a": Simulated(**mine, set={"value": 3, "region": 4})})
    assert taken["a"]["set.value"] == 3 and taken["a"]["set.region"] == 4
    assert "value" not in taken["a"] and "region" not in taken["a"]


def test_combinations_of_methods_are_chains():
    steps = {"unwrap": "romeo", "fit": ["fit"], "background": ["vsharp", "pdf"], "inversion": ["tv", "tkd"]}
    found = plan(ENTRY, chains=steps).study.chains
    assert found == [f"romeo.fit.{b}.{i}" for b in ("vsharp", "pdf") for i in ("tv", "tkd")]
    mixed = plan(ENTRY, chains=["truth", {"a": ["truth"], "b": [None, "noisy"], "c": ["tkd"]}]).study.chains
    assert mixed == ["truth", "truth.tkd", "truth.noisy.tkd"]


@pytest.mark.parametrize(
    ("chains", "message"),
    [
        ({"a": []}, r"a is \[\]; it must be a method or a list of methods"),
        ({"a": [3]}, "a is 3; it must be a method"),
        ({"a": [None]}, "a combination has no step"),
        ({"unwrap": "romeo", "inversion": ["tkd"]}, "tkd needs local_field"),
        (["truth", {"a": ["truth"]}], "'truth' is listed twice"),
        ({}, "a combination has no step"),
    ],
)
def test_what_is_no_combination(chains, message):
    with pytest.raises(QsmbenchError, match=message):
        plan(ENTRY, chains=chains)


def test_the_written_configuration_is_the_same_study():
    first = plan({**ENTRY, "over": {"subject": [1, 2]}}, chains={"a": ["truth"], "b": ["tkd", "tv"]})
    again = Plan(config.parse(yaml.safe_load(first.config_text()), "again"))
    assert list(again.datasets) == list(first.datasets) and again.study.chains == first.study.chains
