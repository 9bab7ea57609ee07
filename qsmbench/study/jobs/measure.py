"""Job: a measured BIDS scan → a scan folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from qsmbench.data import folders, volumes
from qsmbench.data.bids import read_megre
from qsmbench.data.masks import mask_from_magnitude
from qsmbench.study.datasets import Measured


def main(arguments: list[str]) -> None:
    """Run the job: SPEC (a `Measured` as JSON) and the folder to write."""
    parser = argparse.ArgumentParser(prog="measure")
    parser.add_argument("spec", type=json.loads)
    parser.add_argument("out", type=Path)
    args = parser.parse_args(arguments)
    convert(Measured.model_validate(args.spec), args.out)


def convert(source: Measured, out: Path) -> list[str]:
    """Write a measured scan as an artifact folder, with `notes.json` of what was rescaled or assumed.

    Returns:
        the notes.
    """
    phase, magnitude, params, notes = read_megre(
        source.bids,
        subject=source.subject,
        session=source.session,
        b0_dir=source.b0_dir,
        phase_sign=source.phase_sign,
    )
    if source.mask:
        mask = volumes.read_mask(source.mask, params.grid)
    else:
        mask = mask_from_magnitude(magnitude)
        notes.append("mask made from the magnitude: threshold, largest connected part, holes filled")
    folders.write(out, {"phase": phase, "magnitude": magnitude, "mask": mask}, params.grid)
    folders.write_params(out, params)
    folders.write_json(out / "notes.json", {"notes": notes})
    return notes
