"""The contents of `qsmbench list`: what the package includes, and properties of one method, phantom or protocol."""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from qsmbench.errors import QsmbenchError, suggest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from qsmbench.phantom.description.scenario import Scenario


@dataclass(frozen=True)
class Listing:
    """A table of texts.

    Attributes:
        rows: one text per column, the name first.
        columns: headings; empty for none.
        title: line above the table; empty for none.
    """

    rows: Sequence[tuple[str, ...]]
    columns: tuple[str, ...] = ()
    title: str = ""


NONE = "–"
"""Shown if there is no unit, group or default."""

UNIT = re.compile(
    r"(?:^|, )(ppm·mm²|ppm·mm|ppm/mm|ppm|mm/ppm|mm²|mm⁴|mm|1/s/ppm|1/s|s|T|a\.u\.|years|degrees)"
    r"(?=$|[;.,]| \(| along )"
)
"""Pattern of the unit in the description of a setting or key: after a comma, at the end or before an addition."""


def unit_in(text: str) -> str:
    """Return the unit in the description of a setting or a key, `–` if it has none."""
    found = UNIT.search(text)
    return found[1] if found else NONE


def _methods() -> list[Listing]:
    from qsmbench.run import registry

    rows = []
    for name in registry.names():
        try:
            m = registry.describe(name)
        except QsmbenchError as e:  # another package's; ours are there
            rows.append((name, f"cannot be used: {e}"))
            continue
        if m.broken:
            rows.append((name, f"cannot be used: {m.broken}"))
            continue
        settings = ", ".join(f"{k}={v}" for k, v in m.settings.items()) or "no settings"
        rows.append(
            (name, f"{', '.join(m.produces)} ← {', '.join(m.consumes)} · {m.summary} · {settings} · {m.reference}")
        )
    return [Listing(rows)]


def _metrics() -> list[Listing]:
    from qsmbench import metrics

    rows = []
    for m in map(metrics.find, metrics.names()):
        unit = m.unit_of("chi") or "no unit"
        used = _used_in(m.name)
        rows.append((m.name, f"{unit} · {m.definition.splitlines()[0]} · {m.reference}{used}"))
    return [Listing(rows)]


def _endpoints() -> list[Listing]:
    from qsmbench import metrics
    from qsmbench.data.endpoints import OF_A_SCAN, OVER_SCANS

    found = [metrics.find(name) for name in OF_A_SCAN]
    of_scan = [
        (m.name, f"{m.unit_of('chi') or 'no unit'} · {m.definition.splitlines()[0]}{_used_in(m.name)}") for m in found
    ]
    over = [
        (name, f"{'unit of the map' if e.unit is None else e.unit or 'no unit'} · {e.meaning}{_used_in(name)}")
        for name, e in OVER_SCANS.items()
    ]
    title = "Metrics of a scan that are endpoints of scenarios; their mean over the scans of a case is reported."
    return [Listing(of_scan, title=title), Listing(over, title="Endpoints over the scans of a study.")]


def _used_in(name: str) -> str:
    """Return the scenarios that name an endpoint, as the end of its description."""
    from qsmbench.data.endpoints import METRIC_OF

    named = [
        scenario
        for scenario, content in _loaded_scenarios().items()
        if any(name in (e, METRIC_OF.get(e)) for e in content.endpoints)
    ]
    return f" · scenarios {', '.join(named)}" if named else ""


def _protocols() -> list[Listing]:
    from qsmbench.scan.protocol import load_protocol, protocols

    loaded = {name: load_protocol(name) for name in protocols()}
    return [Listing([(name, f"{p.description} · {p.source}") for name, p in loaded.items()])]


def _phantoms() -> list[Listing]:
    from qsmbench.paths import data_dir

    files = sorted((data_dir() / "phantoms").glob("*.yaml"))
    rows = [(f.stem, f.read_text().split("\n", 1)[0].lstrip("# ")) for f in files]  # the first line says what it is
    return [Listing(rows)]


def _scenarios() -> list[Listing]:
    rows = [
        (
            name,
            f"{s.question} · {s.endpoint} · endpoints {', '.join(s.endpoints)} · cases {', '.join(s.cases)}"
            f"{' (assumed)' if s.assumed else ''}",
        )
        for name, s in _loaded_scenarios().items()
    ]
    return [Listing(rows)]


@cache
def _loaded_scenarios() -> dict[str, Scenario]:
    from qsmbench.phantom.description.scenario import Scenario, scenarios
    from qsmbench.typed_yaml import load_yaml

    return {name: load_yaml(path, Scenario) for name, path in scenarios().items()}


def _claims() -> list[Listing]:
    from qsmbench.review.claims import load_claims

    review = load_claims()
    rows = [
        (
            c.id,
            f"{c.number} · {c.claim} · {c.place} · {c.kind} · "
            + (f"experiment {c.experiment}" if c.experiment else f"cannot be run: {c.cannot}"),
        )
        for c in review.claims
    ]
    run = sum(c.experiment is not None for c in review.claims)
    return [Listing(rows, title=f"{len(rows)} claims of {review.review}; {run} can be run (qsmbench review).")]


def _artifacts() -> list[Listing]:
    from qsmbench.data.artifacts import ARTIFACTS

    rows = [(name, a.file, a.unit or NONE, a.meaning) for name, a in ARTIFACTS.items()]
    title = "An artifact is a file passed between steps: a map, a mask or another volume."
    return [Listing(rows, ("artifact", "file", "unit", "meaning"), title)]


def _sources() -> list[Listing]:
    from qsmbench.phantom.description.sources import DOSES, InPlace, Oxygenation, Placed

    columns = ("key", "unit", "values", "meaning")
    place = list(keys_of(Placed, None))
    shown = []
    for kind in (*get_args(InPlace), Oxygenation):
        name = get_args(kind.model_fields["source"].annotation)[0]
        own = (k for k in keys_of(kind, None) if k not in place and k.name != "source")
        rows = [(k.name, DOSES.get(k.name) or unit_in(k.meaning), k.values, k.meaning) for k in own]
        shown.append(Listing(rows, columns, f"source: {name}. {_one_line(kind.__doc__)}"))
    rows = [(k.name, unit_in(k.meaning), k.values, k.meaning) for k in place]
    return [*shown, Listing(rows, columns, f"{_one_line(Placed.__doc__)} Not for oxygenation.")]


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())


def _settings(name: str, overrides: Mapping[str, Any]) -> list[Listing]:
    from qsmbench.run import registry

    _refuse_overrides(overrides, "settings")
    m = registry.describe(name)
    if m.broken:
        raise QsmbenchError(f"method {name} cannot be used: {m.broken}")
    texts = m.parameter_texts
    rows = [(key, _shown(value), unit_in(texts[key]), texts[key] or NONE) for key, value in m.settings.items()]
    title = f"{m.name}: {m.summary}"
    return [Listing(rows, ("setting", "default", "unit", "meaning"), title if rows else f"{title} It has no settings.")]


def _regions(name: str, overrides: Mapping[str, Any]) -> list[Listing]:
    from qsmbench.phantom.load import load

    rows = [(region, str(label), group or NONE) for label, region, group in load(name, dict(overrides)).regions]
    return [Listing(rows, ("region", "label", "group"))]


def _phantom_keys(name: str, overrides: Mapping[str, Any]) -> list[Listing]:
    from qsmbench.phantom.load import load
    from qsmbench.scan.protocol import load_protocol, protocols

    if name in protocols():
        protocol = load_protocol(name, dict(overrides))
        return [
            _key_listing(list(keys_of(type(protocol), protocol)), f"Keys of the protocol {name}, for --set-protocol")
        ]
    phantom = load(name, dict(overrides))
    described = phantom.description
    keys = [k for k in keys_of(type(described), described) if k.name not in ("kind", "parameters")]
    own = [
        Key(n, "number", _shown(v), f"parameter of {phantom.path.name}, which uses it as ${n}")
        for n, v in getattr(described, "parameters", {}).items()
    ]
    if phantom.case is not None:
        scenario = phantom.case.scenario
        meaning = f"case of the scenario ({scenario.question})"
        own.insert(0, Key("case", " | ".join(scenario.cases), phantom.case.name, meaning))
    return [_key_listing([*own, *keys], f"Keys of {name}, for --set")]


@dataclass(frozen=True)
class Key:
    """A key of a YAML description: its dotted name, type, default and meaning."""

    name: str
    values: str
    default: str
    meaning: str


def _key_listing(keys: Sequence[Key], title: str) -> Listing:
    return Listing(
        [(k.name, k.values, k.default, k.meaning) for k in keys], ("key", "values", "default", "meaning"), title
    )


def keys_of(model: type[BaseModel], values: BaseModel | None, prefix: str = "") -> Iterator[Key]:
    """Yield the keys of a model, and of nested models by dotted names.

    Args:
        model: the model of the description.
        values: a description whose values are the defaults; None: those of the model.
        prefix: of all names.
    """
    from pydantic_core import PydanticUndefined

    for name, info in model.model_fields.items():
        default = getattr(values, name) if values is not None else info.get_default(call_default_factory=True)
        default = None if default is PydanticUndefined else default
        key = f"{prefix}{info.alias or name}"
        inner, below = _model_in(info.annotation)
        kind = _type_words(Annotated[info.annotation, *info.metadata] if info.metadata else info.annotation)
        kind = kind.removesuffix(" | null") if default is None else kind
        yield Key(key, kind, _shown(default), info.description or "")
        if inner is not None:
            yield from keys_of(inner, default if isinstance(default, inner) else None, f"{key}{below}.")


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model of the keys below a key, and the placeholder for the name of a mapping's entry.

    Shapes, maps and layers are excluded: they are written in the YAML, not overridden key by key.
    """
    choices = [c for c in (get_args(annotation) if _is_union(annotation) else (annotation,)) if c is not type(None)]
    if len(choices) != 1:
        return None, ""
    if _is_model(choices[0]):
        return choices[0], ""
    if get_origin(choices[0]) is dict and _is_model(inner := get_args(choices[0])[1]) and inner.__name__ != "MapSource":
        return inner, ".NAME"
    return None, ""


def _is_model(annotation: Any) -> bool:
    from pydantic import BaseModel

    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)


WORDS = {bool: "true | false", int: "integer", float: "number", str: "text", type(None): "null"}


def _type_words(annotation: Any) -> str:
    """Return the values that a key takes as text, such as `number > 0 | null`."""
    origin, inside = get_origin(annotation), get_args(annotation)
    if annotation in WORDS:
        return WORDS[annotation]
    if origin is Annotated:
        return _type_words(inside[0]) + _limits(inside[1:])
    if origin is Literal:
        return " | ".join(map(str, inside))
    if _is_union(annotation):
        return " | ".join(dict.fromkeys(map(_type_words, inside)))
    if origin is tuple and inside[-1] is not Ellipsis:
        return f"{len(inside)} {_plural(_type_words(inside[0]))}"
    if origin in (tuple, list):
        return f"list of {_plural(_type_words(inside[0]))}"
    if origin is dict or _is_model(annotation):
        return "mapping"
    return str(annotation)


def _plural(words: str) -> str:
    """Return `numbers > 0` for `number > 0`; alternatives are unchanged."""
    return re.sub(r"^(number|integer|text|mapping)\b", r"\1s", words)


def _limits(constraints: Sequence[Any]) -> str:
    """Return the limits of a number as text, such as ` > 0`."""
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    parts = [part for c in constraints for part in (c, *getattr(c, "metadata", ()))]
    limits = [(sign, getattr(part, name, None)) for part in parts for name, sign in signs.items()]
    stated = dict.fromkeys(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
    return " " + ", ".join(stated) if stated else ""


MOST = 6
"""Longest default that is shown; for longer ones, the number of entries is shown."""


def _shown(value: Any) -> str:
    """Return a default in YAML syntax, or its number of entries."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if _is_model(type(value)):
        return "in the YAML"
    if isinstance(value, tuple | list | dict):
        nested = any(_is_model(type(v)) for v in (value.values() if isinstance(value, dict) else value))
        if nested or len(value) > MOST:
            return f"{len(value)} entries" if len(value) != 1 else "1 entry"
        if isinstance(value, dict):
            return "{" + ", ".join(f"{k}: {_shown(v)}" for k, v in value.items()) + "}"
        return "[" + ", ".join(map(_shown, value)) + "]"
    return str(value)


def _refuse_overrides(overrides: Mapping[str, Any], what: str) -> None:
    if overrides:
        raise QsmbenchError(f"--set {next(iter(overrides))}: qsmbench list {what} takes no --set")


LISTS: dict[str, Callable[[], list[Listing]]] = {
    "phantoms": _phantoms,
    "scenarios": _scenarios,
    "protocols": _protocols,
    "methods": _methods,
    "metrics": _metrics,
    "endpoints": _endpoints,
    "claims": _claims,
    "artifacts": _artifacts,
    "sources": _sources,
}
"""Lists without a name."""

OF_ONE: dict[str, tuple[str, Callable[[str, Mapping[str, Any]], list[Listing]]]] = {
    "settings": ("METHOD", _settings),
    "regions": ("PHANTOM", _regions),
    "keys": ("PHANTOM or PROTOCOL", _phantom_keys),
}
"""Lists for one method, phantom or protocol, and the kind of name that they need."""


def listings(what: str, name: str | None, overrides: Mapping[str, Any]) -> list[Listing]:
    """Return the tables of `qsmbench list`.

    Args:
        what: a key of `LISTS` or `OF_ONE`.
        name: the method, phantom or protocol, for a key of `OF_ONE`.
        overrides: dotted key → value, of the phantom or protocol.

    Raises:
        QsmbenchError: `what` or `name` is unknown, missing or not allowed.
    """
    if what in OF_ONE:
        needed, listing = OF_ONE[what]
        if name is None:
            raise QsmbenchError(f"list {what}: name one, as in qsmbench list {what} {needed}")
        return listing(name, overrides)
    if what not in LISTS:
        choices = [*LISTS, *(f"{w} {needed}" for w, (needed, _) in OF_ONE.items())]
        raise QsmbenchError(f"cannot list {what!r}; {suggest(what, choices)}")
    if name is not None:
        raise QsmbenchError(f"list {what}: takes no name, but {name!r} was given")
    _refuse_overrides(overrides, what)
    return LISTS[what]()
