"""Reading a phantom's description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveFloat, TypeAdapter, ValidationError

from qsmbench.errors import QsmbenchError, shown, suggest
from qsmbench.paths import data_dir
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.description.expressions import resolve, substitute
from qsmbench.phantom.description.files import locate
from qsmbench.phantom.description.models import Description, LabelDescription, ShapesDescription
from qsmbench.phantom.description.norms import Sex
from qsmbench.phantom.description.population import read_population
from qsmbench.phantom.description.scenario import as_scenario, scenarios
from qsmbench.phantom.description.subject import Person, draw
from qsmbench.phantom.labelmap import LabelPhantom
from qsmbench.phantom.layers import ShapePhantom
from qsmbench.typed_yaml import Model, check, check_finite, read_yaml, refused
from qsmbench.units import DR_3T

SUFFIX = ".yaml"


def names() -> list[str]:
    """List the phantoms in the phantoms folder."""
    files = (data_dir() / "phantoms").glob(f"*{SUFFIX}")
    return sorted(f.stem for f in files)


def cases(name_or_path: str) -> list[str]:
    """Return the names of the cases of a scenario, controls first; empty for a phantom.

    Raises:
        QsmbenchError: there is no such phantom or scenario.
    """
    path = _path(name_or_path)
    scenario = as_scenario(read_yaml(path), path)
    return list(scenario.cases) if scenario else []


def is_key(name_or_path: str, key: str) -> bool:
    """Whether a key can be overridden in a phantom, or (for a dotted key) its first part.

    Raises:
        QsmbenchError: there is no such phantom or scenario.
    """
    path = _path(name_or_path)
    content = read_yaml(path)
    if scenario := as_scenario(content, path):
        if key == "case":
            return True
        content = read_yaml(_path(scenario.phantom))
    description = LabelDescription if content.get("kind") == "labelmap" else ShapesDescription
    first = key.partition(".")[0]
    return first in {*description.model_fields, "subject"} or key in (content.get("parameters") or {})


def load(name_or_path: str, overrides: dict[str, Any] | None = None) -> Phantom:
    """Load a phantom or a scenario by its name in the phantoms folder, or by the path of a YAML file.

    Args:
        name_or_path: `head`, `sphere`, `parkinson`, …, or a path.
        overrides: dotted key → value, such as `{'voxel_size': 1.5, 'tissues.caudate.chi': 0.1}`; a description's
            parameters go by their bare names, such as `radius`, and a scenario's case by `case`.

    Raises:
        QsmbenchError: no such phantom, an unknown key or an invalid value.
    """
    path, overrides = _path(str(name_or_path)), dict(overrides or {})
    chosen = set(overrides)
    content = read_yaml(path)
    name, files, case = path.stem, [path], None
    if scenario := as_scenario(content, path):
        where, path = path, _path(scenario.phantom)
        case = scenario.case(overrides.pop("case", None), where)
        content = case.content(read_yaml(path))
        chosen |= set(case.changes.get("parameters") or {})
        files.append(path)
    try:
        check_finite(overrides)
    except ValueError as e:
        raise QsmbenchError(f"{path}: {e}") from e
    for key, value in overrides.items():
        _override(content, key, value, path)
    person = _personalise(content, path, chosen)
    try:
        content = _computed(content, {} if person is None else {"age": person.age})
    except ValueError as e:
        raise QsmbenchError(f"{path}: {e}") from e
    try:
        description: Any = TypeAdapter(Description).validate_python(content)
    except ValidationError as e:
        raise QsmbenchError(f"{path}: {_first(e, content)}") from e
    kind = LabelPhantom if isinstance(description, LabelDescription) else ShapePhantom
    phantom = kind(name, path, description, tuple(files), case, tuple(overrides))
    phantom.check()
    return phantom


class PersonKeys(Model):
    """The keys that choose a person."""

    model_config = ConfigDict(extra="ignore")
    population: str
    subject: Annotated[int, Field(ge=0)] = 0
    age: PositiveFloat | None = None
    sex: Sex | None = None


def _personalise(content: dict[str, Any], path: Path, chosen: set[str]) -> Person | None:
    """Modify the relaxivity and all parameters but `chosen` for the subject, and add the subject's sources; in place.

    Returns:
        the person; None without a population.
    """
    if not content.get("population"):
        for key in ("subject", "age", "sex"):
            if content.get(key):
                raise QsmbenchError(f"{path}: {key} is {shown(content[key])}; this phantom has no population")
        return None
    who = check(content, PersonKeys, str(path))
    population = read_population(locate(who.population, path.parent))
    person = draw(population, who.subject, who.age, who.sex)
    parameters = content.get("parameters") or {}
    for name in (*population.parameters, *person.drawn):
        if name not in parameters:
            raise QsmbenchError(f"{path}: has no parameter {name!r}, which its population changes")
        if isinstance(parameters[name], str):
            raise QsmbenchError(f"{path}: parameter {name!r}, which its population changes, is {parameters[name]!r}")
    for name, law in population.parameters.items():
        if name not in chosen:
            normal = person.parameters[name]
            parameters[name] = law.changed(parameters[name], person.age, population.age.reference, normal)
    parameters |= {name: value for name, value in person.drawn.items() if name not in chosen}
    content.setdefault("dr", person.dr * DR_3T)  # one that the user gives stays
    if person.sources:
        content["sources"] = [*person.sources, *content.get("sources", [])]
    return person


def _computed(content: dict[str, Any], known: dict[str, float]) -> dict[str, Any]:
    """Return a description's content with all expressions computed from its parameters.

    Raises:
        ValueError: an expression is not arithmetic, or names no parameter.
    """
    parameters = content.get("parameters")
    if not isinstance(parameters, dict):
        parameters = {}
    resolved = resolve(parameters, known)
    rest = substitute({k: v for k, v in content.items() if k != "parameters"}, {**known, **resolved})
    return {**rest, "parameters": resolved} if parameters else rest


def _path(name: str) -> Path:
    if name in names():
        return data_dir() / "phantoms" / f"{name}{SUFFIX}"
    if name in scenarios():
        return scenarios()[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if path.is_file():
            return path
        raise QsmbenchError(f"{path}: no such file")
    known = suggest(name, [*names(), *scenarios()])
    raise QsmbenchError(f"phantom {name!r} is unknown; {known}, or give a path to a YAML")


def _override(content: dict[str, Any], key: str, value: Any, path: Path) -> None:
    parameters = content.get("parameters")
    if isinstance(parameters, dict) and key in parameters:
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise QsmbenchError(f"{path}: {key} is {shown(value)}; it must be a number")
        parameters[key] = value
        return
    *parents, last = key.split(".")
    node = content
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise QsmbenchError(f"{path}: {key} is unknown: {parent} has no keys below it")
    node[last] = value


_KINDS = ("shapes", "labelmap")


def _first(error: ValidationError, content: dict[str, Any]) -> str:
    """Return the first error in one line: key, value, what is accepted."""
    first = error.errors()[0]
    key = ".".join(str(p) for p in first["loc"] if p not in _KINDS) or "the file"
    if first["type"] == "extra_forbidden":
        unknown = f"{key} is unknown (value {shown(first['input'])})"
        if "." in key:
            return f"{unknown}; see the other phantoms for the accepted keys"
        description = LabelDescription if content.get("kind") == "labelmap" else ShapesDescription
        keys = [*description.model_fields, *(content.get("parameters") or {})]
        return f"{unknown}; {suggest(key, keys)}"
    if first["type"] == "missing":
        return f"{key} is missing"
    return refused(key, first["input"], first["msg"])
