"""Reconstructions as BIDS derivatives: one derivative dataset per chain."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from qsmbench import __version__
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.bids import write_maps
from qsmbench.data.folders import present, read_json, read_of, read_params, write_json
from qsmbench.errors import QsmbenchError
from qsmbench.run.specs import RUN_FILE, ScoreSpec, read_record
from qsmbench.study.reconstruct import CHAIN_FILE

TEXT = """Reconstructions by the chain {chain} of qsmbench {version}.
Susceptibility in ppm, fields in Hz and relaxation rates in 1/s, zero outside the mask. `participants.tsv` tells the
dataset that each subject stands for.
"""


class Maps(NamedTuple):
    """The maps of one chain on one scan.

    Attributes:
        dataset: name of the scan.
        chain: method names joined by dots.
        folder: of the maps.
        scan: folder of the scan.
    """

    dataset: str
    chain: str
    folder: Path
    scan: Path


def export(results: Path, out: Path, *, note: Callable[[str], object]) -> list[Path]:
    """Write the maps of a study or of one reconstruction as BIDS derivatives.

    χ is written in ppm, R2* in 1/s, and fields in Hz with the magnitude of the first echo. Maps without a BIDS name,
    such as unwrapped phases, are left out. The label of a subject is the name of its dataset without punctuation; the
    table `participants.tsv` has both.

    Args:
        results: folder of a study, or folder written by `qsmbench reconstruct`.
        out: folder to write; it must not exist.
        note: receives a line about each chain that has no map with a BIDS name.

    Returns:
        the derivative datasets, one per chain.

    Raises:
        QsmbenchError: the folder is not one of those, `out` exists, or two datasets would get the same label.
    """
    found = list(_of_reconstruction(results) if (results / CHAIN_FILE).is_file() else _of_study(results))
    if not found:
        raise QsmbenchError(f"{results}: contains no maps; name the folder of a study or of qsmbench reconstruct")
    if out.exists():
        raise QsmbenchError(f"{out}: already exists and is not overwritten")
    labels = _labels(sorted({m.dataset for m in found}))
    written: dict[str, Path] = {}
    for chain in dict.fromkeys(m.chain for m in found):
        root = out / chain.replace(".", "-")
        there = {m.dataset: labels[m.dataset] for m in found if m.chain == chain and _write(m, root, labels[m.dataset])}
        if there:
            written[chain] = root
            _write_participants(root, there)
        else:
            note(f"{chain}: its maps have no BIDS name")
    return list(written.values())


def _write_participants(root: Path, labels: Mapping[str, str]) -> None:
    """Write the table of subjects, by dataset."""
    rows = ["participant_id\tdataset", *(f"sub-{label}\t{name}" for name, label in labels.items())]
    (root / "participants.tsv").write_text("\n".join(rows) + "\n")
    write_json(root / "participants.json", {"dataset": {"Description": "name of the dataset in qsmbench"}})


def _of_reconstruction(folder: Path) -> Iterator[Maps]:
    spec = ScoreSpec.from_json(read_json(folder / CHAIN_FILE), str(folder / CHAIN_FILE))
    yield Maps(folder.resolve().name, spec.chain, folder, folder / spec.scan)


def _of_study(study: Path) -> Iterator[Maps]:
    for file in sorted(study.glob(f"*/chains/*/{RUN_FILE}")):
        record, dataset = read_record(file), file.parents[2]
        if record is not None and record.ok:
            yield Maps(dataset.name, file.parent.name, file.parent, dataset / "scan")


def _labels(datasets: list[str]) -> dict[str, str]:
    """Return a BIDS label for each dataset: letters and digits only."""
    labels = {name: re.sub(r"[^A-Za-z0-9]", "", name) for name in datasets}
    for name, label in labels.items():
        same = [other for other, its in labels.items() if its == label and other != name]
        if same or not label:
            raise QsmbenchError(f"datasets {name!r} and {(same or [''])[0]!r} would have the same BIDS label {label!r}")
    return labels


def _write(maps: Maps, root: Path, label: str) -> bool:
    """Write the maps that have a BIDS name; return whether there are any."""
    params = read_params(maps.scan)
    names = [n for n in present(maps.folder) if ARTIFACTS[n].bids is not None]
    if not names:
        return False
    volumes = {n: read_of(maps.folder, n, params) for n in names}
    measured = "magnitude" in present(maps.scan)
    magnitude = read_of(maps.scan, "magnitude", params)[..., 0] if measured else np.zeros(params.grid.shape, np.float32)
    text = TEXT.format(chain=maps.chain, version=__version__)
    write_maps(root, volumes, magnitude, params, subject=label, name=maps.chain, text=text, skull_stripped=True)
    return True
