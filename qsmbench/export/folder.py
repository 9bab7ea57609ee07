"""A chain of built-in methods as a folder that follows the QSM-CI contract, to submit or to run elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from qsmbench import __version__
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import make_folder
from qsmbench.errors import QsmbenchError
from qsmbench.external.contract import MANIFEST, PARAMS, STAGES
from qsmbench.run import chains, registry
from qsmbench.run.chains import Step

IN_PARAMS = ("grid", "te", "b0")
"""What every folder reads from `params.json`."""

RUN = """\
#!/usr/bin/env bash
# Called as run.sh IN OUT by whoever follows the QSM-CI contract.
set -euo pipefail
exec python3 -m qsmbench.export.run_folder {chain} "${{1:-/input}}" "${{2:-/output}}"
"""

DOCKERFILE = """\
FROM python:3.12-slim
RUN pip install --no-cache-dir qsmbench=={version}
"""


def export(chain: str, out: Path) -> list[Path]:
    """Write a folder that runs a chain of built-in methods.

    Args:
        chain: a method, such as `tv`, or methods joined by dots, such as `romeo.fit.vsharp.tv`.
        out: folder to write; it must not exist.

    Returns:
        the files.

    Raises:
        QsmbenchError: a method is unknown or not built in, no stage of the contract has such inputs and outputs, or
            the folder exists.
    """
    steps = chain_steps(chain)
    stage = _stage(chain, steps)
    required, optional = needs(steps)
    if out.exists():
        raise QsmbenchError(f"{out}: already exists and is not overwritten")
    references = dict.fromkeys(s.method.reference for s in steps)
    manifest: dict[str, Any] = {
        "name": chain,
        "slug": chain.replace(".", "-").replace("_", "-"),
        "stage": stage,
        "description": " then ".join(s.method.summary.rstrip(".") for s in steps),
        "citation": "; ".join(references),
        "inputs": [*map(_named, required), PARAMS],
        "optional_inputs": [_named(n) for n in optional],
        "run": "bash run.sh",
        "parameters": [
            {"name": key, "default": default, "description": f"{setting} of {step.name}"}
            for key, step, setting, default in settings(steps)
        ],
    }
    make_folder(out)
    texts = {
        MANIFEST: yaml.safe_dump(manifest, sort_keys=False, allow_unicode=True, width=120),
        "run.sh": RUN.format(chain=chain),
        "Dockerfile": DOCKERFILE.format(version=__version__),
    }
    for file, text in texts.items():
        (out / file).write_text(text)
    return [out / file for file in texts]


def chain_steps(chain: str) -> list[Step]:
    """Return the steps of a chain that is given whatever its first methods need, each a built-in method.

    Raises:
        QsmbenchError: a method is unknown or not built in.
    """
    found: list[Step] = []
    providers: dict[str, str] = {}
    for prefix in chains.prefixes(chain):
        name = prefix.rpartition(".")[2]
        if not registry.is_own(name) or name == chains.TRUTH:
            raise QsmbenchError(f"{name!r} is not a built-in method; choose from {', '.join(registry.names())}")
        method = registry.find(name)
        found.append(Step(prefix, method, chains.Use(name), dict(providers)))
        providers |= dict.fromkeys(method.produces, prefix)
    return found


def needs(steps: list[Step]) -> tuple[list[str], list[str]]:
    """Return the artifacts that a chain reads and no earlier step of it computes: required ones, and optional ones."""
    required: dict[str, None] = {}
    optional: dict[str, None] = {}
    for step in steps:
        for name in step.method.consumes:
            if name not in IN_PARAMS and name not in step.providers:
                (optional if name in step.method.optional else required)[name] = None
    return list(required), [n for n in optional if n not in required]


def settings(steps: list[Step]) -> Iterator[tuple[str, Step, str, Any]]:
    """Yield the parameter's name in the folder, step, setting and default of all settings of a chain."""
    for step in steps:
        for setting, default in step.method.settings.items():
            yield (setting if len(steps) == 1 else f"{step.name}_{setting}"), step, setting, default


def _named(artifact: str) -> str:
    return ARTIFACTS[artifact].file.removesuffix(".nii.gz")


def _stage(chain: str, steps: list[Step]) -> str:
    """Return the name of the stage that has the chain's inputs and products."""
    required, _ = needs(steps)
    known = [n for n in required if n in ARTIFACTS]  # `orientations` are no artifact
    reads, makes = {_named(n) for n in known}, {_named(n) for n in steps[-1].method.produces}
    fitting = [n for n, s in STAGES.items() if reads <= set(s.consumes) and set(s.produces) <= makes]
    if len(known) < len(required) or not fitting:
        pairs = "; ".join(f"{' and '.join(s.produces)} from {', '.join(s.consumes)}" for s in STAGES.values())
        raise QsmbenchError(
            f"{chain}: computes {' and '.join(sorted(makes))} from {', '.join(required)}; "
            f"the stages of the contract compute {pairs}"
        )
    return fitting[0]
