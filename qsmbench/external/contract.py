"""What the public QSM-CI contract says: its stages, its names, and what stands in an `algorithm.yml`.

Source: https://github.com/QSMxT/QSM-CI, CONTRACT.md, and the package qsm-ci 0.6.2.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import QsmbenchError, shown
from qsmbench.typed_yaml import read_yaml

MANIFEST = "algorithm.yml"
PARAMS = "params"

NAMES = {a.file.removesuffix(".nii.gz"): name for name, a in ARTIFACTS.items()}
"""The contract's name of each artifact is that of its file: `localfield` → `local_field`."""


@dataclass(frozen=True)
class Stage:
    """What a method of a stage reads and writes, in the contract's names; `params` is read by all."""

    consumes: tuple[str, ...]
    produces: tuple[str, ...]
    magnitude_is_optional: bool = False
    """Where the magnitude is a weight and not the measurement; a method that lists its inputs says so itself."""


STAGES = {
    "field-mapping": Stage(("phase", "magnitude", "mask"), ("totalfield",), True),
    "bfr": Stage(("totalfield", "mask"), ("localfield",)),
    "dipole": Stage(("localfield", "mask"), ("chimap",)),
    "unwrap+bfr": Stage(("phase", "magnitude", "mask"), ("localfield",), True),
    "bfr+dipole": Stage(("totalfield", "mask", "magnitude"), ("chimap",), True),
    "end-to-end": Stage(("phase", "magnitude", "mask"), ("chimap",), True),
    "chi-separation": Stage(("localfield", "r2prime", "chimap", "magnitude", "mask"), ("chi-para", "chi-dia")),
    "r2prime-generation": Stage(("magnitude", "mask"), ("r2prime",)),
    "brain-extraction": Stage(("magnitude",), ("mask",)),
}


@dataclass(frozen=True)
class Manifest:
    """An `algorithm.yml`, with artifacts by our names.

    Attributes:
        name: of the method.
        produces: what it writes.
        required: what it reads.
        optional: what it reads if it is there.
        run: the command of its author, such as `bash run.sh`.
        defaults: its settings and their defaults.
        meanings: of those settings that have one.
        image: of its container, or None.
        reference: citation and DOI.
        description: first sentence of what it is.
        stochastic: whether it uses other random numbers in every run; a key of our own.
    """

    name: str
    produces: tuple[str, ...]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    run: str
    defaults: Mapping[str, Any]
    meanings: Mapping[str, str]
    image: str | None
    reference: str
    description: str
    stochastic: bool


def read_manifest(folder: Path) -> Manifest:
    """Read the `algorithm.yml` of a folder. Keys that the contract does not use are ignored.

    Raises:
        QsmbenchError: no such folder or file, an unknown stage or input, or a value of the wrong kind.
    """
    path = folder / MANIFEST
    if not folder.is_dir():
        raise QsmbenchError(f"{folder}: no such folder; a method's path must name a folder with an {MANIFEST}")
    content = read_yaml(path)
    stage = content.get("stage")
    if not isinstance(stage, str) or stage not in STAGES:
        raise QsmbenchError(f"{path}: stage is {shown(stage)}; choose from {', '.join(STAGES)}")
    required, optional = _inputs(path, content, STAGES[stage])
    run = content.get("run", "bash run.sh")
    if not isinstance(run, str) or not run.strip() or not run.isprintable():
        raise QsmbenchError(f"{path}: run is {shown(run)}; it must be a command, such as bash run.sh")
    image = content.get("image") or None
    if image is not None and not (isinstance(image, str) and image.isprintable() and image[0] != "-"):
        # what begins with a dash would be an option of the engine, such as --privileged
        raise QsmbenchError(f"{path}: image is {shown(image)}; it must be the reference of an image")
    name = str(content.get("slug") or folder.resolve().name)
    if content.get("slug") and not re.fullmatch(r"\w[\w.+-]{0,99}", name):  # files are named after it
        raise QsmbenchError(f"{path}: slug is {shown(name)}; it must consist of letters, digits and . _ + -")
    parameters = _parameters(path, content.get("parameters") or [])
    return Manifest(
        name=name,
        produces=tuple(NAMES[n] for n in STAGES[stage].produces),
        required=required,
        optional=optional,
        run=run,
        defaults={name: p.get("default") for name, p in parameters.items()},
        meanings={
            name: " ".join(str(p["description"]).split()) for name, p in parameters.items() if p.get("description")
        },
        image=image,
        reference=_reference(content),
        description=_description(content, folder),
        stochastic=_stochastic(path, content),
    )


def _inputs(path: Path, content: Mapping[str, Any], stage: Stage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what is read in any case, and what is read if it is there."""
    named = {key: _names(path, key, content.get(key)) for key in ("inputs", "optional_inputs")}
    for key, names in named.items():
        own = [n for n in names if n in stage.produces]
        if own:
            raise QsmbenchError(f"{path}: {key} holds {own[0]!r}, which is the result of this stage")
    required = named["inputs"] or list(stage.consumes)
    optional = named["optional_inputs"]
    if not named["inputs"] and stage.magnitude_is_optional:
        optional = ["magnitude", *optional]
    required = [n for n in required if n not in optional]
    return tuple(NAMES[n] for n in required), tuple(dict.fromkeys(NAMES[n] for n in optional))


def _names(path: Path, key: str, value: Any) -> list[str]:
    names = value or []
    if not isinstance(names, list):
        raise QsmbenchError(f"{path}: {key} is {shown(names)}; it must be a list of artifacts")
    for name in names:
        if not isinstance(name, str) or (name not in NAMES and name != PARAMS):
            raise QsmbenchError(f"{path}: {key} holds {shown(name)}; choose from {', '.join([*NAMES, PARAMS])}")
    return [n for n in names if n != PARAMS]


def _parameters(path: Path, parameters: Any) -> dict[str, dict[str, Any]]:
    """Return the entries of the parameters, by name."""
    entries = parameters if isinstance(parameters, list) else [parameters]
    if not all(isinstance(p, dict) and p.get("name") for p in entries):
        raise QsmbenchError(
            f"{path}: parameters is {shown(parameters)}; it must be a list of mappings with a name each"
        )
    by_name = {str(p["name"]): p for p in entries}
    # they become variables of the environment
    strange = [n for n in by_name if not n.isprintable() or "=" in n or len(n) > 100]
    if strange:
        raise QsmbenchError(f"{path}: a parameter is called {shown(strange[0])}; choose another name")
    taken = [name for name in by_name if name in ARTIFACTS or name in ("grid", "te", "b0")]
    if taken:
        raise QsmbenchError(f"{path}: a parameter is called {taken[0]!r}, which is the name of an artifact")
    return by_name


def _stochastic(path: Path, content: Mapping[str, Any]) -> bool:
    given = content.get("stochastic", False)
    if not isinstance(given, bool):
        raise QsmbenchError(f"{path}: stochastic is {shown(given)}; it must be true or false")
    return given


def _reference(content: Mapping[str, Any]) -> str:
    doi = content.get("doi")
    known = [content.get("citation"), f"doi:{doi}" if doi else None, content.get("code_url")]
    return ", ".join(" ".join(str(k).split()) for k in known if k) or "no reference given"


def _description(content: Mapping[str, Any], folder: Path) -> str:
    words = " ".join(str(content.get("description") or content.get("name") or folder.name).split())
    return words.split(". ", 1)[0].removesuffix(".") + "."
