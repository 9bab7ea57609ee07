"""Typed YAML: pydantic models that reject unknown keys, with one-line errors.

A file may be hostile: it is measured before anything is made of it. A few lines of YAML can stand for billions of
values (an alias of an alias of an alias), or be nested until the interpreter gives up.
"""

from __future__ import annotations

import math
import pickle
import re
import stat
from collections import Counter
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from qsmbench.errors import QsmbenchError, shown, suggest


class Model(BaseModel):
    """Base of all models that a user writes as YAML: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _true_is_no_number(cls, content: Any) -> Any:
        for key, value in content.items() if isinstance(content, dict) else ():
            field = cls.model_fields.get(key)
            if field and _holds_bool(value) and not _takes_bool(field.annotation):
                kind = PydanticCustomError("bool", "true and false are not among the values that it takes")
                error: Any = {"type": kind, "loc": (key,), "input": value}
                raise ValidationError.from_exception_data(cls.__name__, [error])
        return content


def _holds_bool(value: Any) -> bool:
    return isinstance(value, bool) or (isinstance(value, list | tuple) and any(map(_holds_bool, value)))


def _takes_bool(annotation: Any) -> bool:
    """Whether an annotation names true and false, anything, or a model, which says itself what it takes."""
    inner = get_args(annotation)
    if inner:
        return any(_takes_bool(a) for a in inner)
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return annotation in (bool, Any) or isinstance(annotation, bool) or is_model  # true, within a Literal


M = TypeVar("M", bound=BaseModel)

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


MAX_BYTES, MAX_VALUES, MAX_DEPTH = 2**20, 100_000, 50
"""What a YAML file may hold: bytes; values, with each alias counted as what it stands for; levels. A study with ten
thousand chains has as many values; assumed."""


def numbers(content: Any) -> Any:
    """Return YAML content with texts such as 1e-4 as numbers, as in YAML 1.2; YAML 1.1 requires a point and a sign."""
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items()}
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return float(content) if isinstance(content, str) and _EXPONENT.fullmatch(content) else content


_TOO_MANY = f"it stands for more than {MAX_VALUES} values, each alias counted as what it stands for"


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Loader of plain YAML; the one in C, if there is one, is ten times as fast."""


def _measure(text: str) -> None:
    """Read a text event by event, and stop as soon as there is too much: composing would follow any nesting."""
    depth = count = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        count += isinstance(event, yaml.NodeEvent)
        if depth > MAX_DEPTH:
            raise RecursionError
        if count > MAX_VALUES:
            raise ValueError(_TOO_MANY)


def parse_yaml(text: str) -> Any:
    """Return the content of YAML, all of its numbers finite.

    Raises:
        ValueError: it is not YAML, too large, nested too deeply, or holds a number that is not finite; one line.
    """
    return pickle.loads(_pickled(text))  # a copy of its own, which the caller may change


@lru_cache(maxsize=64)
def _pickled(text: str) -> bytes:
    """Parse YAML and return the content as a pickle: a study of many subjects reads the same phantom for each."""
    if len(text) > MAX_BYTES:
        raise ValueError(f"it is longer than {MAX_BYTES} bytes")
    try:
        _measure(text)
        loader = _LOADER(text)
        node = loader.get_single_node()
        if node is None:
            return pickle.dumps(None)
        if _values(node, {}, 0) > MAX_VALUES:
            raise ValueError(_TOO_MANY)
        content = numbers(loader.construct_document(node))
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep") from None
    except (yaml.YAMLError, ArithmeticError, ValueError, LookupError, TypeError, AttributeError) as e:
        raise ValueError(" ".join(str(e).split())[:300] or type(e).__name__) from e
    check_finite(content)
    return pickle.dumps(content)


def _values(node: yaml.Node, known: dict[int, int], depth: int) -> int:
    """Count the values of a node, an alias as what it stands for."""
    if depth > MAX_DEPTH:
        raise RecursionError
    if id(node) in known:
        return known[id(node)]
    known[id(node)] = MAX_VALUES + 1  # of an alias within what it stands for
    inner: list[yaml.Node] = []
    if isinstance(node, yaml.SequenceNode):
        inner = node.value
    elif isinstance(node, yaml.MappingNode):
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for name, count in Counter(names).items() if count > 1 and name != "<<"]
        if twice:
            raise ValueError(f"the key {twice[0]!r} is there twice")
        inner = [n for pair in node.value for n in pair]
    known[id(node)] = 1 + sum(_values(n, known, depth + 1) for n in inner)
    return known[id(node)]


def check_finite(content: Any, where: str = "") -> None:
    """Refuse numbers that are not finite, which no quantity can be.

    Raises:
        ValueError: with the first of them; begins with its key.
    """
    if isinstance(content, dict):
        for key, value in content.items():
            check_finite(value, f"{where}.{key}".lstrip("."))
    elif isinstance(content, list | tuple):
        for value in content:
            check_finite(value, where)
    elif isinstance(content, float) and not math.isfinite(content):
        raise ValueError(f"{where or 'a value'} is {content}; it must be a finite number")


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file; see `parse_yaml`.

    Raises:
        QsmbenchError: no such file, not YAML, or not a mapping.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would keep us waiting, and a device never end
            raise ValueError("it is no plain file")
        if status.st_size > MAX_BYTES:
            raise ValueError(f"it is longer than {MAX_BYTES} bytes")
        content = parse_yaml(path.read_text("utf-8-sig"))  # some editors write a byte order mark
    except OSError as e:
        raise QsmbenchError(f"{_short(path)}: {e.strerror or 'cannot be read'}") from e
    except ValueError as e:
        raise QsmbenchError(f"{path}: is not YAML that can be used ({e})") from e
    if not isinstance(content, dict):
        raise QsmbenchError(f"{path}: contains {type(content).__name__}; it must be a mapping of keys to values")
    return content


def _short(path: Path) -> str:
    """A path as a message bears it, even if it is too long to be one."""
    return str(path) if len(str(path)) < 300 else f"{str(path)[:297]}…"


def load_yaml(path: Path, model: type[M], overrides: dict[str, Any] | None = None) -> M:
    """Load a YAML file as a `model`, with some keys overridden; `a.b` is the key b within a.

    Raises:
        QsmbenchError: as for `read_yaml`, or an invalid key or value.
    """
    content = read_yaml(path)
    for key, value in (overrides or {}).items():
        *parents, last = key.split(".")
        node = content
        for parent in parents:
            node[parent] = dict(node.get(parent) or {}) if isinstance(node.get(parent) or {}, dict) else {}
            node = node[parent]
        node[last] = value
    return check(content, model, str(path))


def check(content: dict[str, Any], model: type[M], where: str) -> M:
    """Validate `content` as a `model`; the message of an error begins with `where`."""
    try:
        return model.model_validate(content)
    except ValidationError as e:
        raise QsmbenchError(f"{where}: {explain(e, model)}") from e


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """Return the first error of a validation in one line: key, value and accepted values."""
    problem = error.errors(include_url=False)[0]
    innermost, path = model, []
    for part in problem["loc"]:
        named = [m for m in Model.__subclasses__() if m.__name__ == part]
        if named:  # a union's tag: the model whose keys follow
            innermost = named[0]
            continue
        if "[" in str(part):  # a union's member that has no name
            continue
        path.append(str(part))
        inner = innermost.model_fields.get(str(part))
        innermost = next(iter(_models(inner.annotation)), innermost) if inner else innermost
    key = ".".join(path) or "the file"
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}; {suggest(path[-1], innermost.model_fields)}"
    if problem["type"] == "missing":
        return f"{key} is missing"
    return refused(key, problem["input"], problem["msg"])


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return the models in the annotation of a field: alone, in a list or optional; otherwise an empty list."""
    within = isinstance(annotation, UnionType) or get_origin(annotation) is list
    choices = get_args(annotation) if within else (annotation,)
    return [c for c in choices if isinstance(c, type) and issubclass(c, BaseModel)]


def refused(key: str, value: object, message: str) -> str:
    """Return a one-line message about the invalid value of a key."""
    message = message.removeprefix("Value error, ")
    return f"{key} is {shown(value, 80)}: {message[:1].lower()}{message[1:]}"
