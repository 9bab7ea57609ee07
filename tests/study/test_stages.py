"""Attribution in a study: the chains that are fed the truth, and the parts of a real chain."""

import numpy as np
import pandas as pd
import pytest

from qsmbench.analysis.attribution import attribution_rows
from qsmbench.errors import QsmbenchError
from qsmbench.methods.inversion.tkd import tkd
from qsmbench.run import chains
from qsmbench.study import config, stages
from qsmbench.study.plan import Plan

STUDY = {"study": "s", "datasets": [{"phantom": "sphere", "protocol": "brain-3t"}], "chains": ["truth"]}


def fed(chain):
    return stages.fed(chains.steps(chain))


def test_the_truth_is_inserted_after_each_stage():
    assert fed("romeo.fit.vsharp.tkd") == {
        "mask": "true_mask.romeo.fit.vsharp.tkd",
        "field": "true_mask.romeo.fit.true_total_field.true_mask.vsharp.tkd",
        "background": "true_mask.romeo.fit.true_total_field.true_mask.vsharp.true_local_field.true_mask.tkd",
        "inversion": "",
    }
    assert fed("magnitude_mask.romeo.fit.erode.pdf.tv")["mask"] == "true_mask.romeo.fit.pdf.tv"
    assert list(fed("tgv_qsm")) == ["mask", "inversion"]
    assert list(fed("harperella.tkd")) == ["mask", "field and background", "inversion"]


def test_all_of_them_are_chains_that_fit():
    for chain in (
        "romeo.fit.vsharp.medi",
        "nonlinear_fit.lbv.tv",
        "quality_mask.laplacian.fit.resharp.ndi",
        "romeo.fit.tfi",
    ):
        for other in stages.chains_for(chains.steps(chain)):
            chains.steps(other)


def test_they_read_nothing_else_of_the_truth():
    last = chains.steps("true_mask.romeo.fit.true_total_field.true_mask.vsharp.tkd")
    sources = {name: s.inputs for s in last for name in [s.name]}
    assert sources["true_total_field"] == {"total_field": chains.TRUTH_FOLDER}
    assert sources["vsharp"]["total_field"].endswith("true_total_field") and "<truth>" not in str(sources["tkd"])
    with pytest.raises(QsmbenchError, match="tkd needs local_field"):
        chains.steps("true_mask.tkd")


def test_a_study_gets_the_chains_that_it_needs_once():
    study = config.parse({**STUDY, "attribution": ["romeo.fit.vsharp.tkd"]}, "x.yaml")
    assert study.chains[:2] == ["truth", "romeo.fit.vsharp.tkd"] and "truth.noisy.tkd" in study.chains
    import yaml

    again = config.parse(yaml.safe_load(Plan(study).config_text()), "again")
    assert again.chains == study.chains and len(study.chains) == 7


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attribution": ["truth.tkd"]}, "attribution: chain 'truth.tkd' contains the truth"),
        ({"attribution": ["romeo.fit"]}, "attribution: chain 'romeo.fit' ends in total_field; it must end in chi"),
        ({"attribution": ["romeo.nosuch"]}, "unknown method 'nosuch'"),
        ({"score": {"nosuch": 1}}, r"score\.nosuch: is not a metric; choose from"),
        ({"score": {"nrmse": 0}}, r"score\.nrmse is 0"),
    ],
)
def test_what_cannot_be_asked_for(change, message):
    with pytest.raises(QsmbenchError, match=message):
        config.parse({**STUDY, **change}, "x.yaml")


def test_parts_of_a_chain_on_a_scan_add_up(small):
    """The inversion of a perfect field has all of the error; a background that is left over shows as such."""
    truth, mask, grid = small["truth"], small["scan"]["mask"], small["params"].grid
    leftover = np.linspace(-1, 1, grid.shape[0])[:, None, None] * mask
    reference = {"truth": truth["chi"], "study_mask": mask, "labels": truth["labels"], "grid": grid}
    reference["regions"] = small["regions"]
    found = {}
    for size in (0, 0.02, 0.2):
        maps = [(tkd(truth["local_field"] + s * leftover, mask, grid), mask) for s in (size, 0)]
        table = pd.DataFrame(attribution_rows(maps, ["background", "inversion"], reference))
        for metric, shares in table[table["support"] == "common"].groupby("metric"):
            assert shares["value"].sum() == pytest.approx(100, abs=1e-7), metric
        of = table[(table["metric"] == "attribution") & (table["support"] == "study")]
        found[size] = of.set_index("region")["value"].to_dict()
    assert found[0] == pytest.approx({"background": 0, "inversion": 100, "coverage": 0})
    assert 5 < found[0.02]["background"] < 50 and found[0.2]["background"] > 90
