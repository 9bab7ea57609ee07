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
from qsmbench.data.series import Image, Series, sidecar_of
from qsmbench.data.volumes import save_volume
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.units import hz_per_ppm

BIDS_VERSION = "1.11.0"
GENERATED = [{"Name": "qsmbench", "Version": __version__}]
SPOILED_GRE = {"PulseSequenceType": "Spoiled gradient echo", "ScanningSequence": "GR", "SequenceVariant": "SP"}
SCAN_TEXT = """Simulated gradient-echo scan: magnitude in arbitrary units, and phase in rad, increasing with the field.
`B0_dir` in the JSON files is the direction of B0 in voxel axes.
"""
TRUTH_TEXT = """What the scan was simulated from: susceptibility in ppm relative to water, fields in Hz, relaxation
rates in 1/s, regions, and the mask of the voxels to reconstruct. `group` in the
table of regions is one of those in docs/glossary.md.
"""


def is_bids(folder: Path) -> bool:
    """Return whether `folder` is the root of a BIDS dataset: it has a description, or folders of subjects."""
    return (folder / "dataset_description.json").is_file() or bool(subjects(folder))


def find_megre(root: Path, choice: Mapping[str, str | None]) -> Series:
    """Find the files of a gradient-echo scan of one subject.

    Args:
        root: folder of the dataset.
        choice: labels of entities without their names, such as `{"run": "1"}`, of those in `ENTITIES`; further ones
            with their names in `entities`, such as `{"entities": "ce-gd_dir-AP"}`. Without one, the first subject and
            the first session are taken, with a note if there are more.

    Returns:
        the files of phase and magnitude (`part-phase`, and `part-mag` or no part), or of real and imaginary part; of
        suffix MEGRE, or T2starw if there is none.

    Raises:
        QsmbenchError: files or keys are missing, the choice is not there, or leaves more than one scan.
    """
    if not root.is_dir():
        raise QsmbenchError(f"{root}: no such folder; a BIDS dataset is needed")
    folder, notes = _anat(root, choice)
    groups = _groups(folder, choice)
    if not groups:
        raise QsmbenchError(f"{folder}: holds no *_echo-*_part-phase_MEGRE.nii.gz")
    group = _the_one(folder, groups)
    parts = {part: [Image(f, _sidecar(f, root)) for f in files.values()] for part, files in group.items()}
    first = next(iter(parts.values()))[0].path
    name = re.sub(r"_echo-[A-Za-z0-9]+", "", first.name)
    return Series(parts, name, notes)


ENTITIES = {"subject": "sub", "session": "ses", "acq": "acq", "rec": "rec", "run": "run"}
"""What a scan may be chosen by, and its name in BIDS."""

FURTHER = "entities"
"""Key of a choice by what `ENTITIES` does not hold."""

SUFFIXES = ("MEGRE", "T2starw")
"""Of gradient echoes with phase; the first there is counts."""

_PARTS = ("phase", "mag", "real", "imag")


def megre_files(root: Path, subject: str | None = None, session: str | None = None) -> list[Path]:
    """Return the files that `find_megre` would look at, and perhaps more; none if it would refuse the dataset."""
    try:
        folder, _ = _anat(root, {"subject": subject, "session": session})
    except QsmbenchError:
        return []
    above = [root, *(p for p in folder.parents if root in p.parents)]
    return sorted({f for place in (folder, *above) for suffix in SUFFIXES for f in place.glob(f"*{suffix}.*")})


def subjects(root: Path) -> list[str]:
    """Return the labels of a dataset's subjects, without `sub-`."""
    return sorted(f.name.removeprefix("sub-") for f in root.glob("sub-*") if f.is_dir())


def _anat(root: Path, choice: Mapping[str, str | None]) -> tuple[Path, list[str]]:
    folder, notes = _choose(root, "subject", choice.get("subject"))
    if choice.get("session") or list(folder.glob("ses-*")):
        folder, more = _choose(folder, "session", choice.get("session"))
        notes += more
    if not (folder / "anat").is_dir():
        raise QsmbenchError(f"{folder / 'anat'}: no such folder; it must contain the MEGRE images")
    return folder / "anat", notes


def _choose(folder: Path, key: str, label: str | None) -> tuple[Path, list[str]]:
    entity = ENTITIES[key]
    there = sorted(f.name for f in folder.glob(f"{entity}-*") if f.is_dir())
    if not there:
        inside = next((p for p in (folder, *folder.parents) if p.name.startswith("sub-")), None)
        hint = f"; it lies in {inside.name}: name {inside.parent}, with subject" if inside else ""
        raise QsmbenchError(f"{folder}: holds no folder {entity}-…; it is not a BIDS dataset{hint}")
    if label is None:
        more = f"{folder}: {there[0]} is taken, the first of {len(there)}; choose another with {key}"
        return folder / there[0], [more] if len(there) > 1 else []
    found = [name for name in there if is_label(name.partition("-")[2], label)]
    if not found:
        raise QsmbenchError(f"{folder}: has no {entity}-{label}; choose from {', '.join(there)}")
    return folder / found[0], []


def is_label(label: str, wanted: str) -> bool:
    """Return whether a label is the one that is wanted; leading zeros and the entity's name do not count."""
    wanted = wanted.partition("-")[2] if wanted.partition("-")[0] in ENTITIES.values() else wanted
    return label == wanted or (label.isdecimal() and wanted.isdecimal() and int(label) == int(wanted))


def further_entities(text: str | None) -> dict[str, str]:
    """Return the labels in `ce-gd_dir-AP`, by entity.

    Raises:
        QsmbenchError: it is not written like that, or names an entity that has a key of its own.
    """
    words = [] if text is None else text.split("_")
    if not all(re.fullmatch(r"[a-z]+-[A-Za-z0-9+]+", word) for word in words):
        raise QsmbenchError(f"{FURTHER} is {text!r}; it must be labels with their entities, such as ce-gd_dir-AP")
    found = {word.partition("-")[0]: word.partition("-")[2] for word in words}
    own = {entity: key for key, entity in ENTITIES.items()}
    for entity in found:
        if entity in own:
            raise QsmbenchError(f"{FURTHER} holds {entity}-{found[entity]}; use the key {own[entity]}")
        if entity in ("echo", "part"):
            raise QsmbenchError(f"{FURTHER} holds {entity}-{found[entity]}; a scan has all of its echoes and parts")
    return found


def _groups(folder: Path, choice: Mapping[str, str | None]) -> dict[tuple[str, ...], dict[str, dict[int, Path]]]:
    """Return the files of each scan, by what distinguishes it: of each part, by the number of the echo."""
    for suffix in SUFFIXES:
        found: dict[tuple[str, ...], dict[str, dict[int, Path]]] = {}
        images = sorted([*folder.glob(f"*_{suffix}.nii.gz"), *folder.glob(f"*_{suffix}.nii")])
        for file in images:
            entities = _entities(file)
            part = entities.pop("part", "mag")
            if part not in _PARTS:
                raise QsmbenchError(f"{file}: part-{part} is unknown; choose from {', '.join(_PARTS)}")
            echo = _echo(file, entities.pop("echo", None))
            group = tuple(f"{k}-{v}" for k, v in entities.items() if k not in ("sub", "ses"))
            files = found.setdefault(group, {}).setdefault(part, {})
            if echo in files:
                raise QsmbenchError(f"{file}: a second file of echo {echo} beside {files[echo].name}")
            files[echo] = file
        if found:
            return _chosen(folder, found, choice)
    return {}


def _entities(file: Path) -> dict[str, str]:
    words = file.name.split(".")[0].split("_")[:-1]
    return {word.partition("-")[0]: word.partition("-")[2] for word in words}


def _echo(file: Path, label: str | None) -> int:
    if label is None:
        return 1
    if not label.isdecimal():
        raise QsmbenchError(f"{file}: echo-{label} is not a number")
    return int(label)


def _chosen(
    folder: Path, groups: dict[tuple[str, ...], dict[str, dict[int, Path]]], choice: Mapping[str, str | None]
) -> dict[tuple[str, ...], dict[str, dict[int, Path]]]:
    """Return the scans that the choice of acq, rec, run and further entities leaves."""
    named = {key: label for key in ("acq", "rec", "run") if (label := choice.get(key)) is not None}
    for key, label in {**named, **further_entities(choice.get(FURTHER))}.items():
        of = {g: next((e.partition("-")[2] for e in g if e.startswith(f"{key}-")), "") for g in groups}
        left = {g: parts for g, parts in groups.items() if is_label(of[g], label)}
        if not left:
            there = ", ".join(sorted({f"{key}-{value}" if value else f"none without {key}-" for value in of.values()}))
            raise QsmbenchError(f"{folder}: has no {key}-{label}; choose from {there}")
        groups = left
    return groups


def _the_one(folder: Path, groups: dict[tuple[str, ...], dict[str, dict[int, Path]]]) -> dict[str, dict[int, Path]]:
    """Return the parts of the only scan, each with its echoes in order.

    Raises:
        QsmbenchError: there are more, or what there is has no phase or no magnitude.
    """
    whole = {g: parts for g, parts in groups.items() if "phase" in parts or {"real", "imag"} <= parts.keys()}
    if not whole:
        raise QsmbenchError(f"{folder}: holds no *_echo-*_part-phase_MEGRE.nii.gz, nor part-real with part-imag")
    if len(whole) > 1:
        common = set.intersection(*(set(g) for g in whole))
        differ = {g: [e for e in g if e not in common] for g in whole}
        keys = dict.fromkeys(e.partition("-")[0] for names in differ.values() for e in names)
        given = [k for k in keys if k in ENTITIES.values()]
        shown = ", ".join("_".join(names) or f"one without {next(iter(keys))}-" for names in differ.values())
        example = next("_".join(names) for names in differ.values() if names)
        by = " and ".join(given) or f"{FURTHER}, such as {example}"
        raise QsmbenchError(f"{folder}: holds {len(whole)} scans: {shown}; name one with {by}")
    group, parts = next(iter(whole.items()))
    wanted = ("phase", "mag") if "phase" in parts else ("real", "imag")
    if "phase" in parts and "mag" not in parts:
        others = ["_".join(g) or "no entity" for g, p in groups.items() if "mag" in p]
        if others:
            raise QsmbenchError(
                f"{folder}: the phase is of {'_'.join(group) or 'no entity'}, the magnitude of {', '.join(others)}; "
                "the files of a scan share all entities but echo and part"
            )
        raise QsmbenchError(f"{folder}: holds no *_echo-*_part-mag_MEGRE.nii.gz")
    ordered = {part: dict(sorted(parts[part].items())) for part in wanted}
    a, b = (list(ordered[part]) for part in wanted)
    if a != b:
        names = ("phase", "magnitude") if "phase" in parts else wanted
        raise QsmbenchError(f"{folder}: {names[0]} has echoes {a}, {names[1]} {b}; both must match")
    return ordered


def _sidecar(volume: Path, root: Path) -> dict[str, Any]:
    """Return the keys of a volume, by BIDS inheritance: those of the folders above, then its own."""
    own = sidecar_of(volume)
    suffix = own.stem.rpartition("_")[2]
    content: dict[str, Any] = {}
    for above in [root, *reversed([p for p in volume.parents if root in p.parents])]:
        for shared in sorted(above.glob(f"*{suffix}.json")):
            entities = set(shared.stem.split("_"))
            if shared != own and entities <= set(own.stem.split("_")):
                content |= read_json(shared)
    content |= read_json(own) if own.is_file() else {}
    number, echo = content.get("EchoNumber"), _entities(volume).get("echo")
    if number is not None and echo is not None and str(number) != str(int(echo)):
        raise QsmbenchError(f"{own}: EchoNumber is {number}, but the name says echo-{echo}")
    return content


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
    two_dimensional: bool = False,
) -> Path:
    """Write a scan of a spoiled gradient echo as a raw BIDS dataset.

    Args:
        root: folder of the dataset.
        phase, magnitude: (nx, ny, nz, n_echoes), rad and a.u.
        params: echo times, B0 and grid.
        subject: label without `sub-`.
        name: name of the dataset.
        tr: repetition time, s.
        flip_angle: degrees.
        two_dimensional: whether slices were excited one by one.

    Returns:
        the folder that holds the images.
    """
    folder = root / f"sub-{subject}" / "anat"
    make_folder(folder)
    _describe(root, name, "raw", SCAN_TEXT)
    for e, te in enumerate(params.te):
        sidecar: dict[str, Any] = {
            "EchoTime": round(float(te), 9),
            "EchoNumber": e + 1,
            "MagneticFieldStrength": params.b0,
            "B0_dir": list(params.grid.b0_dir),
            "MRAcquisitionType": "2D" if two_dimensional else "3D",
            **SPOILED_GRE,
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
    maps = {**truth, "mask": mask}
    text = {"name": "truth", "text": TRUTH_TEXT}
    folder = write_maps(root, maps, magnitude, params, subject=subject, skull_stripped=False, **text)
    write_regions(folder / "anat" / f"sub-{subject}_dseg.tsv", regions)
    return folder


def write_maps(
    root: Path,
    maps: Mapping[str, np.ndarray],
    magnitude: np.ndarray,
    params: Params,
    *,
    subject: str,
    name: str,
    text: str,
    skull_stripped: bool,
) -> Path:
    """Write maps of a subject as a BIDS derivative: those that have a BIDS name in the artifact table.

    Fields are written in Hz, each with a magnitude, and all else in the unit of the table.

    Args:
        root: folder of the derivative.
        maps: artifacts by name.
        magnitude: (nx, ny, nz), a.u.; BIDS requires one with every field map.
        params: B0 and grid.
        subject: label without `sub-`.
        name: name of the derivative.
        text: its README.
        skull_stripped: whether the maps are zero outside the brain.

    Returns:
        the subject's folder, with the maps in `anat` and the fields in `fmap`.
    """
    folder = root / f"sub-{subject}"
    _describe(root, name, "derivative", text)
    extent = {"SkullStripped": skull_stripped}
    for artifact, volume in ((ARTIFACTS[n], v) for n, v in maps.items()):
        if artifact.bids is None:
            continue
        unit, place = artifact.unit, artifact.bids.name
        if artifact.is_field:
            unit, volume = "Hz", volume * np.float32(hz_per_ppm(params.b0))
            whole = {"Description": "magnitude of the first echo", "SkullStripped": False}
            _write_derivative(folder, place.replace("fieldmap", "magnitude"), magnitude, whole, params.grid)
        sidecar = {"Description": artifact.meaning, "SpatialReference": "orig", **artifact.bids.sidecar}
        sidecar |= {"Units": unit, **extent} if unit else {}
        _write_derivative(folder, place, volume, sidecar, params.grid)
    return folder


def _write_derivative(folder: Path, place: str, volume: np.ndarray, sidecar: Mapping[str, Any], grid: Grid) -> None:
    """Write a volume of a subject and its JSON; `place` is the kind of the image and its name, as in `anat/dseg`."""
    kind, name = place.split("/")
    make_folder(folder / kind)
    stem = f"{folder.name}_{name}"
    save_volume(folder / kind / f"{stem}.nii.gz", volume, grid.affine)
    write_json(folder / kind / f"{stem}.json", sidecar)


def _describe(root: Path, name: str, kind: str, text: str) -> None:
    make_folder(root)
    description = {"Name": name, "BIDSVersion": BIDS_VERSION, "DatasetType": kind, "GeneratedBy": GENERATED}
    write_json(root / "dataset_description.json", description)
    (root / "README").write_text(text, encoding="utf-8")
