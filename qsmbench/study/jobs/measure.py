"""Job: a measured scan → a scan folder, and the truth of the sources planted into it."""

from __future__ import annotations

from pathlib import Path

from qsmbench.data import folders
from qsmbench.data.measured import Stated, read_measured
from qsmbench.run.specs import MeasureSpec
from qsmbench.study.plant import plant_into


def run(spec: MeasureSpec, out: Path) -> None:
    """Write the scan below `out`, in the folder `scan`; with planted sources, their truth in `truth`."""
    source = dict(spec.source)
    folder, mask, b0_dir = source.pop("bids"), source.pop("mask"), source.pop("b0_dir")
    sources, tissue = source.pop("plant"), source.pop("plant_tissue")
    stated = Stated(mask=Path(mask) if mask else None, b0_dir=tuple(b0_dir) if b0_dir else None, **source)
    convert(Path(folder), out / "scan", stated)
    if sources:
        notes = plant_into(out / "scan", out / "scan", out / "truth", sources, tissue=tissue)
        found = folders.read_json(out / "scan" / "notes.json")["notes"]
        folders.write_json(out / "scan" / "notes.json", {"notes": [*found, *notes]})


def convert(folder: Path, out: Path, stated: Stated) -> list[str]:
    """Write a measured scan as an artifact folder, with `notes.json` of what was chosen, converted or assumed.

    Args:
        folder: a BIDS dataset, or a folder with a table of echoes.
        out: folder to write.
        stated: what the user states of it.

    Returns:
        the notes.

    Raises:
        QsmbenchError: see `data.measured.read_measured`.
    """
    volumes, params, notes = read_measured(folder, stated)
    folders.write(out, volumes, params.grid)
    folders.write_params(out, params)
    folders.write_json(out / "notes.json", {"notes": notes})
    return notes
