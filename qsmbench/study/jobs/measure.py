"""Job: a measured BIDS scan → a scan folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmbench.data import folders
from qsmbench.data.bids import read_megre
from qsmbench.data.masks import MADE_FROM_MAGNITUDE, mask_from_magnitude
from qsmbench.data.volumes import read_mask
from qsmbench.grid import Triple
from qsmbench.run.specs import MeasureSpec


def run(spec: MeasureSpec, out: Path) -> None:
    """Write the scan below `out`, in the folder `scan`."""
    source = dict(spec.source)
    mask, b0_dir = source.pop("mask"), source.pop("b0_dir")
    convert(
        Path(source.pop("bids")),
        out / "scan",
        mask=Path(mask) if mask else None,
        b0_dir=tuple(b0_dir) if b0_dir else None,
        **source,
    )


def convert(
    bids: Path,
    out: Path,
    *,
    subject: str | None = None,
    session: str | None = None,
    mask: Path | None = None,
    b0_dir: Triple | None = None,
    phase_sign: int = 1,
) -> list[str]:
    """Write a measured scan as an artifact folder, with `notes.json` about rescaling and assumptions.

    Args:
        bids: folder of the BIDS dataset.
        out: folder to write.
        subject, session, mask, b0_dir, phase_sign: see `measured`.

    Returns:
        the notes.
    """
    volumes, params, notes = measured(
        bids, subject=subject, session=session, mask=mask, b0_dir=b0_dir, phase_sign=phase_sign
    )
    folders.write(out, volumes, params.grid)
    folders.write_params(out, params)
    folders.write_json(out / "notes.json", {"notes": notes})
    return notes


def measured(
    bids: Path,
    *,
    subject: str | None = None,
    session: str | None = None,
    mask: Path | None = None,
    b0_dir: Triple | None = None,
    phase_sign: int = 1,
) -> tuple[dict[str, np.ndarray], folders.Params, list[str]]:
    """Read a measured scan.

    Args:
        bids: folder of the BIDS dataset.
        subject, session, b0_dir, phase_sign: see `data.bids.read_megre`.
        mask: NIfTI file; by default the mask is computed from the magnitude.

    Returns:
        phase, magnitude and mask by name, the parameters, and notes about rescaling and assumptions.

    Raises:
        QsmbenchError: see `data.bids.read_megre`; or the mask is on another grid, or empty.
    """
    phase, magnitude, params, notes = read_megre(
        bids, subject=subject, session=session, b0_dir=b0_dir, phase_sign=phase_sign
    )
    if mask:
        voxels = read_mask(mask, params.grid)
    else:
        voxels = mask_from_magnitude(magnitude)
        notes.append(MADE_FROM_MAGNITUDE)
    return {"phase": phase, "magnitude": magnitude, "mask": voxels}, params, notes
