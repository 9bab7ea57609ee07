"""The list of claims: that it is complete, and names only what exists."""

import pytest

from qsmbench import metrics
from qsmbench.errors import QsmbenchError
from qsmbench.phantom import load as phantoms
from qsmbench.phantom.load import load
from qsmbench.review.claims import Claim, load_claims
from qsmbench.review.studies import study_of
from qsmbench.run import registry
from qsmbench.run.chains import Use, steps
from qsmbench.scan.protocol import load_protocol

REVIEW = load_claims()
MEASURES = {
    "group_mean",
    "group_sd",
    "mean_oef",
    "lesion_contrast",
    "lesion_detected",
    "apparent_volume",
    "total_chi",
    "mean",
    "sd",
    "far_off",
    "probe",
}
RUNNABLE = [c for c in REVIEW.claims if c.experiment]


def test_every_number_is_there_once_and_most_can_be_run():
    assert [c.number for c in REVIEW.claims] == list(range(1, 55))
    assert len(RUNNABLE) >= 40


@pytest.mark.parametrize("claim", RUNNABLE, ids=lambda c: c.id)
def test_metrics_and_chains_exist(claim):
    known = MEASURES | set(metrics.names())
    own = REVIEW.experiments[claim.experiment].methods

    def use(name):
        variant = own.get(name, {})
        return Use(variant.get("use", name), variant.get("set", {}))

    for pick in claim.picks():
        assert pick.metric in known
        steps(pick.chain or claim.chains[0], use, describe=registry.describe)
    for chain in claim.chains:
        steps(chain, use, describe=registry.describe)


def test_the_quantities_of_the_tables_exist():
    known = MEASURES | set(metrics.names())
    for table in REVIEW.tables:
        for row in table.quantities:
            own = REVIEW.experiments[row.experiment].methods
            for _, _, of, over in table.picks(row):
                assert {p.metric for p in (of, over) if p} <= known
                last = of.chain.rpartition(".")[2]
                assert of.artifact in registry.find(own.get(last, {}).get("use", last)).produces


@pytest.mark.parametrize("name", REVIEW.experiments)
def test_an_experiment_is_used_and_its_arms_exist(name):
    experiment = REVIEW.experiments[name]
    assert REVIEW.chains(name)
    for arm in experiment.arms.values():
        protocol = load_protocol(arm.protocol or experiment.protocol, {**experiment.set_protocol, **arm.set_protocol})
        assert arm.orientation is None or arm.orientation < len(protocol.orientations)
        if arm.case is not None:
            assert arm.case in phantoms.cases(arm.phantom or experiment.phantom)


LESIONS = {"calcification", "bleed", "microbleed", "haematoma", "plaque", "subcortical_calcification"}
SIDES = {"left", "right"}


@pytest.mark.parametrize("claim", RUNNABLE, ids=lambda c: c.id)
def test_regions_exist(claim):
    """Each region is one of a phantom, or a group, or made by a source of one of the experiment's arms."""
    experiment = REVIEW.experiments[claim.experiment]
    known = {*experiment.probes, *LESIONS, *SIDES}
    for arm in experiment.arms.values():
        name = arm.phantom or experiment.phantom
        case = {"case": arm.case} if arm.case else {}
        for _, region, group in load(name, {"voxel_size": 4, **case}).regions:
            known |= {region, group}
    named = {r for p in claim.picks() for r in (p.region, p.against)} | {
        r for rule in claim.rules for r in rule.regions
    }
    assert not {r for r in named if r and r not in known and not r.startswith("diameter ")}


def test_arms_with_other_people_share_none(tmp_path):
    study = study_of(REVIEW, "als", "quick", tmp_path)
    people = {}
    for source in study.sources:
        people.setdefault(source.name, set()).add(source.set["subject"])
    assert {len(p) for p in people.values()} == {REVIEW.scales["quick"].subjects}
    assert len(set.union(*people.values())) == sum(map(len, people.values()))
    assert {s.set["voxel_size"] for s in study.sources} == {REVIEW.scales["quick"].voxel_size}


def test_claims_are_chosen_by_id_or_number():
    assert [c.id for c in REVIEW.chosen(["18", "sign-table"])] == ["calcium-or-blood", "sign-table"]
    with pytest.raises(QsmbenchError, match="--claim sign-tabel: there is no such claim"):
        REVIEW.chosen(["sign-tabel"])


def test_a_claim_is_an_experiment_or_a_reason():
    about = {"id": "x", "number": 1, "claim": "c", "place": "p", "kind": "emerging"}
    with pytest.raises(ValueError, match="either an experiment or why it cannot be run"):
        Claim.model_validate(about)
    assert Claim.model_validate({**about, "cannot": "no phantom"}).cannot
