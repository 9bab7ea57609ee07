"""Chains: which steps fit, and where they look for their artifacts."""

from pathlib import Path

import pytest

from qsmbench.errors import QsmbenchError
from qsmbench.run import chains
from qsmbench.run.chains import Use


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
        ("nosuch", "unknown method 'nosuch'; there are .*tkd"),
        ("tkd", "tkd needs local_field, which no step before it produces; available there are magnitude, mask, phase"),
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
    with pytest.raises(QsmbenchError, match="method tkd: unknown setting 'treshold'; legal are threshold"):
        chains.steps("truth.tkd", lambda name: Use(name, {"treshold": 1} if name == "tkd" else {}))


def test_truth_is_in_reach_of_isolated_chains_only():
    root = Path("d")
    isolated = chains.folders("truth.tkd", root / "chains", root / "scan", root / "truth")
    composed = chains.folders("romeo.fit", root / "chains", root / "scan", root / "truth")
    assert isolated == [root / "chains/truth", root / "scan", root / "truth"]
    assert composed == [root / "chains/romeo", root / "scan"]
