"""Chains: which steps fit, and where they look for their artifacts."""

from pathlib import Path

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.run import chains, registry
from qsmbench.run.chains import Limits, Places, Use


def test_prefixes():
    assert chains.prefixes("a.b.c") == ["a", "a.b", "a.b.c"]


def test_steps_of_a_composed_chain():
    found = chains.steps("romeo.fit.vsharp.tkd")
    assert [s.chain for s in found] == ["romeo", "romeo.fit", "romeo.fit.vsharp", "romeo.fit.vsharp.tkd"]
    assert [s.artifacts[0] for s in found] == ["unwrapped", "total_field", "local_field", "chi"]
    assert found[0].parent is None
    assert found[3].parent == "romeo.fit.vsharp"


@pytest.mark.parametrize("chain", ["truth", "zero", "truth.tkd", "truth.vsharp.tkd", "truth.pdf", "romeo.fit.pdf.tv"])
def test_chains_that_fit(chain):
    assert chains.steps(chain)[-1].chain == chain


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ("nosuch", "unknown method 'nosuch'; choose from .*tkd"),
        ("tkd", "tkd needs local_field, which no earlier step produces; available: magnitude, mask, phase"),
        ("romeo.tkd", "tkd needs local_field"),
        ("romeo.fit.tkd.vsharp", "tkd needs local_field"),
        ("truth.fit", "fit needs unwrapped"),
        ("zero.truth", "truth can only be the first step"),
        ("romeo..fit", "an empty step"),
        ("", "an empty step"),
    ],
)
def test_chains_that_do_not_fit(chain, message):
    with pytest.raises(QsmbenchError, match=message):
        chains.steps(chain)


def test_unknown_setting():
    with pytest.raises(QsmbenchError, match="method tkd: unknown setting 'treshold'; choose from threshold"):
        chains.steps("truth.tkd", lambda name: Use(name, {"treshold": 1} if name == "tkd" else {}))


PLACES = Places(Path("d/chains"), Path("d/scan"), Path("d/truth"))
LIMITS = Limits(60)


def inputs(chain, places=PLACES):
    return chains.steps(chain)[-1].spec(places, LIMITS, orientations=[], each=False).inputs


def test_truth_is_in_reach_of_isolated_chains_only():
    assert inputs("truth.tkd") == {"local_field": "d/truth", "mask": "d/scan"}
    assert inputs("romeo.fit")["unwrapped"] == "d/chains/romeo"
    assert not any("truth" in folder for c in ("romeo", "romeo.fit", "zero") for folder in inputs(c).values())


def test_what_a_chain_made_itself_is_never_taken_from_the_truth():
    """Nor from an earlier step: a product that has vanished is missed, not replaced."""
    assert inputs("truth.vsharp.tkd") == {"local_field": "d/chains/truth.vsharp", "mask": "d/chains/truth.vsharp"}
    assert chains.score_spec(chains.steps("truth.vsharp.tkd")[-1], PLACES, "s").field == "d/chains/truth.vsharp"


def test_a_scan_without_truth_offers_none():
    assert inputs("truth.tkd", Places(Path("d/chains"), Path("d/scan"), None)) == {"mask": "d/scan"}


def test_a_relative_path_is_another_method_in_another_folder(tmp_path, monkeypatch):
    head = "from qsmbench.method import method\n@method(produces='chi', reference='test')\n"
    found = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text(
            f"{head}def mine(local_field, *, {name}=1.0):\n    return local_field\n"
        )
        monkeypatch.chdir(tmp_path / name)
        found.append(registry.describe("mine.py").settings)
    assert found == [{"a": 1.0}, {"b": 1.0}]
