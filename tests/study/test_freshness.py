"""What is run again after a change: for each kind of file, exactly the jobs whose result it can change."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from qsmbench import dependencies
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.dependencies import PACKAGE, code_of, meaning
from qsmbench.paths import data_dir
from qsmbench.study import config, contents
from qsmbench.study.contents import Contents
from qsmbench.study.freshness import canonical
from qsmbench.study.plan import Plan

METHOD = """
from qsmbench.method import method
from helper import GAIN
from far_away.inner import OFFSET

@method(produces="chi", reference="test")
def {name}(local_field, mask):
    return GAIN * local_field + OFFSET
"""
CHAINS = ["zero", "truth.tkd", "truth.l2+lcurve", "truth.mine", "romeo.fit.vsharp"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A study with a method of the user's, that imports a module beside it and a package installed to be edited."""
    (tmp_path / "mine.py").write_text(METHOD.format(name="mine"))
    (tmp_path / "helper.py").write_text("GAIN = 2.0\n")
    package = tmp_path / "elsewhere" / "far_away"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text("from far_away import deep\n\nOFFSET = deep.NOTHING\n")
    (package / "deep.py").write_text("NOTHING = 0.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "elsewhere"))
    content = {
        "study": "s",
        "datasets": [{"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 6}}],
        "chains": CHAINS,
        "methods": {"mine": {"use": str(tmp_path / "mine.py")}},
        "results": str(tmp_path / "results"),
    }
    (tmp_path / "s.yaml").write_text(yaml.safe_dump(content))
    return tmp_path


def made_from(folder):
    """What each job's result is made from, but for what the jobs before it make."""
    dependencies._code_of.cache_clear()
    jobs = Plan(config.load(folder / "s.yaml")).jobs()
    return {j.name: canonical([j.settings, j.code, j.inputs]) for j in jobs}


SPHERE = "sphere_brain-3t"
STEPS = {f"step {SPHERE}_seed-0 {c}" for c in ("zero", "truth", "truth.tkd", "truth.l2+lcurve", "truth.mine")}
STEPS |= {f"step {SPHERE}_seed-0 {c}" for c in ("romeo", "romeo.fit", "romeo.fit.vsharp")}
SCORES = {f"score {SPHERE}_seed-0 {c}" for c in CHAINS}
SIMULATE, NOISE, COMMON = f"simulate {SPHERE}", f"noise {SPHERE}_seed-0", f"common {SPHERE}_seed-0"
PICTURES = f"pictures {SPHERE}_seed-0"


def steps(*chains):
    return {f"step {SPHERE}_seed-0 {c}" for c in chains}


def package(*parts):
    return lambda folder: PACKAGE.joinpath(*parts)


def data(*parts):
    return lambda folder: data_dir().joinpath(*parts)


def own(*parts):
    return lambda folder: folder.joinpath(*parts)


TABLE = [
    (package("methods", "inversion", "tkd.py"), steps("truth.tkd")),
    (package("methods", "controls", "zero.py"), steps("zero")),
    # the metric data_consistency has a dipole kernel, too
    (package("ops", "kernels", "dipole.py"), {*steps("truth.tkd", "truth.l2+lcurve"), *SCORES, COMMON, "report"}),
    (package("ops", "solvers", "reference.py"), steps("truth.tkd", "truth.l2+lcurve")),
    (package("ops", "kernels", "sphere.py"), steps("romeo.fit.vsharp")),
    (package("choice", "choose.py"), steps("truth.l2+lcurve")),
    (package("run", "worker.py"), STEPS),
    (package("run", "call.py"), STEPS),
    (package("data", "volumes.py"), {SIMULATE, NOISE, COMMON, PICTURES, *STEPS, *SCORES, "report"}),
    (package("metrics", "nrmse.py"), {*SCORES, COMMON, "report"}),
    (package("metrics", "_values.py"), {*SCORES, COMMON, "report"}),
    (package("study", "scoring.py"), {*SCORES, COMMON, PICTURES}),
    (package("view", "picture.py"), {PICTURES}),
    (package("report", "page.html.j2"), {"report"}),
    (package("report", "_charts.py"), {"report"}),
    (package("study", "jobs", "tables.py"), {"tables"}),
    (package("scan", "prism.py"), {SIMULATE}),
    (package("scan", "deformation.py"), {SIMULATE}),
    (package("scan", "coils.py"), {SIMULATE, NOISE}),
    (package("phantom", "painting", "paint.py"), {SIMULATE}),
    (data("phantoms", "sphere.yaml"), {SIMULATE}),
    (data("phantoms", "tissues.csv"), {SIMULATE}),
    (data("phantoms", "spectra.csv"), {SIMULATE}),
    (data("configs", "protocols", "brain-3t.yaml"), {SIMULATE, NOISE}),
    (data("phantoms", "head.yaml"), set()),
    (own("mine.py"), steps("truth.mine")),
    (own("helper.py"), steps("truth.mine")),
    (own("elsewhere", "far_away", "deep.py"), steps("truth.mine")),
    (package("cli.py"), set()),
    (package("study", "plan.py"), set()),
    (package("study", "tune.py"), set()),
    (package("study", "config.py"), set()),
    (package("run", "registry.py"), set()),
    (package("conform", "checks.py"), set()),
    (package("errors.py"), set()),
    (package("__init__.py"), set()),
    (package("methods", "__init__.py"), set()),
    (package("api", "__init__.py"), set()),
    (package("api", "result.py"), set()),
    (package("listing.py"), set()),
]


@pytest.mark.parametrize(("file", "expected"), TABLE, ids=lambda value: getattr(value, "__name__", None))
def test_a_changed_file_reruns_what_it_can_change(folder, monkeypatch, file, expected):
    changed = file(folder)
    assert changed.is_file()
    before = made_from(folder)

    def otherwise(path):
        return "changed" if path == changed else meaning(path)

    monkeypatch.setattr(dependencies, "meaning", otherwise)
    monkeypatch.setattr(contents, "meaning", otherwise)
    after = made_from(folder)
    dependencies._code_of.cache_clear()
    assert {name for name in before if after[name] != before[name]} == expected


@pytest.mark.parametrize(
    ("artifact", "change", "expected"),
    [
        ("r2star", {"unit": "1/ms"}, {SIMULATE, "report"}),
        ("chi", {"scale": None}, {PICTURES, "report"}),
        ("unwrapped", {"dtype": float}, {*steps("romeo", "romeo.fit"), "report"}),
        ("fat", {"meaning": "other words"}, {"report"}),
    ],
)
def test_a_row_of_the_artifact_table_concerns_those_who_use_it(folder, monkeypatch, artifact, change, expected):
    """The report shows what the table says, so that it rests on all of it; of other jobs, rows count one by one."""
    before = made_from(folder)
    monkeypatch.setitem(ARTIFACTS, artifact, replace(ARTIFACTS[artifact], **change))
    table = PACKAGE / "data" / "artifacts.py"
    monkeypatch.setattr(dependencies, "meaning", lambda path: "changed" if path == table else meaning(path))
    after = made_from(folder)
    dependencies._code_of.cache_clear()
    assert {name for name in before if after[name] != before[name]} == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"methods": {"tkd": {"set": {"threshold": 0.3}}}}, {*steps("truth.tkd"), "report"}),
        ({"time_limit": 30.0}, {"report"}),
        ({"description": "other words"}, {"report"}),
        ({"container": "bubblewrap"}, {*steps("truth.mine"), "report"}),
        ({"device": "torch"}, {*steps("truth.tkd", "truth.l2+lcurve", "romeo.fit.vsharp"), "report"}),
        ({"results": "elsewhere"}, set()),
    ],
)
def test_a_changed_key_reruns_what_it_can_change(folder, change, expected):
    before = made_from(folder)
    content = yaml.safe_load((folder / "s.yaml").read_text())
    content["methods"] |= change.get("methods", {})
    (folder / "s.yaml").write_text(yaml.safe_dump({**content, **{k: v for k, v in change.items() if k != "methods"}}))
    after = made_from(folder)
    changed = {name for name in before if strip(after[name], folder) != strip(before[name], folder)}
    assert changed == expected


def strip(text, folder):
    """Records stand below the results' folder, wherever that is."""
    return text.replace(str(folder / "results") + "/", "").replace(f"{Path.cwd() / 'elsewhere'}/", "")


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("# a comment\n\ndef f(x):\n    '''Compute.'''\n    return  x + 1\n", True),
        ("def f(x):\n    return x + 2\n", False),
        ("def f(x):\n    'a docstring alone'\n    return x + 1\n\nK = 1\n'''about K'''\n", False),
        ("def f(", False),
    ],
)
def test_comments_and_layout_mean_nothing(tmp_path, text, same):
    (tmp_path / "a.py").write_text("def f(x):\n    return x + 1\n")
    (tmp_path / "b.py").write_text(text)
    assert (meaning(tmp_path / "a.py") == meaning(tmp_path / "b.py")) is same


def test_layout_of_yaml_means_nothing(tmp_path):
    (tmp_path / "a.yaml").write_text("# about\na: 1\nb: [1, 2]\n")
    (tmp_path / "b.yaml").write_text("a: 1\nb:\n- 1\n- 2\n")
    (tmp_path / "c.yaml").write_text("a: 1\nb: [2, 1]\n")
    assert meaning(tmp_path / "a.yaml") == meaning(tmp_path / "b.yaml") != meaning(tmp_path / "c.yaml")


def test_what_is_installed_counts_by_its_version(folder):
    code = code_of([PACKAGE / "methods" / "inversion" / "tkd.py"])
    assert {"numpy", "scipy", "numba", "python"} <= set(code.versions)
    assert not any("site-packages" in str(f) for f in code.files)
    mine = code_of([folder / "mine.py"])
    assert {f.name for f in mine.files} >= {"mine.py", "helper.py", "inner.py", "deep.py", "__init__.py"}


@pytest.mark.parametrize(
    ("module", "distribution"),
    [
        ("numpy", "numpy"),
        ("yaml", "PyYAML"),  # it names its modules
        ("PIL", "pillow"),
        ("skimage", "scikit-image"),
        ("dateutil", "python-dateutil"),
        ("typing_extensions", "typing_extensions"),  # one file
        ("skim", None),
    ],
)
def test_a_module_counts_by_the_distribution_that_holds_it(tmp_path, module, distribution):
    (tmp_path / "mine.py").write_text(f"import {module}\n")
    expected = {"python", *([distribution] if distribution else [])}
    assert set(code_of([tmp_path / "mine.py"]).versions) == expected


TV, TKD = (PACKAGE / "methods" / "inversion" / f"{name}.py" for name in ("tv", "tkd"))


@pytest.mark.parametrize(
    ("line", "methods"),
    [
        ("import qsmbench as qb", {TV, TKD}),
        ("import qsmbench", {TV, TKD}),
        ("import qsmbench.method", {TV, TKD}),
        ("from qsmbench import methods", {TV, TKD}),
        ("from qsmbench import reconstruct, __version__", {TV, TKD}),
        ("from qsmbench.api import reconstruct", {TV, TKD}),
        ("from qsmbench.methods import tv", {TV}),
        ("from qsmbench.methods.inversion.tv import tv", {TV}),
        ("from qsmbench import grid", set()),
        ("from qsmbench import __version__", set()),
        ("from qsmbench.method import method", set()),
        ("import qsmbench.method as m", set()),
    ],
)
def test_what_others_reach_by_name_counts(tmp_path, line, methods):
    """A method of a user's that calls one of ours through `import qsmbench` rests on that one, too."""
    (tmp_path / "mine.py").write_text(f"{line}\n")
    assert {TV, TKD} & set(code_of([tmp_path / "mine.py"]).files) == methods


def test_no_result_rests_on_what_python_is_offered():
    """Results rest on what computes them; the package loads what it offers to Python by name."""
    jobs = (PACKAGE / "study" / "jobs").glob("*.py")
    for file in (PACKAGE / "run" / "worker.py", PACKAGE / "methods" / "inversion" / "tv.py", *jobs):
        assert not [f for f in dependencies.sources(file) if f.is_relative_to(PACKAGE / "api")], file


def test_nothing_is_imported_to_find_out(folder):
    code_of([folder / "mine.py"])
    assert not {"mine", "helper", "far_away"} & set(sys.modules)


class TestContents:
    def test_new_content_with_an_old_time_is_seen(self, tmp_path):
        import os

        file = tmp_path / "volume.nii"
        file.write_text("first")
        os.utime(file, (1e9, 1e9))
        before = Contents(tmp_path / "known.json")
        old = before.digest(file)
        before.save()
        file.write_text("other")  # as long as before
        os.utime(file, (1e9, 1e9))
        assert Contents(tmp_path / "known.json").digest(file) != old

    def test_a_file_that_is_not_there(self, tmp_path):
        assert Contents(tmp_path / "known.json").digest(tmp_path / "nowhere") == "missing"

    @pytest.mark.parametrize("damage", ["", "[1", '{"a": 3}', "[]"])
    def test_a_damaged_memory_is_forgotten(self, tmp_path, damage):
        (tmp_path / "known.json").write_text(damage)
        (tmp_path / "a").write_text("x")
        assert Contents(tmp_path / "known.json").digest(tmp_path / "a") == Contents(tmp_path / "n").digest(
            tmp_path / "a"
        )


@pytest.mark.parametrize("setting", ["tv", "tv+lcurve", "mine.py"])
def test_a_method_that_a_setting_names_counts(folder, monkeypatch, setting):
    monkeypatch.chdir(folder)
    content = yaml.safe_load((folder / "s.yaml").read_text())
    content["chains"] = ["truth.noisy.two_pass"]
    content["methods"]["two_pass"] = {"set": {"inversion": setting}}
    (folder / "s.yaml").write_text(yaml.safe_dump(content))
    before = made_from(folder)
    changed = (folder / "helper.py") if setting == "mine.py" else PACKAGE / "methods" / "inversion" / "tv.py"
    monkeypatch.setattr(dependencies, "meaning", lambda path: "changed" if path == changed else meaning(path))
    after = made_from(folder)
    dependencies._code_of.cache_clear()
    assert {n for n in before if after[n] != before[n]} == {f"step {SPHERE}_seed-0 truth.noisy.two_pass"}


def test_the_order_of_keys_counts(tmp_path):
    """A population draws its people in the order of its YAML."""
    (tmp_path / "a.yaml").write_text("a: 1\nb: 2\n")
    (tmp_path / "b.yaml").write_text("b: 2\na: 1\n")
    assert meaning(tmp_path / "a.yaml") != meaning(tmp_path / "b.yaml")


def test_code_is_the_same_from_anywhere(folder, monkeypatch):
    digests = set()
    for place, name in ((folder, "mine.py"), (folder / "elsewhere", "../mine.py"), (PACKAGE, str(folder / "mine.py"))):
        monkeypatch.chdir(place)
        dependencies._code_of.cache_clear()
        digests.add(code_of([Path(name)]).digest)
    assert len(digests) == 1


def test_inherited_sidecars_of_a_measured_scan_count(tmp_path, small):
    from qsmbench.data.bids import megre_files, write_megre

    write_megre(tmp_path / "b", small["scan"]["phase"], small["scan"]["magnitude"], small["params"])
    (tmp_path / "b" / "MEGRE.json").write_text("{}")
    write_megre(tmp_path / "b", small["scan"]["phase"], small["scan"]["magnitude"], small["params"], subject="02")
    names = {str(f.relative_to(tmp_path / "b")) for f in megre_files(tmp_path / "b", "02")}
    assert "MEGRE.json" in names
    assert "sub-02/anat/sub-02_echo-1_part-mag_MEGRE.json" in names
    assert not any(n.startswith("sub-01") for n in names)
