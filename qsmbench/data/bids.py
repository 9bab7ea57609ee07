"""BIDS: a measured multi-echo scan in, a simulated one out (BIDS 1.11, suffix MEGRE)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench import __version__
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params, make_folder, read_json, write_json, write_regions
from qsmbench.data.phase_units import to_radians
from qsmbench.data.volumes import check_grid, open_grid, open_volume, save_volume
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, Triple
from qsmbench.units import hz_per_ppm

BIDS_VERSION = "1.11.0"
GENERATED = [{"Name": "qsmbench", "Version": __version__}]
_WHOLE = {"SkullStripped": False}


def is_bids(folder: Path) -> bool:
    """Return whether `folder` is the root of a BIDS dataset."""
    return (folder / "dataset_description.json").is_file()


def read_megre(
    root: Path,
    *,
    subject: str | None = None,
    session: str | None = None,
    b0_dir: Triple | None = None,
    phase_sign: int = 1,
) -> tuple[np.ndarray, np.ndarray, Params, list[str]]:
    """Read a multi-echo gradient echo of one subject.

    Args:
        root: folder of the dataset.
        subject: label without `sub-`; by default the first there is.
        session: label without `ses-`; by default the first, if there are any.
        b0_dir: B0 in voxel axes; by default from the sidecar's `B0_dir`, else from the affine.
        phase_sign: −1 if the stored phase falls with the field.

    Returns:
        phase [rad] and magnitude, both (nx, ny, nz, n_echoes) float32, the parameters, and notes on what was
        rescaled or assumed.

    Raises:
        QsmbenchError: files or keys are missing, or do not fit each other.
    """
    if not root.is_dir():
        raise QsmbenchError(f"{root}: no such folder; a BIDS dataset is needed")
    folder = _anat(root, subject, session)
    files = {part: _echo_files(folder, part) for part in ("phase", "mag")}
    if list(files["phase"]) != list(files["mag"]):
        raise QsmbenchError(
            f"{folder}: phase has echoes {list(files['phase'])}, magnitude {list(files['mag'])}; both must match"
        )
    sidecars = [_sidecar(f, root) for f in files["phase"].values()]
    first = next(iter(files["phase"].values()))
    shape, affine = open_grid(first)
    stated = b0_dir or sidecars[0].get("B0_dir")
    notes = [] if stated else [f"{first.name}: B0 taken along the scanner's z, by the affine"]
    try:
        grid = Grid.from_affine(shape, affine, tuple(stated) if stated else None)
        params = Params([s["EchoTime"] for s in sidecars], float(sidecars[0]["MagneticFieldStrength"]), grid)  # type: ignore[arg-type]
    except (TypeError, ValueError) as e:
        raise QsmbenchError(f"{first}: {e}") from e
    magnitude = _stack(list(files["mag"].values()), grid)
    stored = _stack(list(files["phase"].values()), grid)
    phase, note = to_radians(stored, first.name.replace("echo-1_", ""))
    return phase * np.float32(phase_sign), magnitude, params, notes + ([note] if note else [])


def megre_files(root: Path, subject: str | None = None, session: str | None = None) -> list[Path]:
    """Return the files that `read_megre` would read, and perhaps more; none if it would refuse the dataset."""
    try:
        folder = _anat(root, subject, session)
    except QsmbenchError:
        return []
    above = [root, *(p for p in folder.parents if root in p.parents)]
    return sorted({f for place in (folder, *above) for f in place.glob("*MEGRE.*")})


def _anat(root: Path, subject: str | None, session: str | None) -> Path:
    folder = _choose(root, "sub", subject)
    if session or list(folder.glob("ses-*")):
        folder = _choose(folder, "ses", session)
    if not (folder / "anat").is_dir():
        raise QsmbenchError(f"{folder / 'anat'}: no such folder; it must contain the MEGRE images")
    return folder / "anat"


def _choose(folder: Path, entity: str, label: str | None) -> Path:
    there = sorted(f.name for f in folder.glob(f"{entity}-*") if f.is_dir())
    if not there:
        raise QsmbenchError(f"{folder}: holds no folder {entity}-…; it is not a BIDS dataset")
    wanted = f"{entity}-{label}" if label else there[0]
    if wanted not in there:
        raise QsmbenchError(f"{folder}: has no {wanted}; choose from {', '.join(there)}")
    return folder / wanted


def _echo_files(folder: Path, part: str) -> dict[int, Path]:
    found: dict[int, Path] = {}
    for f in [*folder.glob(f"*_part-{part}_*MEGRE.nii.gz"), *folder.glob(f"*_part-{part}_*MEGRE.nii")]:
        echo = re.search(r"_echo-(\d+)_", f.name)
        if not echo:
            raise QsmbenchError(f"{f}: has no echo- entity in its name; BIDS requires it for MEGRE")
        if int(echo[1]) in found:
            raise QsmbenchError(f"{f}: a second file of echo {echo[1]} beside {found[int(echo[1])].name}; name one run")
        found[int(echo[1])] = f
    if not found:
        raise QsmbenchError(f"{folder}: holds no *_echo-*_part-{part}_MEGRE.nii.gz")
    return dict(sorted(found.items()))


def _sidecar(volume: Path, root: Path) -> dict[str, Any]:
    """Return the keys of a volume, by BIDS inheritance: those of the folders above, then its own."""
    own = volume.with_name(volume.name.removesuffix(".gz").removesuffix(".nii") + ".json")
    content: dict[str, Any] = {}
    for above in [root, *reversed([p for p in volume.parents if root in p.parents])]:
        for shared in sorted(above.glob("*MEGRE.json")):
            entities = set(shared.stem.split("_"))
            if shared != own and entities <= set(own.stem.split("_")):
                content |= read_json(shared)
    content |= read_json(own) if own.is_file() else {}
    for key in ("EchoTime", "MagneticFieldStrength"):
        if key not in content:
            raise QsmbenchError(f"{own}: {key} is missing")
    return content


def _stack(files: list[Path], grid: Grid) -> np.ndarray:
    volumes = []
    for f in files:
        values, affine = open_volume(f)
        check_grid(f, values.shape, affine, grid)
        volumes.append(values.astype(np.float32, copy=False))
    return np.stack(volumes, axis=-1)


def write_megre(
    root: Path,
    phase: np.ndarray,
    magnitude: np.ndarray,
    params: Params,
    *,
    subject: str = "01",
    name: str = "qsmbench simulation",
    tr: float | None = None,
    flip_angle: float | None = None,
) -> Path:
    """Write a scan as a raw BIDS dataset.

    Args:
        root: folder of the dataset.
        phase, magnitude: (nx, ny, nz, n_echoes), rad and a.u.
        params: echo times, B0 and grid.
        subject: label without `sub-`.
        name: name of the dataset.
        tr: repetition time, s.
        flip_angle: degrees.

    Returns:
        the folder that holds the images.
    """
    folder = root / f"sub-{subject}" / "anat"
    make_folder(folder)
    _describe(root, name, "raw")
    for e, te in enumerate(params.te):
        sidecar: dict[str, Any] = {
            "EchoTime": round(float(te), 9),
            "EchoNumber": e + 1,
            "MagneticFieldStrength": params.b0,
            "B0_dir": list(params.grid.b0_dir),
        }
        if tr is not None:
            sidecar |= {"RepetitionTimeExcitation": tr, "RepetitionTime": tr}
        if flip_angle is not None:
            sidecar["FlipAngle"] = flip_angle
        for part, volume, more in (("mag", magnitude, {}), ("phase", phase, {"Units": "rad"})):
            stem = f"sub-{subject}_echo-{e + 1}_part-{part}_MEGRE"
            save_volume(folder / f"{stem}.nii.gz", volume[..., e], params.grid.affine)
            image_type = ["DERIVED", "PRIMARY", "M" if part == "mag" else "P"]
            write_json(folder / f"{stem}.json", {**sidecar, "ImageType": image_type, **more})
    return folder


def write_truth(
    root: Path,
    truth: Mapping[str, np.ndarray],
    mask: np.ndarray,
    magnitude: np.ndarray,
    params: Params,
    regions: Sequence[tuple[int, str, str]],
    *,
    subject: str = "01",
) -> Path:
    """Write the truth of a simulation as a BIDS derivative: what has a place there by the artifact table.

    Fields are written in Hz, each with a magnitude, and all else in the unit of the table.

    Args:
        root: folder of the derivative.
        truth: artifacts by name.
        mask: (nx, ny, nz) bool.
        magnitude: (nx, ny, nz), a.u.; BIDS wants one beside every field map.
        params: B0 and grid.
        regions: index, name and group of the labels.
        subject: label without `sub-`.

    Returns:
        the subject's folder, with the maps in `anat` and the fields in `fmap`.
    """
    folder = root / f"sub-{subject}"
    _describe(root, "truth", "derivative")
    for name, volume in {**truth, "mask": mask}.items():
        artifact = ARTIFACTS[name]
        if artifact.bids is None:
            continue
        unit, place = artifact.unit, artifact.bids.name
        if artifact.is_field:
            unit, volume = "Hz", volume * np.float32(hz_per_ppm(params.b0))
            _write_derivative(folder, place.replace("fieldmap", "magnitude"), magnitude, _WHOLE, params.grid)
        sidecar = {"Units": unit, **artifact.bids.sidecar, **_WHOLE} if unit else artifact.bids.sidecar
        _write_derivative(folder, place, volume, sidecar, params.grid)
    write_regions(folder / "anat" / f"sub-{subject}_dseg.tsv", regions)
    return folder


def _write_derivative(folder: Path, place: str, volume: np.ndarray, sidecar: Mapping[str, Any], grid: Grid) -> None:
    """Write a volume of a subject and its JSON; `place` is the kind of the image and its name, as in `anat/dseg`."""
    kind, name = place.split("/")
    make_folder(folder / kind)
    stem = f"{folder.name}_{name}"
    save_volume(folder / kind / f"{stem}.nii.gz", volume, grid.affine)
    write_json(folder / kind / f"{stem}.json", sidecar)


def _describe(root: Path, name: str, kind: str) -> None:
    make_folder(root)
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind, "GeneratedBy": GENERATED}
    write_json(root / "dataset_description.json", description)
