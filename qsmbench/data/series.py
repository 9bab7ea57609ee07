"""The files of one measured scan: what they are, and their volumes, seen to belong together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.data.folders import Params
from qsmbench.data.forms import check_same_b0, scan_grid
from qsmbench.data.phase_units import Evidence, to_radians, unit_of_sidecar
from qsmbench.data.volumes import Header, check_grid, open_header, open_stored, open_volume, without_unit_axes
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, Triple
from qsmbench.units import GAMMA_BAR

SAME_OF_ALL = (
    "MagneticFieldStrength",
    "FlipAngle",
    "RepetitionTime",
    "RepetitionTimeExcitation",
    "SliceThickness",
    "PhaseEncodingDirection",
    "SliceEncodingDirection",
    "ImagingFrequency",
    "B0_dir",
)
"""Keys of a sidecar that all echoes and parts of a scan share."""

_ROUNDING = 1e-3
"""Share by which numbers of sidecars may differ; assumed."""

_NOMINAL = 0.1
"""Share by which a field strength may differ from that of the imaging frequency: 2.89 T are sold as 3 T; assumed."""


@dataclass(frozen=True)
class Image:
    """A file of one echo, and the keys of its sidecar."""

    path: Path
    keys: Mapping[str, Any]

    @cached_property
    def header(self) -> Header:
        """What the file says of its volume beside the values."""
        return open_header(self.path)

    def number(self, key: str) -> float:
        """Return a number of the sidecar.

        Raises:
            QsmbenchError: it is missing, or not a number.
        """
        if key not in self.keys:
            raise QsmbenchError(f"{sidecar_of(self.path)}: {key} is missing")
        value = self.keys[key]
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)
        except (TypeError, ValueError) as e:
            raise QsmbenchError(f"{sidecar_of(self.path)}: {key} is {value!r}; it must be a number") from e


def sidecar_of(volume: Path) -> Path:
    """Return the JSON file that belongs to a volume."""
    return volume.with_name(volume.name.removesuffix(".gz").removesuffix(".nii") + ".json")


@dataclass(frozen=True)
class Series:
    """The files of one scan: by part (phase and mag, or real and imag), one for each echo, in the order of the echoes.

    Attributes:
        parts: files by part.
        name: begins messages and notes about all echoes.
        notes: on how the files were chosen.
    """

    parts: Mapping[str, list[Image]]
    name: str
    notes: list[str] = field(default_factory=list)

    @property
    def first(self) -> Image:
        """The file that the scan's grid is read from."""
        return (self.parts.get("phase") or self.parts["real"])[0]

    @property
    def images(self) -> list[Image]:
        """All files."""
        return [image for images in self.parts.values() for image in images]

    def params(self, b0_dir: Triple | None) -> tuple[Params, list[str]]:
        """Return how the scan was acquired, and notes on what was converted or assumed.

        Args:
            b0_dir: B0 in voxel axes that the user states.

        Raises:
            QsmbenchError: keys are missing, or the files contradict each other or themselves.
        """
        first = self.first
        te = [image.number("EchoTime") for image in self.parts.get("phase") or self.parts["real"]]
        strength = first.number("MagneticFieldStrength")
        grid, notes = scan_grid(first.path, first.header, b0_dir, _direction(first))
        try:
            params = Params(np.array(te), strength, grid)
        except QsmbenchError as e:
            raise QsmbenchError(f"{first.path}: {e}") from e
        self._check_keys(te, strength)
        self._check_places(grid)
        return params, notes

    def _check_keys(self, te: list[float], strength: float) -> None:
        for images in self.parts.values():
            for image, t in zip(images, te, strict=True):
                if "EchoTime" in image.keys and not _same(image.number("EchoTime"), t):
                    of_phase = (self.parts.get("phase") or self.parts["real"])[te.index(t)].path.name
                    raise QsmbenchError(
                        f"{image.path}: EchoTime is {image.keys['EchoTime']}, but {t} in {of_phase}; "
                        "the parts of an echo must agree"
                    )
        for key in SAME_OF_ALL:
            stating = [image for image in self.images if image.keys.get(key) is not None]
            for image in stating[1:]:
                if not _same(image.keys[key], stating[0].keys[key]):
                    raise QsmbenchError(
                        f"{image.path}: {key} is {image.keys[key]}, but {stating[0].keys[key]} in "
                        f"{stating[0].path.name}; all files of a scan must agree"
                    )
        if self.first.keys.get("ImagingFrequency") is not None:
            tesla = self.first.number("ImagingFrequency") * 1e6 / GAMMA_BAR
            if abs(tesla / strength - 1) > _NOMINAL:
                raise QsmbenchError(
                    f"{self.first.path}: MagneticFieldStrength is {strength:g} T, but ImagingFrequency "
                    f"{self.first.keys['ImagingFrequency']} MHz is that of protons at {tesla:.3g} T"
                )

    def _check_places(self, grid: Grid) -> None:
        first = self.first
        for image in self.images:
            header = image.header
            _check_one_volume(image.path, header.shape)
            try:
                check_grid(image.path, header.shape, _like(header, grid), grid)
            except QsmbenchError as e:
                raise QsmbenchError(f"{e} (that of {first.path.name})") from e
            check_same_b0(image.path, header, first.path, first.header)

    def phase_and_magnitude(self, evidence: Evidence, grid: Grid) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Return phase [rad] and magnitude, both (nx, ny, nz, n_echoes) float32, and notes on what was rescaled.

        Args:
            evidence: what the user states of the phase, and where signal is expected.
            grid: of the scan.

        Raises:
            QsmbenchError: a file is damaged, or the unit of the phase is not clear.
        """
        if "phase" in self.parts:
            magnitude = stack(self.parts["mag"])
            seen = Evidence(
                evidence.phase_unit,
                evidence.phase_scale,
                self._unit(),
                signal=signal_of(magnitude, evidence.signal),
                **_storage(self.parts["phase"]),
            )
            phase, notes = to_radians(stack(self.parts["phase"]), self.name, seen)
            return phase, magnitude, notes
        if evidence.phase_unit or evidence.phase_scale:
            raise QsmbenchError(f"{self.name}: has real and imaginary parts; phase_unit is for a phase")
        real, imaginary = stack(self.parts["real"]), stack(self.parts["imag"])
        for part, values in (("real", real), ("imag", imaginary)):
            if not (values < 0).any():
                raise QsmbenchError(
                    f"{self.parts[part][0].path}: has no value below 0, so that it is no {part} part as measured"
                )
        note = f"{self.name}: phase and magnitude computed from real and imaginary parts"
        return np.arctan2(imaginary, real), np.hypot(real, imaginary), [note]

    def _unit(self) -> str | None:
        stated: dict[str | None, Image] = {}
        for image in self.parts["phase"]:
            stated.setdefault(unit_of_sidecar(image.keys.get("Units"), str(image.path)), image)
        if len(stated) > 1:
            a, b = list(stated.values())[:2]
            raise QsmbenchError(
                f"{b.path}: Units is {b.keys.get('Units')!r}, but {a.keys.get('Units')!r} in {a.path.name}; "
                "all echoes of a scan must be in one unit"
            )
        return next(iter(stated))


def signal_of(magnitude: np.ndarray, within: np.ndarray | None = None) -> np.ndarray:
    """Return where there is signal, (nx, ny, nz) bool: above a third of the brightest voxels of the first echo."""
    first = np.nan_to_num(magnitude[..., 0], nan=0.0, posinf=0.0, neginf=0.0)
    bright = first > 0.3 * np.percentile(first, 95)
    return bright if within is None else bright & within


def stack(images: Iterable[Image]) -> np.ndarray:
    """Read the echoes, (nx, ny, nz, n_echoes) float32; values that are not finite stay as they are."""
    volumes = [without_unit_axes(open_volume(i.path, finite=False)[0], 3) for i in images]
    return np.stack([v.astype(np.float32, copy=False) for v in volumes], axis=-1)


def _storage(images: list[Image]) -> dict[str, Any]:
    """How the phase is stored, as keywords of `Evidence`."""
    headers = [image.header for image in images]
    slopes = {(h.slope, h.inter) for h in headers}
    slope, inter = next(iter(slopes)) if len(slopes) == 1 else (None, None)

    def stored() -> np.ndarray:
        return np.stack([without_unit_axes(open_stored(i.path), 3) for i in images], axis=-1)

    return {
        "slope": slope,
        "inter": inter,
        "stored": stored if any(h.is_scaled for h in headers) else None,
        "whole": all(h.dtype.kind in "iu" for h in headers),
    }


def _check_one_volume(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse a file that holds more than one volume.

    Raises:
        QsmbenchError: it does.
    """
    count = int(np.prod(shape[3:]))
    if count > 1:
        raise QsmbenchError(
            f"{path}: has shape {shape}, {count} volumes; an echo has one, so these are uncombined coils, repetitions "
            "or several echoes: combine or split them"
        )


def _like(header: Header, grid: Grid) -> np.ndarray:
    """The affine of a file that is nearest to a grid: one of its forms, where its first one is not that of the scan."""
    if np.allclose(header.affine, grid.affine, atol=1e-3):
        return header.affine
    fitting = [f.affine for f in header.forms if f.code > 0 and np.allclose(f.affine, grid.affine, atol=1e-3)]
    return fitting[0] if fitting else header.affine


def _direction(image: Image) -> Triple | None:
    value = image.keys.get("B0_dir")
    if value is None:
        return None
    try:
        x, y, z = (float(v) for v in value)
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"{sidecar_of(image.path)}: B0_dir is {value!r}; it must be three numbers") from e
    return x, y, z


def _same(a: Any, b: Any) -> bool:
    try:
        return bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=_ROUNDING, atol=1e-9))
    except (TypeError, ValueError):
        return bool(a == b)
