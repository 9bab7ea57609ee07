"""A simulated scan and its truth as files for `qsm-ci run --truth`, the scorer of QSM-CI."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import (
    PARAMS_FILE,
    REGIONS_FILE,
    make_folder,
    present,
    read,
    read_params,
    read_regions,
    write,
    write_params,
    write_regions,
)
from qsmbench.data.label_scheme import QSM_CI, renumbered, scheme
from qsmbench.errors import QsmbenchError
from qsmbench.external.contract import STAGES


def export(simulation: Path, out: Path, *, note: Callable[[str], object], truth: Path | None = None) -> list[Path]:
    """Write the inputs and the truth of a simulated scan in the file names, units and labels of QSM-CI 0.6.2.

    `out`/inputs contains what a method may read; `out`/groundtruth the maps that it is scored on, the study mask, and
    `dseg.nii.gz` in the label numbers that QSM-CI's regional metrics expect.

    Args:
        simulation: folder written by `qsmbench simulate`, with `scan` and `truth`; or a scan, with `truth` given.
        out: folder to write.
        note: receives a line about regions that QSM-CI has no label for.
        truth: folder of the truth, if it is not `simulation`/truth.

    Returns:
        the folders of inputs and truth.

    Raises:
        QsmbenchError: a folder is missing or incomplete.
    """
    scan = simulation if truth else simulation / "scan"
    truth = truth or simulation / "truth"
    for folder, what in ((scan, "scan"), (truth, "truth")):
        if not (folder / PARAMS_FILE).is_file():
            raise QsmbenchError(f"{folder}: is not the {what} of a simulation; name a folder of qsmbench simulate")
    wanted = {name for stage in STAGES.values() for name in (*stage.consumes, *stage.produces)}
    inputs, answers = out / "inputs", out / "groundtruth"
    for given, made in ((scan, inputs), (truth, answers)):
        make_folder(made)
        for name in present(given):
            file = ARTIFACTS[name].file
            if file.removesuffix(".nii.gz") in wanted:
                shutil.copyfile(given / file, made / file)
        write_params(made, read_params(given))
    _write_labels(truth, answers, note)
    return [inputs, answers]


def _write_labels(truth: Path, answers: Path, note: Callable[[str], object]) -> None:
    if "labels" not in present(truth):
        return
    grid, to = read_params(truth).grid, scheme(QSM_CI)
    labels, left_out = renumbered(read(truth, "labels", grid), read_regions(truth / REGIONS_FILE), to)
    write(answers, {"labels": labels}, grid)
    write_regions(answers / REGIONS_FILE, [(i, label.name, "") for i, label in to.labels.items()])
    if left_out:
        note(f"label 0, since the scheme {QSM_CI} has none for them: {', '.join(left_out)}")
