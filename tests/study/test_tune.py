"""Tuning on development data: what is found, what is written, and what a study then refuses."""

import numpy as np
import pytest
import yaml

from qsmbench.data import folders
from qsmbench.errors import QsmbenchError
from qsmbench.run.chains import Limits
from qsmbench.study.config import parse
from qsmbench.study.datasets import Simulated
from qsmbench.study.simulate import simulated
from qsmbench.study.tune import tune
from qsmbench.study.tuned import SOURCE_FILE, read_tuned, write_tuned

LIMITS = Limits(60)
SPHERE = {"phantom": "sphere", "protocol": "brain-3t", "set": {"voxel_size": 6}, "seeds": [3]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("development")
    simulated(Simulated(**SPHERE), out)
    return out


@pytest.fixture
def found(data):
    told = []
    return tune("truth.l2", "l2.regularisation", [data], trials=7, limits=LIMITS, note=told.append), told


def test_the_best_of_what_was_tried_is_kept(found, data):
    tuned, told = found
    tried = {float(t.split("= ")[1].split(":")[0]): float(t.rpartition(" ")[2]) for t in told}
    assert 4 <= len(tried) <= 8
    best = tuned.set["regularisation"]
    (score,) = (s for value, s in tried.items() if value == pytest.approx(best, rel=1e-3))
    assert score == min(tried.values())
    assert tuned.development.tuned == pytest.approx(score, rel=1e-3)
    assert tuned.development.tuned <= tuned.development.default == pytest.approx(next(iter(tried.values())), rel=1e-3)
    # the field is without noise: the least regularisation that is tried does best
    assert best < 0.3 * 0.01
    from qsmbench.run.registry import find

    params = folders.read_params(data / "truth")
    field, mask, chi = (folders.read(data / "truth", n, params.grid) for n in ("local_field", "mask", "chi"))
    estimate = find("l2")(field, mask, params.grid, regularisation=best)
    e, t = estimate[mask] - estimate[mask].mean(), chi[mask] - chi[mask].mean()
    assert 100 * np.linalg.norm(e - t) / np.linalg.norm(t) == pytest.approx(score, rel=2e-3)


def study(tuned, **dataset):
    return {
        "study": "s",
        "datasets": [{**SPHERE, **dataset}],
        "chains": ["truth.best"],
        "methods": {"best": {"tuned": str(tuned)}},
    }


def test_a_study_takes_the_setting_but_not_the_development_data(found, data, tmp_path):
    file = tmp_path / "l2.yaml"
    write_tuned(file, found[0])
    assert read_tuned(file) == found[0]
    assert yaml.safe_load(file.read_text())["development"]["data"] == [folders.read_json(data / "truth" / SOURCE_FILE)]
    other = parse(study(file, seeds=[4]), "study")
    use = other.resolve("best")
    assert (use.method, dict(use.settings)) == ("l2", found[0].set)
    assert use.origin.startswith(f"tuned: {file}, nrmse of ")
    assert use.origin.endswith(" on sphere brain-3t seed 3")
    with pytest.raises(QsmbenchError, match=r"l2.yaml: was tuned on sphere, brain-3t, seed 3, which the study scores"):
        parse(study(file, seeds=[4, 3]), "study")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("tkd.threshold", r"setting 'tkd.threshold': chain 'truth.l2' has no such step and setting"),
        ("l2.colour", r"setting 'l2.colour': chain 'truth.l2' has no such step"),
    ],
)
def test_there_is_no_such_setting(setting, message, data):
    with pytest.raises(QsmbenchError, match=message):
        tune("truth.l2", setting, [data], limits=LIMITS, note=print)


def test_what_is_no_development_data(tmp_path):
    with pytest.raises(QsmbenchError, match="contains no scan and truth"):
        tune("truth.l2", "l2.regularisation", [tmp_path], limits=LIMITS, note=print)


def test_a_count_stays_a_whole_number(data):
    """A study refuses 40.3 iterations, so that none are tried or written."""
    lines = []
    tuned = tune("truth.cgls", "cgls.max_iterations", [data], trials=3, span=4, limits=LIMITS, note=lines.append)
    assert all(isinstance(value, int) for value in tuned.set.values())
    assert all(float(line.split("= ")[1].split(":")[0]).is_integer() for line in lines)
