"""Settings are refused before anything runs, and 1e-4 is a number wherever it is written."""

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.run import chains
from qsmbench.run.chains import Use
from qsmbench.study import config
from qsmbench.typed_yaml import numbers, read_yaml

OWN = """
from qsmbench.method import method

@method(produces="chi", reference="test")
def own(local_field, *, strength=1, how="a", free=None):
    return strength * local_field
"""


def steps(method, **settings):
    return chains.steps(f"truth.{method}", lambda name: Use(name, settings if name == method else {}))


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        ("tv", {"regularisation": -1}, "method tv: regularisation is -1; it must be 0 or more .by default 0.00015."),
        ("tv", {"regularisation": "much"}, "regularisation is 'much'; it must be a number"),
        ("tv", {"regularisation": None}, "regularisation is None; it must be a number"),
        ("tv", {"regularisation": float("nan")}, "regularisation is nan; it must be a number"),
        ("tv", {"regularisation": True}, "regularisation is True; it must be a number"),
        ("tv", {"max_iterations": 2.5}, "max_iterations is 2.5; it must be a whole number"),
        ("tkd", {"rescale": 1}, "rescale is 1; it must be true or false"),
        ("ilsqr", {"rough": 60}, r"rough is 60; it must be a list of numbers .by default .60.0, 99.9.."),
        ("tv+lcurve", {"span": "wide"}, r"method tv.lcurve: span is 'wide'; it must be a number"),
    ],
)
def test_what_cannot_be_meant_is_refused(method, settings, message):
    with pytest.raises(QsmbenchError, match=message):
        steps(method, **settings)


@pytest.mark.parametrize("settings", [{"regularisation": 0}, {"regularisation": 1}, {"max_iterations": 3}])
def test_what_can_be_meant_is_not(settings):
    assert steps("tv", **settings)[-1].use.settings == settings


@pytest.mark.parametrize("settings", [{"strength": -0.5}, {"how": 3}, {"free": [1, "x"]}])
def test_others_methods_know_what_their_numbers_may_be(tmp_path, settings):
    file = tmp_path / "own.py"
    file.write_text(OWN)
    use = {"own": Use(str(file), settings)}
    assert chains.steps("truth.own", lambda name: use.get(name, Use(name)))[-1].use.settings == settings
    with pytest.raises(QsmbenchError, match="method own: strength is '1,5'; it must be a number"):
        chains.steps("truth.own", lambda name: Use(str(file), {"strength": "1,5"}) if name == "own" else Use(name))


@pytest.mark.parametrize("text", ["1e-4", "1E-4", "+1e-04", "1.e-4", ".1e-3"])
def test_exponents_without_a_point_are_numbers(tmp_path, text):
    (tmp_path / "a.yaml").write_text(f"a: {{b: [{text}, 1e4x, e4]}}")
    assert read_yaml(tmp_path / "a.yaml") == {"a": {"b": [1e-4, "1e4x", "e4"]}}
    assert numbers(text) == 1e-4
    study = {
        "study": "s",
        "datasets": [{"phantom": "sphere", "protocol": "brain-3t"}],
        "chains": ["truth.tv"],
        "methods": {"tv": {"set": {"regularisation": text}}},
    }
    assert config.parse(study, "s").methods["tv"].set == {"regularisation": 1e-4}
