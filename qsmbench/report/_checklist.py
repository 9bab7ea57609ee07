"""What a publication must state of a study: a methods paragraph, and the reporting checklist of the consensus.

Items: tables 3 to 5 of the QSM consensus, doi:10.1002/mrm.30006. A study knows most of them; the rest is left to state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from qsmbench.analysis.results import Study
from qsmbench.analysis.subjects import conditions
from qsmbench.data.folders import Params, read_params
from qsmbench.data.score_table import CONTROLS, is_isolated
from qsmbench.errors import QsmbenchError
from qsmbench.report._methods import MethodUse

MOST = 5
"""Largest number of different values of an item that are listed."""

STATE = "state"
"""What stands in place of an item that the study does not know."""


@dataclass(frozen=True)
class Item:
    """An item of the checklist, whether it is required, and its value in the study."""

    item: str
    required: str
    value: str

    @property
    def known(self) -> bool:
        """Whether the study knows it."""
        return not self.value.startswith(STATE)


@dataclass(frozen=True)
class _Facts:
    """What is known of the scans of a study.

    Attributes:
        params: of the first scan of each condition that is on disk.
        protocols: keys of the protocol of each simulated group.
        simulated, measured: names of the groups.
    """

    params: list[Params]
    protocols: list[dict[str, Any]]
    simulated: list[str]
    measured: list[str]

    def of_params(self, take: Callable[[Params], str], key: Callable[[dict[str, Any]], str] | None = None) -> str:
        """Return the different values of an item, from the scans, or else from the protocols."""
        found = [take(p) for p in self.params] or ([key(p) for p in self.protocols] if key else [])
        return _listed(found) or STATE

    def of_protocols(self, take: Callable[[dict[str, Any]], str]) -> str:
        """Return the different values of an item of the protocols; a measured scan leaves it to state."""
        found = _listed([take(p) for p in self.protocols])
        if not self.measured:
            return found or STATE
        return f"{STATE} for the measured scans" + (f"; simulated: {found}" if found else "")


def checklist(study: Study, methods: Sequence[MethodUse]) -> dict[str, list[Item]]:
    """Return the items of the checklist, by the heading of their part."""
    facts = _facts(study)
    return {
        "Hardware": _hardware(facts),
        "Sequence": _sequence(facts),
        "Reconstruction and analysis": _analysis(study, methods),
    }


def paragraph(study: Study, methods: Sequence[MethodUse]) -> str:
    """Return a methods paragraph in plain sentences; empty if nothing is known of the scans."""
    facts = _facts(study)
    if not (facts.params or facts.protocols):
        return ""
    said = [f"Reconstructions were compared with qsmbench {study.versions.get('qsmbench', '(version unknown)')}."]
    datasets = len(study.factors)
    if facts.simulated:
        phantoms = _listed([str(v) for v in study.factors.get("phantom", []) if v], " and ") or "a phantom"
        said.append(
            f"{datasets if not facts.measured else 'Some'} multi-echo GRE scans were simulated of {phantoms} "
            f"({_counted(len(facts.simulated), 'group')} of scans that differ only in the seed of their noise)"
            f"{' and others were measured' if facts.measured else ''}."
        )
    else:
        said.append(f"{_counted(datasets, 'measured multi-echo GRE scan')} served as input.")
    said.append(
        f"Field strength {_acquired(facts)}."
        + (f" TR {_tr(facts)}; flip angle {_flip(facts)}." if facts.protocols else "")
    )
    composed = [c for c in study.chains if c not in CONTROLS and not is_isolated(c)]
    isolated = [c for c in study.chains if is_isolated(c)]
    said.append(
        f"{_counted(len(composed), 'chain')} of methods started from the phase and {len(isolated)} from a true map."
    )
    if methods:
        said.append(f"Their steps were {', '.join(_cited(m) for m in methods if m.name not in CONTROLS)}.")
    said.append(
        "Maps of susceptibility were compared in ppm relative to the mean over the study mask; voxels that a method "
        "did not reconstruct counted as errors."
    )
    return " ".join(said)


def acquisition(study: Study) -> str:
    """Return field strength, echoes, voxels and noise of the scans; empty if nothing is known of them."""
    facts = _facts(study)
    if not (facts.params or facts.protocols):
        return ""
    noise = facts.of_protocols(_noise)
    return _acquired(facts) + (f"; noise: {noise}" if noise not in (STATE, "") else "")


def _acquired(facts: _Facts) -> str:
    return f"{_b0(facts)}; {_echoes(facts)}; voxels {_voxels(facts)}"


def _facts(study: Study) -> _Facts:
    params = []
    first: dict[str, str] = {}
    for condition, dataset in zip(conditions(study.factors), study.factors.index, strict=True):
        first.setdefault(condition, str(dataset))
    for dataset in first.values():
        try:
            params.append(read_params(study.folder / dataset / "scan"))
        except QsmbenchError:  # a board has no scans
            continue
    phantoms = study.factors.get("phantom")
    groups = study.factors["group"].astype(str)
    simulated = (
        list(dict.fromkeys(groups[phantoms.astype(str) != ""])) if phantoms is not None else list(study.protocols)
    )
    measured = [g for g in study.groups if g not in simulated]
    return _Facts(params, [study.protocols[g] for g in simulated if g in study.protocols], simulated, measured)


def _hardware(facts: _Facts) -> list[Item]:
    virtual = "" if facts.measured else "none: simulated"
    coils = facts.of_protocols(
        lambda p: (
            f"{p['coils'].get('number', p['coils'].get('count', 'several'))} coils"
            if p.get("coils")
            else "one, uniform"
        )
    )
    return [
        Item("field strength", "essential", _b0(facts)),
        Item("vendor, scanner model, software release", "vendor essential", virtual or STATE),
        Item("coils", "", coils),
        Item("gradient system", "", virtual or STATE),
    ]


def _sequence(facts: _Facts) -> list[Item]:
    return [
        Item(
            "sequence",
            "essential",
            facts.of_protocols(lambda p: ("2D" if p.get("slices") else "3D") + " multi-echo GRE"),
        ),
        Item("k-space trajectory", "essential unless Cartesian", facts.of_protocols(lambda _: "Cartesian")),
        Item("direction of B0 in the voxel axes", "", facts.of_params(lambda p: _triple(p.grid.b0_dir, ", "))),
        Item("echoes, TE", "essential", _echoes(facts)),
        Item("TR", "essential", _tr(facts)),
        Item("flip angle", "", _flip(facts)),
        Item("bandwidth", "", facts.of_protocols(_bandwidth)),
        Item("matrix and field of view", "essential", facts.of_params(_matrix)),
        Item("voxel size", "essential", _voxels(facts)),
        Item("monopolar or bipolar echoes", "", facts.of_protocols(lambda p: str(p["readout"]["polarity"]))),
        Item("flow compensation", "", facts.of_protocols(lambda _: "not simulated: nothing flows")),
        Item("acceleration", "essential", facts.of_protocols(_acceleration)),
        Item("partial Fourier", "essential if used", facts.of_protocols(_partial_fourier)),
        Item("noise", "", facts.of_protocols(_noise)),
    ]


def _analysis(study: Study, methods: Sequence[MethodUse]) -> list[Item]:
    steps = "; ".join(
        f"{m.name}: {', '.join(f'{s.name} {s.value}' for s in m.settings) or 'no settings'}" for m in methods
    )
    missing = len(study.unmade)
    return [
        Item("toolbox and version", "mandatory", f"qsmbench {study.versions.get('qsmbench', STATE)}"),
        Item("algorithms and their parameters", "mandatory", steps or f"{STATE}: there are no records of the steps"),
        Item("further processing", "", "none: maps are compared on the voxels of the scan"),
        Item("unit", "mandatory", "ppm (SI)"),
        Item("reference region", "mandatory", "the whole study mask: its mean is 0 by definition"),
        Item(
            "inclusion and exclusion",
            "mandatory",
            f"every scan and every chain; {_counted(missing, 'scan')} without a result is listed with its reason"
            if missing
            else "every scan and every chain; missing results are listed with their reasons",
        ),
    ]


def _b0(facts: _Facts) -> str:
    return facts.of_params(lambda p: f"{p.b0:g} T", lambda p: f"{p['b0']:g} T")


def _echoes(facts: _Facts) -> str:
    return facts.of_params(lambda p: _te(p.te.tolist()), lambda p: _te(p["te"]))


def _acceleration(protocol: dict[str, Any]) -> str:
    factors = (protocol.get("coils") or {}).get("acceleration") or (1, 1, 1)
    along = [f"{f} along {axis}" for axis, f in zip("xyz", factors, strict=True) if f > 1]
    return f"SENSE, {', '.join(along)}" if along else "none"


def _te(te: Sequence[float]) -> str:
    ms = [1000 * t for t in te]
    if len(ms) == 1:
        return f"one echo, TE {ms[0]:.4g} ms"
    steps = {round(b - a, 3) for a, b in pairwise(ms)}
    if len(steps) == 1 and len(ms) > 2:
        return f"{len(ms)} echoes, TE {ms[0]:.4g} to {ms[-1]:.4g} ms in steps of {steps.pop():.4g} ms"
    return f"{len(ms)} echoes, TE {', '.join(f'{t:.4g}' for t in ms)} ms"


def _tr(facts: _Facts) -> str:
    return facts.of_protocols(lambda p: f"{1000 * p['tr']:g} ms")


def _flip(facts: _Facts) -> str:
    return facts.of_protocols(lambda p: f"{p['flip_angle']:g}°")


def _voxels(facts: _Facts) -> str:
    return facts.of_params(lambda p: f"{_triple(p.grid.voxel_size)} mm")


def _matrix(p: Params) -> str:
    extent = [n * d for n, d in zip(p.grid.shape, p.grid.voxel_size, strict=True)]
    return f"{_triple(p.grid.shape)} voxels, {_triple(extent)} mm"


def _bandwidth(protocol: dict[str, Any]) -> str:
    value = protocol["readout"].get("bandwidth")
    return f"{value:g} Hz per pixel" if value else "not modelled"


def _partial_fourier(protocol: dict[str, Any]) -> str:
    shares = protocol["kspace"]["partial_fourier"]
    return "none" if all(s == 1 for s in shares) else _triple(shares)


def _noise(protocol: dict[str, Any]) -> str:
    snr = protocol.get("snr")
    return (
        f"SNR {snr['value']:g} in the first echo"
        if isinstance(snr, dict) and snr.get("value")
        else "none"
        if not snr
        else "by the protocol"
    )


def _cited(m: MethodUse) -> str:
    changed = [f"{s.name} {s.value}" for s in m.settings if s.origin]
    about = "; ".join([*([m.reference] if m.reference and m.reference != "control" else []), *changed])
    return f"{m.name} ({about})" if about else m.name


def _triple(values: Sequence[float], between: str = " × ") -> str:
    return between.join(f"{round(float(v), 3):g}" for v in values)


def _listed(values: Sequence[str], word: str = " or ") -> str:
    found = list(dict.fromkeys(values))
    rest = len(found) - MOST
    return word.join(found[:MOST]) + (f"{word}{rest} more" if rest > 0 else "")


def _counted(n: int, what: str) -> str:
    return f"{n} {what}{'s' if n != 1 else ''}"
