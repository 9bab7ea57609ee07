"""A measured scan: what the user states of it, and the volumes that are read with that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qsmbench.data.bids import ENTITIES, FURTHER, find_megre, further_entities, is_bids, megre_files
from qsmbench.data.flat import find_flat, flat_files, is_flat
from qsmbench.data.folders import Params
from qsmbench.data.masks import MADE_FROM_MAGNITUDE, mask_from_magnitude
from qsmbench.data.phase_units import Evidence, check_scale, check_unit
from qsmbench.data.plausible import check_scan
from qsmbench.data.read_mask import read_mask
from qsmbench.data.series import Series
from qsmbench.data.volumes import check_finite
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Triple


@dataclass(frozen=True)
class Stated:
    """What the user states of a measured scan; all of it may be left out.

    Attributes:
        subject, session, acq, rec, run: labels that choose a scan of a BIDS dataset, with or without `sub-` and so on.
        entities: further entities of its file names, with their labels, such as `ce-gd_dir-AP`.
        mask: NIfTI file of the voxels to reconstruct; by default the mask is made from the magnitude.
        b0_dir: unit vector of B0 in voxel axes; by default that of the sidecar, else of the header.
        phase_sign: −1 if the stored phase falls with the field.
        phase_unit: name of a unit of `data.phase_units.UNITS`; by default the evidence decides.
        phase_scale: rad per stored number, in place of a unit.

    Raises:
        QsmbenchError: a value that is none.
    """

    subject: str | None = None
    session: str | None = None
    acq: str | None = None
    rec: str | None = None
    run: str | None = None
    mask: Path | None = None
    b0_dir: Triple | None = None
    phase_sign: int = 1
    phase_unit: str | None = None
    phase_scale: float | None = None
    entities: str | None = None

    def __post_init__(self) -> None:
        if self.phase_sign not in (1, -1):
            raise QsmbenchError(f"phase_sign is {self.phase_sign!r}; it must be 1 or -1")
        if self.phase_unit is not None:
            check_unit(self.phase_unit)
        check_scale(self.phase_scale, self.phase_unit)
        further_entities(self.entities)

    @property
    def choice(self) -> dict[str, str | None]:
        """The labels, by what they choose."""
        return {key: getattr(self, key) for key in (*ENTITIES, FURTHER)}


def is_measured(folder: Path) -> bool:
    """Return whether a folder holds a measured scan: a BIDS dataset, or files with a table of echoes."""
    return is_bids(folder) or is_flat(folder)


def measured_files(folder: Path, subject: str | None = None, session: str | None = None) -> list[Path]:
    """Return the files that `read_measured` would look at, and perhaps more; none if it would refuse them."""
    return megre_files(folder, subject, session) if is_bids(folder) else flat_files(folder)


def read_measured(folder: Path, stated: Stated | None = None) -> tuple[dict[str, np.ndarray], Params, list[str]]:
    """Read a measured scan.

    Args:
        folder: a BIDS dataset with gradient echoes, or a folder with a table of echoes (`data.flat`).
        stated: what the user states of it.

    Returns:
        phase [rad] and magnitude, (nx, ny, nz, n_echoes) float32, and mask, (nx, ny, nz) bool, by name; the
        parameters; and notes on what was chosen, converted or assumed.

    Raises:
        QsmbenchError: something is missing or damaged, contradicts itself, is not plausible or not clear.
    """
    stated = stated or Stated()
    series = _find(folder, stated)
    params, notes = series.params(stated.b0_dir)
    notes = [*series.notes, *notes]
    mask = None
    if stated.mask is not None:
        other = [form.affine for form in series.first.header.forms if form.code > 0]
        mask, more = read_mask(stated.mask, params.grid, other)
        notes += more
    evidence = Evidence(stated.phase_unit, stated.phase_scale, signal=mask)
    phase, magnitude, more = series.phase_and_magnitude(evidence, params.grid)
    notes += more
    notes += _without_nan(series, {"phase": phase, "mag": magnitude}, mask)
    if mask is None:
        mask = mask_from_magnitude(magnitude)
        notes.append(MADE_FROM_MAGNITUDE)
    phase = phase * np.float32(stated.phase_sign)
    notes += check_scan(phase, magnitude, mask, params, series.name)
    return {"phase": phase, "magnitude": magnitude, "mask": mask}, params, notes


def _find(folder: Path, stated: Stated) -> Series:
    if not folder.is_dir():
        raise QsmbenchError(f"{folder}: no such folder; a BIDS dataset, or a folder with a table of echoes, is needed")
    if is_bids(folder) or not is_flat(folder):
        return find_megre(folder, stated.choice)
    for key, label in stated.choice.items():
        if label is not None:
            raise QsmbenchError(f"{folder}: is not a BIDS dataset; {key} is for these")
    return find_flat(folder)


def _without_nan(series: Series, volumes: Mapping[str, np.ndarray], mask: np.ndarray | None) -> list[str]:
    """Put 0 in place of what is not finite outside the mask, and count it.

    Raises:
        QsmbenchError: it is in the mask, or no mask is given.
    """
    notes = []
    for part, values in volumes.items():
        images = series.parts.get(part) or next(iter(series.parts.values()))
        for e, image in enumerate(images):
            echo = values[..., e]
            try:
                count = check_finite(image.path, echo, mask)
            except QsmbenchError as error:
                hint = "; where these lie outside the object, give a mask" if mask is None else ""
                raise QsmbenchError(f"{error}{hint}") from error
            if count:
                np.nan_to_num(echo, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
                notes.append(f"{image.path.name}: {count} voxels outside the mask are NaN or infinite; set to 0")
    return notes
