"""Typed YAML: pydantic models that reject unknown keys, with one-line errors."""

from __future__ import annotations

import re
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from qsmbench.errors import QsmbenchError, suggest


class Model(BaseModel):
    """Base of all models that a user writes as YAML: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


M = TypeVar("M", bound=BaseModel)

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""Loader of plain YAML; the one in C, if there is one, is ten times as fast."""


_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")


def numbers(content: Any) -> Any:
    """Return YAML content with texts such as 1e-4 as numbers, as in YAML 1.2; YAML 1.1 requires a point and a sign."""
    if isinstance(content, dict):
        return {key: numbers(value) for key, value in content.items()}
    if isinstance(content, list):
        return [numbers(value) for value in content]
    return float(content) if isinstance(content, str) and _EXPONENT.fullmatch(content) else content


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in a YAML file.

    Raises:
        QsmbenchError: no such file, not YAML, or not a mapping.
    """
    try:
        content = numbers(yaml.load(path.read_text(), LOADER))
    except OSError as e:
        raise QsmbenchError(f"{path}: {e.strerror or 'cannot be read'}") from e
    except (yaml.YAMLError, UnicodeDecodeError) as e:
        raise QsmbenchError(f"{path}: is not YAML ({' '.join(str(e).split())})") from e
    if not isinstance(content, dict):
        raise QsmbenchError(f"{path}: contains {type(content).__name__}; it must be a mapping of keys to values")
    return content


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
    shown = repr(value)
    return f"{key} is {shown if len(shown) < 80 else shown[:77] + '…'}: {message[:1].lower()}{message[1:]}"
