"""Scans and their truth, as arrays."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.api.values import volume
from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS, SCAN_ARTIFACTS, VEIN_ARTIFACTS
from qsmbench.data.folders import Params
from qsmbench.data.masks import MADE_FROM_MAGNITUDE, mask_from_magnitude
from qsmbench.data.measured import Stated, is_measured, read_measured
from qsmbench.data.phase_units import Evidence
from qsmbench.data.plausible import check_b0, check_echo_times
from qsmbench.data.provenance import PROVENANCE_FILE, SCENARIO_FILE, read_provenance
from qsmbench.data.source_table import SOURCES_FILE, read_sources
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.study.jobs.simulate import Basis, write_basis
from qsmbench.study.reconstruct import check_unstated
from qsmbench.study.tuned import SOURCE_FILE


class Truth(Mapping[str, np.ndarray]):
    """The truth of a scan: arrays by artifact name, such as `truth["chi"]`.

    Attributes:
        mask: (nx, ny, nz) bool, the study mask.
        regions: index, name and group of the labels; empty if there are none.
        grid: of all arrays.
        params: echo times, B0 and grid.
        basis: the values that the truth depends on; None if unknown.
        source: the phantom, protocol and seed of the simulation.
    """

    def __init__(
        self,
        volumes: Mapping[str, np.ndarray],
        params: Params,
        basis: Basis | None = None,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        self._volumes, self.params, self.basis, self.source = dict(volumes), params, basis, dict(source or {})

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._volumes:
            raise KeyError(f"the truth has no {name!r}; choose from {', '.join(self._volumes)}")
        return self._volumes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._volumes)

    def __len__(self) -> int:
        return len(self._volumes)

    def __repr__(self) -> str:
        return f"<truth of {_size(self.grid)}: {', '.join(self)}>"

    @property
    def grid(self) -> Grid:
        """Shape, voxel size and affine of all arrays."""
        return self.params.grid

    @property
    def mask(self) -> np.ndarray:
        """The study mask, (nx, ny, nz) bool."""
        return self["mask"]

    @property
    def regions(self) -> list[tuple[int, str, str]]:
        """Index, name and group of the labels; empty if there are none."""
        return self.basis.regions if self.basis else []

    def of(self, artifact: str) -> dict[str, Any]:
        """Return the truth of an artifact, labels and regions as keywords of `metrics.score`."""
        veins = VEIN_ARTIFACTS if ARTIFACTS[artifact].sparse else ()
        return {
            "truth": self.get(artifact),
            "labels": self.get("labels"),
            "regions": [r for r in self.regions if r[0] != 0],
            "sources": self.get("sources"),
            "source_table": self.basis.sources if self.basis else [],
            "vein_table": self.basis.veins if self.basis else [],
            **{name: self.get(name) for name in veins},
        }

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the truth as `qsmbench simulate` does: a NIfTI file for each array, and its basis.

        Raises:
            QsmbenchError: the folder cannot be written to.
        """
        out = Path(folder)
        folders.write(out, self, self.grid)
        folders.write_params(out, self.params)
        if self.basis:
            write_basis(out, self.basis)
        if self.source:
            folders.write_json(out / SOURCE_FILE, self.source)


class Scan:
    """A multi-echo gradient-echo scan, as arrays.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, increasing with the field; other units are recognised if their range and
            wraps are unambiguous, and can be stated. With a single echo, the last axis may be omitted.
        magnitude: (nx, ny, nz, n_echoes) a.u. Phase or magnitude may be omitted if the chain does not need it.
        te: (n_echoes,) echo times, s.
        b0: field strength, T.
        voxel_size: mm, one number or three; alternatively `affine`.
        affine: (4, 4) voxel index → mm, as in a NIfTI file.
        b0_dir: unit vector of B0 in voxel axes; by default from `affine`, for B0 along the world's z, or else z.
        mask: (nx, ny, nz), non-zero in voxels to reconstruct; by default computed from the magnitude.
        truth: (nx, ny, nz) arrays by artifact, such as `{"chi": chi}`, if known.
        name: title of pictures.
        phase_unit: rad, mrad, siemens, degrees, pi or cycles; required for unwrapped phase, which is wrapped.
        phase_scale: rad per number, instead of a unit.

    Attributes:
        phase: (nx, ny, nz, n_echoes) float32, rad, or None.
        magnitude: (nx, ny, nz, n_echoes) float32, a.u., or None.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
        b0: T.
        grid: shape, voxel size, direction of B0 and affine.
        truth: `Truth`, or None.
        orientations: further scans of the same head in other orientations.
        notes: notes about rescaling and assumptions.

    Raises:
        QsmbenchError: arrays do not match, or a value is invalid.

    Example:
        scan = qb.Scan(phase, magnitude, te=[0.004, 0.008, 0.012], b0=3, voxel_size=(1, 1, 2), mask=mask)
    """

    def __init__(
        self,
        phase: Any = None,
        magnitude: Any = None,
        *,
        te: Any,
        b0: float,
        voxel_size: Any = None,
        affine: Any = None,
        b0_dir: Any = None,
        mask: Any = None,
        truth: Mapping[str, Any] | None = None,
        name: str = "scan",
        phase_unit: str | None = None,
        phase_scale: float | None = None,
    ) -> None:
        measured = {n: v for n, v in (("phase", phase), ("magnitude", magnitude)) if v is not None}
        if not measured:
            raise QsmbenchError("a scan has neither phase nor magnitude; give at least one of them")
        times = _times(te)
        shape = _shape(*next(iter(measured.items())))
        params = folders.as_read_params(Params(times, _number("b0", b0), _grid(shape, voxel_size, affine, b0_dir)))
        check_echo_times(params.te, "te")
        check_b0(params.b0, "b0")
        notes: list[str] = []
        voxels = None if mask is None else volume("mask", mask, shape, notes=notes)
        Stated(phase_unit=phase_unit, phase_scale=phase_scale)
        evidence = Evidence(phase_unit, phase_scale, by_convention="rad", signal=voxels)
        volumes = {
            n: volume(n, v, shape, len(params.te), mask=voxels, evidence=evidence, notes=notes)
            for n, v in measured.items()
        }
        if voxels is not None:
            volumes["mask"] = voxels
        elif magnitude is not None:
            volumes["mask"] = folders.as_read("mask", mask_from_magnitude(volumes["magnitude"]))
            notes.append(MADE_FROM_MAGNITUDE)
        else:
            raise QsmbenchError("a scan without magnitude needs a mask; give mask=")
        self._set(volumes, params, _truth(truth, volumes["mask"], params), (), notes, name)

    @classmethod
    def of(
        cls,
        volumes: Mapping[str, np.ndarray],
        params: Params,
        *,
        truth: Truth | None = None,
        orientations: Sequence[Scan] = (),
        notes: Sequence[str] = (),
        name: str = "scan",
    ) -> Scan:
        """Return a scan from volumes that are known to match."""
        scan = cls.__new__(cls)
        scan._set({n: folders.as_read(n, v) for n, v in volumes.items()}, params, truth, orientations, notes, name)
        return scan

    def _set(
        self,
        volumes: dict[str, np.ndarray],
        params: Params,
        truth: Truth | None,
        orientations: Sequence[Scan],
        notes: Sequence[str],
        name: str,
    ) -> None:
        self.volumes, self.params, self.truth = volumes, params, truth
        self.orientations, self.notes, self.name = tuple(orientations), list(notes), name

    def __repr__(self) -> str:
        te = ", ".join(f"{1000 * t:.3g}" for t in self.te)
        what = ", ".join([*self.volumes, *(["truth"] if self.truth else [])])
        return f"<scan {self.name}: {_size(self.grid)}, {self.b0:g} T, TE {te} ms; {what}>"

    @property
    def phase(self) -> np.ndarray | None:
        """Wrapped phase, increasing with the field, (nx, ny, nz, n_echoes) rad."""
        return self.volumes.get("phase")

    @property
    def magnitude(self) -> np.ndarray | None:
        """Magnitude, (nx, ny, nz, n_echoes) a.u."""
        return self.volumes.get("magnitude")

    @property
    def mask(self) -> np.ndarray:
        """Voxels to reconstruct, (nx, ny, nz) bool."""
        return self.volumes["mask"]

    @property
    def te(self) -> np.ndarray:
        """Echo times, (n_echoes,) s."""
        return self.params.te

    @property
    def b0(self) -> float:
        """Field strength, T."""
        return self.params.b0

    @property
    def grid(self) -> Grid:
        """Shape, voxel size, direction of B0 and affine."""
        return self.params.grid

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the scan as `qsmbench simulate` does: `folder`/scan, and `folder`/truth if known.

        Raises:
            QsmbenchError: the folder cannot be written to.
        """
        for i, scan in enumerate((self, *self.orientations)):
            place = folders.orientation_folder(i)
            folders.write(Path(folder) / "scan" / place, scan.volumes, scan.grid)
            folders.write_params(Path(folder) / "scan" / place, scan.params)
            if scan.truth is not None:
                scan.truth.save(Path(folder) / "truth" / place)


def load_scan(
    folder: str | os.PathLike[str],
    *,
    truth: str | os.PathLike[str] | None = None,
    subject: str | None = None,
    session: str | None = None,
    acq: str | None = None,
    rec: str | None = None,
    run: str | None = None,
    entities: str | None = None,
    mask: str | os.PathLike[str] | None = None,
    b0_dir: Any = None,
    phase_sign: int = 1,
    phase_unit: str | None = None,
    phase_scale: float | None = None,
) -> Scan:
    """Read a scan.

    Args:
        folder: folder written by `qsmbench simulate` or `Scan.save`, a folder of artifacts such as its `scan`, or a
            measured scan: the root of a BIDS dataset with MEGRE or T2starw images, or a folder with `echoes.tsv`.
        truth: folder of the truth; by default `folder`/truth, if there is one.
        subject: of a BIDS dataset, label without `sub-`; by default the first one.
        session: of a BIDS dataset, label without `ses-`; by default the first one.
        acq: of a BIDS dataset, label; required if scans differ in nothing else.
        rec: as `acq`.
        run: as `acq`.
        entities: of a BIDS dataset, further entities with their labels, such as `ce-gd_dir-AP`.
        mask: of a measured scan, NIfTI file; by default computed from the magnitude.
        b0_dir: of a measured scan, unit vector of B0 in voxel axes; by default from the sidecar or the header.
        phase_sign: of a measured scan, −1 if the phase decreases with the field.
        phase_unit: of a measured scan: rad, mrad, siemens, degrees, pi or cycles; by default detected.
        phase_scale: of a measured scan, rad per stored number, instead of a unit.

    Raises:
        QsmbenchError: no such folder, or something in it is missing, damaged, on another grid, contradicts itself or
            is not clear.

    Example:
        scan = qb.load_scan("ds/", subject="01", mask="brain.nii.gz")
    """
    place = Path(folder)
    if not place.is_dir():
        raise QsmbenchError(f"{place}: no such folder; a scan is a folder of artifacts or a BIDS dataset")
    stated = Stated(
        _label(subject),
        _label(session),
        _label(acq),
        _label(rec),
        _label(run),
        mask=None if mask is None else Path(mask),
        b0_dir=None if b0_dir is None else _triple("b0_dir", b0_dir),
        phase_sign=phase_sign,
        phase_unit=phase_unit,
        phase_scale=phase_scale,
        entities=entities,
    )
    if is_measured(place):
        volumes, params, notes = read_measured(place, stated)
        return Scan.of(volumes, folders.as_read_params(params), notes=notes, name=place.resolve().name)
    check_unstated(place, stated)
    true = Path(truth) if truth is not None else place / "truth"
    if truth is not None and not true.is_dir():
        raise QsmbenchError(f"{true}: no such folder; name the truth of a simulation, such as scan/truth")
    inner = place / "scan" if (place / "scan" / folders.PARAMS_FILE).is_file() else place
    own, *further = (
        _read_scan(inner / turned, true / turned if true.is_dir() else None, place.name)
        for turned in ("", *folders.further_orientations(inner))
    )
    own.orientations = tuple(further)
    return own


def _read_scan(folder: Path, truth: Path | None, name: str) -> Scan:
    params = folders.read_params(folder)
    volumes = {n: folders.read_of(folder, n, params) for n in folders.present(folder) if n in SCAN_ARTIFACTS}
    if "mask" not in volumes:
        raise QsmbenchError(f"{folder / ARTIFACTS['mask'].file}: no such file")
    return Scan.of(volumes, params, truth=None if truth is None else _read_truth(truth, params), name=name)


def _read_truth(folder: Path, params: Params) -> Truth:
    volumes = {n: folders.read_of(folder, n, params) for n in folders.present(folder)}
    if "mask" not in volumes:
        raise QsmbenchError(f"{folder / ARTIFACTS['mask'].file}: no such file")
    basis = None
    if (folder / folders.REGIONS_FILE).is_file():
        values = read_provenance(folder / PROVENANCE_FILE) if (folder / PROVENANCE_FILE).is_file() else []
        scenario = folders.read_json(folder / SCENARIO_FILE) if (folder / SCENARIO_FILE).is_file() else {}
        sources = read_sources(folder / SOURCES_FILE)
        regions = folders.read_regions(folder / folders.REGIONS_FILE)
        basis = Basis(regions, values, scenario, sources, folders.read_vein_names(folder))
    source = folders.read_json(folder / SOURCE_FILE) if (folder / SOURCE_FILE).is_file() else None
    return Truth(volumes, params, basis, source)


def _truth(given: Mapping[str, Any] | None, mask: np.ndarray, params: Params) -> Truth | None:
    if given is None:
        return None
    if not isinstance(given, Mapping):
        raise QsmbenchError("truth must be arrays by name, such as {'chi': chi}")
    for name in given:
        if name not in ARTIFACTS or ARTIFACTS[name].truth == "never":
            legal = ", ".join(n for n, a in ARTIFACTS.items() if a.truth != "never")
            raise QsmbenchError(f"truth: unknown artifact {name!r}; choose from {legal}")
    arrays = {name: volume(name, values, params.grid.shape) for name, values in given.items()}
    return Truth({"mask": mask, **arrays}, params)


def _shape(name: str, values: Any) -> tuple[int, ...]:
    shape = np.shape(values)
    if len(shape) < 3:
        raise QsmbenchError(f"{name} has shape {shape}; it must be (nx, ny, nz, n_echoes)")
    return shape[:3]


def _grid(shape: tuple[int, ...], voxel_size: Any, affine: Any, b0_dir: Any) -> Grid:
    direction = None if b0_dir is None else _triple("b0_dir", b0_dir)
    if (voxel_size is None) == (affine is None):
        raise QsmbenchError("a scan needs one of voxel_size [mm] and affine (4 × 4), not both")
    if affine is not None:
        matrix = np.asarray(affine)
        if matrix.shape != (4, 4) or matrix.dtype.kind not in "fiu":
            raise QsmbenchError(f"affine has shape {matrix.shape}; it must be a (4, 4) matrix of numbers")
        if not np.isfinite(matrix).all() or np.linalg.det(matrix[:3, :3]) == 0:
            raise QsmbenchError(f"affine is {matrix.tolist()}; it must be finite and have an inverse")
        return Grid.from_affine(shape, matrix, direction)
    size = _triple("voxel_size", [voxel_size] * 3 if np.ndim(voxel_size) == 0 else voxel_size)
    nx, ny, nz = shape
    return Grid((nx, ny, nz), size, direction or (0.0, 0.0, 1.0))


def _triple(name: str, value: Any) -> tuple[float, float, float]:
    try:
        x, y, z = (float(v) for v in value)
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"{name} is {value!r}; it must be three numbers") from e
    return x, y, z


def _times(te: Any) -> np.ndarray:
    try:
        return np.atleast_1d(np.asarray(te, float))
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"te is {te!r}; it must be a list of echo times in seconds") from e


def _label(value: Any) -> str | None:
    return None if value is None else str(value)


def _number(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"{name} is {value!r}; it must be a number") from e


def _size(grid: Grid) -> str:
    """Return the size of a grid as text."""
    mm = " × ".join(f"{d:.3g}" for d in grid.voxel_size)
    return f"{' × '.join(map(str, grid.shape))} voxels of {mm} mm"
