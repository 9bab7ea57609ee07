"""The table of methods: settings, where they come from, and the spread of what the data chose."""

import json
import re
from dataclasses import replace

from invented_study import CHAINS, scores, write_study

from qsmbench.analysis.results import read_study
from qsmbench.report import build
from qsmbench.report._methods import Setting, methods_used
from qsmbench.run.specs import Record, write_spec


def run(folder, dataset, chain, **record):
    out = folder / dataset / "chains" / chain
    out.mkdir(parents=True)
    method = chain.rpartition(".")[2]
    defaults = {"chain": chain, "method": method, "settings": {}, "used": {}, "notes": {}, "reference": "control"}
    write_spec(out / "run.json", Record(f"step {dataset} {chain}", "ok", details=defaults | record))


def test_settings_and_their_origin(tmp_path):
    chains = ["romeo.tv+lcurve", "romeo.best"]
    study = write_study(tmp_path / "s", scores(["truth", "zero", *chains]))
    datasets = ["head_brain-3t_seed-0", "head_brain-3t_seed-1"]
    for dataset, strength in zip(datasets, (2e-4, 3e-4), strict=True):
        run(study, dataset, "romeo")
        chosen = {"setting": "regularisation", "value": strength, "by": "lcurve", "default": 1e-4}
        chosen["at_end"] = strength == 3e-4
        used = {"regularisation": 1e-4, "pad": 30.0}
        record = {"used": used, "notes": {"chosen": chosen}, "reference": "Bilgic 2014, doi:10.1002/mrm.25029"}
        run(study, dataset, "romeo.tv+lcurve", **record)
        tuned = {"settings": {"threshold": 0.1}, "used": {"threshold": 0.1, "pad": 30.0}}
        run(study, dataset, "romeo.best", **tuned, method="tkd")
    read = read_study(study)
    found = {m.name: m for m in methods_used(replace(read, origins={"best": "tuned: t.yaml"}))}
    assert list(found) == ["romeo", "tv+lcurve", "best"]
    assert found["tv+lcurve"].settings == [
        Setting(
            "regularisation",
            "0.0002 – 0.0003",
            "by lcurve, at the end of its span on 1 of 2 scans",
            by_dataset=[(datasets[0], "0.0002"), (datasets[1], "0.0003")],
        ),
        Setting("pad", "30", ""),
    ]
    assert found["tv+lcurve"].doi == "10.1002/mrm.25029"
    assert found["best"].settings == [Setting("threshold", "0.1", "tuned: t.yaml"), Setting("pad", "30", "")]
    assert methods_used(read)[2].settings[0].origin == "set"
    (study / "origins.json").write_text(json.dumps({"best": "tuned: t.yaml"}))
    page = build(study, tmp_path / "report").read_text()
    assert "<b>regularisation 0.0002 – 0.0003</b> (by lcurve, at the end of its span on 1 of 2 scans), pad 30" in page
    assert "<b>threshold 0.1</b> (tuned: t.yaml)" in page


def test_a_study_without_records_has_no_such_table(tmp_path):
    study = write_study(tmp_path / "s", scores(CHAINS))
    assert 'id="methods"' not in build(study, tmp_path / "report").read_text()


def test_failures_and_differences_can_be_read_without_a_pointer(tmp_path):
    study = write_study(tmp_path / "s", scores(["truth", "zero", "romeo.lbv"]))
    run(study, "head_brain-3t_seed-0", "romeo.lbv", differences="The publication solves it by multigrid.")
    out = study / "head_brain-3t_seed-1" / "chains" / "romeo.lbv"
    out.mkdir(parents=True)
    failed = Record("step head_brain-3t_seed-1 romeo.lbv", "error", "no ball fits", details={"method": "lbv"})
    write_spec(out / "run.json", failed)
    page = build(study, tmp_path / "report").read_text()
    (row,) = re.findall(r'<tr id="method-lbv">.*?</tr>', page)
    assert "<small>The publication solves it by multigrid.</small>" in row
    assert "1 of 2<br><small>error: no ball fits</small>" in row
