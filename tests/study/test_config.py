"""A study's YAML: what is accepted, and what is said of what is not."""

import re
import sys

import pytest
import yaml

from qsmbench.dependencies import code_of
from qsmbench.errors import QsmbenchError
from qsmbench.paths import data_dir
from qsmbench.study import config
from qsmbench.study.plan import Plan

LEGAL = {
    "study": "mine",
    "datasets": [{"phantom": "head", "protocol": "brain-3t", "seeds": [0, 1]}],
    "chains": ["truth", "zero", "truth.tkd"],
}


def test_datasets_of_a_study():
    plan = Plan(config.parse(LEGAL, "x.yaml"))
    assert list(plan.datasets) == ["head_brain-3t_seed-0", "head_brain-3t_seed-1"]
    assert list(plan.steps) == ["truth", "zero", "truth.tkd"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"chain": []}, "unknown key 'chain'; choose from study, description, datasets, chains"),
        ({"datasets": [{"phantom": "head", "protocol": "brain-3t", "seed": 1}]}, r"unknown key 'datasets\.0\.seed'"),
        ({"datasets": [{"bids": "x", "maks": "y"}]}, r"unknown key 'datasets\.0\.maks'; choose from bids, subject"),
        ({"datasets": [{"bids": "x", "phase_unit": "radian"}]}, "phase_unit is 'radian'; choose from rad, mrad"),
        ({"datasets": [{"bids": "x", "phase_unit": "pi", "phase_scale": 1}]}, "both given; state one of them"),
        ({"datasets": [{"bids": "x", "phase_scale": 0}]}, r"phase_scale is 0\.0; it must be a positive number"),
        ({"datasets": [{"bids": "x", "phase_sign": 2}]}, "phase_sign is 2; it must be 1 or -1"),
        ({"datasets": [{"bids": "x", "subject": "1", "subjects": "all"}]}, "both given; state one of them"),
        ({"datasets": [{"bids": "x", "subjects": []}]}, "subjects is empty"),
        ({"datasets": [{"bids": "x", "subjects": "all", "mask": "m.nii"}]}, r"write \{subject\} where"),
        ({"datasets": [{"phantom": "head"}]}, r"datasets\.0\.protocol is missing"),
        ({"datasets": LEGAL["datasets"] * 2}, "two datasets are called 'head_brain-3t'"),
        ({"datasets": []}, r"datasets is \[\]"),
        ({"datasets": [{**LEGAL["datasets"][0], "seeds": [-1]}]}, r"datasets\.0\.seeds\.0 is -1"),
        (
            {"datasets": [{**LEGAL["datasets"][0], "orientation": 1}]},
            "orientation is 1; choose from 0 of this protocol",
        ),
        ({"chains": ["truth", "truth"]}, "'truth' is listed twice"),
        ({"chains": ["truth.fit"]}, "fit needs unwrapped"),
        ({"chains": ["truth.tk"]}, "unknown method 'tk'"),
        ({"time_limit": 0}, "time_limit is 0: input should be greater than 0"),
        ({"study": "a/b"}, "study is 'a/b'"),
        ({"methods": {"tkd": {"set": {"x": 1}}}}, "method tkd: unknown setting 'x'"),
        ({"methods": {"mine": {"use": "no/such.py"}}, "chains": ["mine"]}, r"no/such\.py: no such file"),
    ],
)
def test_illegal(change, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        config.parse({**LEGAL, **change}, "x.yaml")
    assert str(caught.value).startswith("x.yaml: ")
    assert "\n" not in str(caught.value)


def test_orientations_are_datasets_of_their_own():
    turned = [{"phantom": "head", "protocol": "cosmos-3t", "orientation": i} for i in (0, 3)]
    plan = Plan(config.parse({**LEGAL, "datasets": turned}, "x.yaml"))
    assert list(plan.datasets) == ["head_cosmos-3t_orientation-0_seed-0", "head_cosmos-3t_orientation-3_seed-0"]
    assert [j.spec["orientations"] for j in plan.jobs() if j.name.startswith("simulate")] == [[0], [3]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("study: [", "is not YAML"), ("- a\n- b", "contains list; it must be a mapping"), ("", "contains NoneType")],
)
def test_files_that_are_no_mapping(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(QsmbenchError, match=message):
        config.load(tmp_path / "x.yaml")


def test_no_such_file(tmp_path):
    with pytest.raises(QsmbenchError, match=r"x\.yaml: No such file"):
        config.load(tmp_path / "x.yaml")


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        ({"bids": "a/x"}, ["x"]),
        ({"bids": "a/x", "name": "n"}, ["n"]),
        ({"bids": "a/b (copy)"}, ["b-copy"]),
        ({"bids": "{x} [1]+é.nii"}, ["x-1-+e.nii"]),
        (
            {"bids": "x", "subject": 1, "session": "pre", "acq": "a", "rec": "b", "run": 2},
            ["x_sub-1_ses-pre_acq-a_rec-b_run-2"],
        ),
        ({"bids": "x", "subjects": ["01", 2]}, ["x_sub-01", "x_sub-2"]),
        ({"bids": "x", "subjects": ["01", 2], "name": "n"}, ["n-01", "n-2"]),
        ({"bids": "ds", "subjects": "all"}, ["ds_sub-A", "ds_sub-B"]),
        ({"bids": "nowhere", "subjects": "all"}, ["nowhere"]),
        ({"bids": "."}, ["here"]),
    ],
)
def test_names_of_measured_datasets(tmp_path, monkeypatch, dataset, names):
    """Safe in paths and patterns, whatever the folder is called; each subject is a dataset of its own."""
    for label in "AB":
        (tmp_path / "here" / "ds" / f"sub-{label}" / "anat").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    study = config.parse({**LEGAL, "datasets": [dataset], "chains": ["romeo.fit"]}, "x.yaml")
    assert [d.group for d in study.sources] == names
    assert list(Plan(study).datasets) == names
    again = config.parse(yaml.safe_load(Plan(study).config_text()), "config.yaml")
    assert again == study


def test_variants_of_a_method():
    methods = {"strong": {"use": "tkd", "set": {"threshold": 0.3}}}
    plan = Plan(config.parse({**LEGAL, "methods": methods, "chains": ["truth.tkd", "truth.strong"]}, "x.yaml"))
    specs = {j.spec["chain"]: j.spec for j in plan.jobs() if j.name.startswith("step head_brain-3t_seed-0")}
    assert specs["truth.strong"]["settings"] == {"threshold": 0.3}
    assert specs["truth.tkd"]["settings"] == {}


def test_method_in_a_file(tmp_path):
    file = tmp_path / "half.py"
    file.write_text(
        "from qsmbench.method import method\n\n"
        "@method(produces='chi', reference='test')\n"
        "def half(local_field, *, factor=0.5):\n"
        "    return factor * local_field\n"
    )
    study = {**LEGAL, "methods": {"mine": {"use": str(file)}}, "chains": ["truth.mine"]}
    step = Plan(config.parse(study, "x.yaml")).steps["truth.mine"]
    assert step.method.settings == {"factor": 0.5}
    assert step.method.source == file
    assert "half" not in sys.modules


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def mine(", "cannot be imported: SyntaxError"),
        ("import nosuchpackage", "cannot be imported: ModuleNotFoundError: No module named 'nosuchpackage'"),
        ("mine = 3", "declares no method 'mine'"),
        ("{head}class mine:\n    pass", "method mine: @method is for a plain function, which returns arrays"),
        ("{head}async def mine(local_field):\n    return local_field", "@method is for a plain function"),
        ("{head}def mine(local_field):\n    yield local_field", "@method is for a plain function"),
        ("{head}def mine(field):\n    return field", "'field' is not an artifact; choose from phase, magnitude, mask"),
        ("{head}def mine(mask, *, k):\n    return mask", "the setting 'k' has no default"),
    ],
)
def test_files_that_hold_no_method(tmp_path, text, message):
    """They end no study: the reason is their row."""
    head = "from qsmbench.method import method\n\n@method(produces='chi', reference='test')\n"
    (tmp_path / "mine.py").write_text(text.replace("{head}", head))
    study = {**LEGAL, "methods": {"mine": {"use": str(tmp_path / "mine.py")}}, "chains": ["truth.mine"]}
    broken = Plan(config.parse(study, "x.yaml")).steps["truth.mine"].method.broken
    assert re.search(message, broken)
    assert "\n" not in broken


@pytest.mark.parametrize("file", sorted((data_dir() / "configs").glob("*.yaml")), ids=lambda f: f.stem)
def test_studies_that_come_along_are_legal(file):
    assert config.load(file).study == file.stem


def test_written_configuration_is_the_same_study():
    plan = Plan(config.parse(LEGAL, "x.yaml"))
    assert config.parse(yaml.safe_load(plan.config_text()), "again").model_dump() == plan.study.model_dump()


def test_a_method_that_runs_others_rests_on_their_code(monkeypatch):
    from qsmbench.run import registry
    from qsmbench.study import plan

    seen = []
    monkeypatch.setattr(plan, "code_of", lambda files, *_, **__: seen.append(set(files)) or code_of(files))

    def code(**settings):
        chain = "truth.noisy.two_pass"
        study = {**LEGAL, "chains": [chain], "methods": {"two_pass": {"set": settings}}}
        made = Plan(config.parse(study, "x.yaml"))
        seen.clear()
        made._step_job(next(iter(made.datasets.values())), made.steps[chain])
        return seen[-1]

    assert registry.find("rts").source in code()
    assert registry.find("tkd").source not in code()
    assert registry.find("tkd").source in code(inversion="tkd")
