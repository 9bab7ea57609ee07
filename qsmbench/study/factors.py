"""Studies with factors: the scans that crossed keys stand for, and the columns that describe them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from pydantic import Field

from qsmbench.data.score_table import COLUMNS, FACTORS
from qsmbench.errors import QsmbenchError, suggest
from qsmbench.phantom import load as phantoms
from qsmbench.scan.protocol import Protocol, load_protocol
from qsmbench.study.datasets import Measured, Simulated

_PHANTOM, _PROTOCOL = "set", "set_protocol"
_ENTRY = ("phantom", "protocol", "orientation")
"""Keys of a dataset itself that can be crossed."""

_IN_NAME = ("phantom", "protocol", "orientation", "set.case", "set.subject")
"""Crossed keys that are part of every group's name, unless the dataset is named."""


MOST = 100_000
"""Scans that a dataset may stand for; assumed: the largest study of docs/cluster.md."""


class Combination(Simulated):
    """One combination of the crossed keys of a dataset.

    Attributes:
        levels: the values of the crossed keys, in the order of the file, as they appear in the name.
    """

    levels: tuple[tuple[str, str], ...] = Field((), description="values of the crossed keys")

    @property
    def group(self) -> str:
        """Name of the dataset, followed by the crossed keys that it does not yet contain."""
        shown = [(key, text) for key, text in self.levels if self.name or key not in _IN_NAME]
        return "_".join([super().group, *(f"{key.partition('.')[2] or key}-{text}" for key, text in shown)])


def crossed(source: Simulated | Measured) -> list[Simulated | Measured]:
    """Return a dataset for each combination of the values in `over`; a dataset without `over` unchanged.

    Raises:
        QsmbenchError: a key belongs to neither phantom nor protocol, or to both, or has no values; or there are
            more than `MOST` scans.
    """
    if isinstance(source, Measured) or not source.over:
        return [source]
    count = len(source.seeds) * prod(len(v) for v in source.over.values() if isinstance(v, list))
    if count > MOST:
        raise QsmbenchError(f"over: stands for {count} scans; a dataset may have {MOST}")
    first = [k for k in ("phantom", "protocol") if k in source.over]  # the other keys depend on them
    found: list[tuple[Simulated, tuple[tuple[str, str], ...]]] = [(source.model_copy(update={"over": {}}), ())]
    for key in [*first, *(k for k in source.over if k not in first)]:
        choices: dict[tuple[str, str], list[tuple[str, str, Any, str]]] = {}
        for s, _ in found:
            if (s.phantom, s.protocol) not in choices:
                choices[s.phantom, s.protocol] = _choices(s, key, source.over[key])
        found = [
            (s.model_copy(update=_changed(s, where, name, value)), (*levels, (f"{where}.{name}".lstrip("."), text)))
            for s, levels in found
            for where, name, value, text in choices[s.phantom, s.protocol]
        ]
    return [Combination.model_validate({**s.model_dump(), "levels": levels}) for s, levels in found]


def _choices(source: Simulated, key: str, given: list[Any] | str) -> list[tuple[str, str, Any, str]]:
    """Return for each value of a crossed key its place, the key's name, the value, and its text in names."""
    where, name = _place(source, key)
    values = _values(source, key, name, given)
    return [(where, name, value, text) for value, text in zip(values, _texts(values), strict=True)]


def _changed(source: Simulated, where: str, name: str, value: Any) -> dict[str, Any]:
    return {name: value} if where == "" else {where: {**getattr(source, where), name: value}}


def _place(source: Simulated, key: str) -> tuple[str, str]:
    """Return where a crossed key belongs (`set`, `set_protocol`, or empty for the dataset itself), and its name."""
    for place in (_PHANTOM, _PROTOCOL):
        if key.startswith(f"{place}."):
            return place, key.removeprefix(f"{place}.")
    if key in _ENTRY:
        return "", key
    if key in ("seed", "seeds"):
        raise QsmbenchError("over.seed: the seeds of the noise are the key seeds of the dataset")
    of_protocol = key.partition(".")[0] in Protocol.model_fields
    of_phantom = phantoms.is_key(source.phantom, key)
    if of_protocol and of_phantom:
        raise QsmbenchError(
            f"over.{key}: both the phantom and the protocol have this key; choose from "
            f"{_PHANTOM}.{key}, {_PROTOCOL}.{key}"
        )
    if not of_protocol and not of_phantom:
        raise QsmbenchError(
            f"over.{key}: neither {source.phantom} nor {source.protocol} has this key; see qsmbench list keys"
        )
    where = _PROTOCOL if of_protocol else _PHANTOM
    if key in getattr(source, where):
        raise QsmbenchError(f"over.{key}: {where} has this key as well; remove one of them")
    return where, key


def _values(source: Simulated, key: str, name: str, given: list[Any] | str) -> list[Any]:
    """Return the values of a crossed key; `all` means every case or orientation."""
    if isinstance(given, str):
        choices: dict[str, list[Any]] = {}
        if cases := phantoms.cases(source.phantom):
            choices["case"] = list(cases)
        choices["orientation"] = list(range(len(load_protocol(source.protocol, source.set_protocol).orientations)))
        if name not in choices:
            raise QsmbenchError(f"over.{key} is all; {suggest(name, choices)} can be all, other keys need a list")
        return choices[name]
    if not given:
        raise QsmbenchError(f"over.{key} is []; list its values")
    twice = [v for i, v in enumerate(given) if v in given[:i]]
    if twice:
        raise QsmbenchError(f"over.{key}: {twice[0]!r} is listed twice")
    return given


def _texts(values: Iterable[Any]) -> list[str]:
    """Return values as parts of a name; values that would look alike are numbered."""
    values = list(values)
    texts = [_text(v) for v in values]
    plain = len(set(texts)) == len(texts) and all(texts)
    return texts if plain else [str(i + 1) for i in range(len(values))]


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, list | tuple) and all(isinstance(v, int | float) for v in value):
        return "x".join(f"{v:g}" for v in value)
    if isinstance(value, str):
        return re.sub(r"[^A-Za-z0-9+.-]+", "-", Path(value).stem if "/" in value else value).strip("-")
    return ""


def factors(sources: Mapping[str, Simulated | Measured]) -> dict[str, dict[str, Any]]:
    """Return the factors of each group, by column.

    A key that both phantom and protocol override somewhere in the study, or that has the name of another column,
    becomes `set.key` or `set_protocol.key`.

    Args:
        sources: by group.
    """
    simulated = [s for s in sources.values() if isinstance(s, Simulated)]
    both = {k for s in simulated for k in s.set} & {k for s in simulated for k in s.set_protocol}
    apart = both | {*FACTORS, *COLUMNS} - {"case", "subject"}
    return {group: _factors(source, apart) for group, source in sources.items()}


def _factors(source: Simulated | Measured, apart: set[str]) -> dict[str, Any]:
    """Return the factors of a source; empty texts are omitted."""
    if isinstance(source, Measured):
        return {"subject": source.subject or ""}
    outline = source.outline
    case = {"scenario": outline.scenario, "case": outline.case} if outline.scenario else {}
    named = {"phantom": outline.phantom, "protocol": Path(source.protocol).stem, **case}
    named |= {"subject": str(source.set.get("subject", 0)), "orientation": str(source.orientation or 0)}
    chosen = {k: v for k, v in source.set.items() if k not in ("case", "subject")}
    for where, keys in ((_PHANTOM, chosen), (_PROTOCOL, source.set_protocol)):
        named |= {f"{where}.{k}" if k in apart else k: _cell(v) for k, v in keys.items()}
    return named


def _cell(value: Any) -> Any:
    """Return a value as a table holds it."""
    return value if isinstance(value, str | int | float | bool | None) else json.dumps(value)
