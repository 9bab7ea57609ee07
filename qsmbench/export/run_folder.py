"""Run a chain of built-in methods as the QSM-CI contract asks: `python -m qsmbench.export.run_folder CHAIN IN OUT`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.folders import present, read_json, read_of, read_params, write
from qsmbench.errors import QsmbenchError
from qsmbench.export.folder import chain_steps, settings
from qsmbench.external.contract import NAMES, STAGES
from qsmbench.external.folder import CONFIG_FILE
from qsmbench.run.call import Inputs, apply


def run(chain: str, given: Path, made: Path) -> None:
    """Run all steps of a chain on a folder of artifacts, and write the products that the contract knows.

    Args:
        chain: methods joined by dots.
        given: folder with `params.json`, NIfTI files and, for settings that are not at their default, `config.json`.
        made: existing folder for the products.

    Raises:
        QsmbenchError: an input is missing or damaged, or a setting is unknown.
    """
    steps, params = chain_steps(chain), read_params(given)
    stated = read_json(given / CONFIG_FILE) if (given / CONFIG_FILE).is_file() else {}
    known = {key: (step.chain, setting) for key, step, setting, _ in settings(steps)}
    for key in stated:
        if key not in known:
            raise QsmbenchError(f"{given / CONFIG_FILE}: unknown setting {key!r}; choose from {', '.join(known)}")
    volumes: dict[str, Callable[[], np.ndarray]] = {n: partial(read_of, given, n, params) for n in present(given)}
    products: dict[str, np.ndarray] = {}
    for step in steps:
        own: dict[str, Any] = {known[k][1]: v for k, v in stated.items() if known[k][0] == step.chain}
        products, _ = apply(step.method, own, Inputs(params, volumes))
        volumes |= {name: partial(np.copy, volume) for name, volume in products.items()}
    contract = {NAMES[p] for stage in STAGES.values() for p in stage.produces}
    write(made, {name: volume for name, volume in products.items() if name in contract}, params.grid)


if __name__ == "__main__":
    try:
        run(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
    except QsmbenchError as error:
        sys.exit(f"qsmbench: {error}")
