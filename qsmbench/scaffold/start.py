"""A start for somebody's own method: files that run, and a test that they pass."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

import jinja2

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import make_folder
from qsmbench.errors import QsmbenchError
from qsmbench.external.contract import NAMES, STAGES
from qsmbench.run import registry

LANGUAGES = ("python", "shell")

_TEMPLATES = Path(__file__).parent / "templates"


def write_start(name: str, folder: Path, *, produces: str, source: str | None = None, language: str) -> list[Path]:
    """Write the files of a new method.

    Args:
        name: of the method: small letters and digits, in a folder for other languages also hyphens.
        folder: to write into.
        produces: the artifact that it makes.
        source: the artifact that it is made of; by default the one before it in the pipeline.
        language: python, for a file with a function; or shell, for a folder with a `run.sh`, for any language.

    Returns:
        the files; the last is the test.

    Raises:
        QsmbenchError: the name is taken or no name, an artifact is unknown or does not fit, or a file is there already.
    """
    _check_name(name, language)
    for option, artifact in (("--produces", produces), ("--from", source or "chi")):
        if artifact not in ARTIFACTS:
            raise QsmbenchError(f"{option} is {artifact!r}; choose from {', '.join(ARTIFACTS)}")
    source = source or ARTIFACTS[produces].made_from
    if source is None:
        raise QsmbenchError(f"--produces {produces}: give its input artifact with --from")
    if source == produces:
        raise QsmbenchError(f"--from is {source!r}, the same as --produces")
    if ARTIFACTS[produces].echoes and not ARTIFACTS[source].echoes:
        raise QsmbenchError(f"--from is {source!r}, which has no echoes, but {produces} has")
    context = {
        "name": name,
        "produces": produces,
        "source": source,
        "language": language,
        "inverts": produces == "chi" and source in ("local_field", "total_field"),
        "artifacts": ARTIFACTS,
    }
    if language == "python":
        return _write(folder, {f"{name}.py": "method.py", f"test_{name}.py": "test.py"}, context)
    stage = _stage(produces, source)
    context |= {"stage": stage, "products": STAGES[stage].produces}
    names = {f: f for f in ("algorithm.yml", "run.sh", "recon.py")}
    return _write(folder / name, {**names, f"test_{name}.py": "test.py"}, context)


def _check_name(name: str, language: str) -> None:
    if language not in LANGUAGES:
        raise QsmbenchError(f"--language is {language!r}; choose from {', '.join(LANGUAGES)}")
    pattern = "[a-z][a-z0-9]*" if language == "python" else "[a-z][a-z0-9-]*"
    if not re.fullmatch(pattern, name) or keyword.iskeyword(name):
        more = "" if language == "python" else " and hyphens"
        raise QsmbenchError(
            f"{name!r} is not a valid name for a method; use lower-case letters, then also digits{more}"
        )
    if name in registry.names():
        raise QsmbenchError(f"{name!r} is the name of an existing method; see qsmbench list methods")


def _stage(produces: str, source: str) -> str:
    fitting = [
        name
        for name, stage in STAGES.items()
        if produces in [NAMES[p] for p in stage.produces] and source in [NAMES[c] for c in stage.consumes]
    ]
    if not fitting:
        pairs = [f"{NAMES[s.produces[0]]} from {NAMES[s.consumes[0]]}" for s in STAGES.values()]
        raise QsmbenchError(
            f"no stage of the contract computes {produces} from {source}; choose from {', '.join(pairs)}"
        )
    return fitting[0]


def _write(folder: Path, templates: dict[str, str], context: dict[str, object]) -> list[Path]:
    """Write each file from its template, none if one is there already."""
    files = [folder / name for name in templates]
    for file in files:
        if file.exists():
            raise QsmbenchError(f"{file}: already exists and is not overwritten")
    make_folder(folder)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for file, template in zip(files, templates.values(), strict=True):
        file.write_text(environment.get_template(f"{template}.j2").render(context), encoding="utf-8")
    return files
