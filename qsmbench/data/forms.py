"""Where B0 points in a NIfTI file, and how large its voxels are: by the form that leads to the scanner.

A NIfTI header holds two affines, sform and qform, each with a code of what it leads to. B0 lies along the z of the
scanner (code 1). Code 2 (aligned to another scan), 3 and 4 (a template) lead elsewhere: after a registration, their z
is another than that of the scanner.

| forms | outcome |
|---|---|
| one is coded 1, or both are and agree | B0 along its z, with a note |
| both are coded 1 and differ by more than 1° | refused: state `b0_dir` |
| none is coded 1; one is coded, or all that are agree | B0 along its z, with a note that it is not the scanner's |
| none is coded 1, and those that are coded differ | refused: state `b0_dir` |
| none is coded | B0 along the third axis, with a note |
| `b0_dir` is stated by the user | as stated |
| `B0_dir` stands in the sidecar | as it says; refused if a form of code 1 differs from it |
| the form is sheared, or its voxels are not those of `pixdim` | the scanner's form in its place; else refused |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from qsmbench.data.volumes import Form, Header
from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid, Triple, affine_b0_dir, affine_shear, affine_voxel_size

SCANNER = 1
_CODES = {2: "aligned to another scan", 3: "Talairach", 4: "MNI", 5: "a template"}

_DEGREES = 1.0
"""Directions of B0 that differ by less are the same: rounding of headers; assumed."""

_SHEAR = 0.5
"""Degrees by which axes may miss a right angle: rounding of headers; assumed."""

_SIZE = 0.01
"""Share by which sizes of voxels may differ: rounding of headers; assumed."""

_SIZES = (0.01, 50.0)
"""Sizes of voxels that a scan may have, mm; assumed."""


def scan_grid(
    path: Path, header: Header, stated: Triple | None = None, sidecar: Triple | None = None
) -> tuple[Grid, list[str]]:
    """Return the grid of a scan, with the direction of B0 in voxel axes; the table of this module says how.

    Args:
        path: of the file, for messages.
        header: of the file.
        stated: direction of B0 in voxel axes that the user states.
        sidecar: direction of B0 in voxel axes that stands in the sidecar.

    Returns:
        the grid, and notes on what was converted or assumed. Its affine is that of the file, unless that one is
        sheared or scaled.

    Raises:
        QsmbenchError: what the file says contradicts itself.
    """
    if len(header.shape) < 3:
        raise QsmbenchError(f"{path}: has shape {header.shape}; an echo has x, y, z")
    notes = []
    if header.length not in ("mm", "unknown"):
        shown = " × ".join(f"{d:.4g}" for d in header.pixdim)
        notes.append(f"{path.name}: its lengths are in {header.length}, converted to mm: voxels of {shown} mm")
    form, said = _form_of_b0(path, header)
    affine, resized = _affine(path, header, form)
    notes += resized
    size = affine_voxel_size(affine)
    if not all(_SIZES[0] <= d <= _SIZES[1] for d in size):
        raise QsmbenchError(
            f"{path}: its voxels are {' × '.join(f'{d:.4g}' for d in size)} mm by a header in {header.length}; "
            "correct its unit of length (xyzt_units)"
        )
    by_form = None if form is None else affine_b0_dir(form.affine)
    if stated is not None:
        direction = stated
    elif sidecar is not None:
        if not any(sidecar):
            raise QsmbenchError(f"{path}: B0_dir of the sidecar is {_shown(sidecar)}; it must be a unit vector")
        if form is not None and form.code == SCANNER and angle(sidecar, affine_b0_dir(form.affine)) > _DEGREES:
            raise QsmbenchError(
                f"{path}: B0_dir of the sidecar is {_shown(sidecar)}, but its {form.name} (scanner) says "
                f"{_shown(affine_b0_dir(form.affine))}; state b0_dir"
            )
        direction = sidecar
    elif by_form is None:
        raise QsmbenchError(said)
    else:
        direction = by_form
        notes.append(said)
    nx, ny, nz = header.shape[:3]
    try:
        return Grid((nx, ny, nz), size, direction, affine), notes
    except QsmbenchError as e:
        raise QsmbenchError(f"{path}: {e}") from e


def _form_of_b0(path: Path, header: Header) -> tuple[Form | None, str]:
    """Return the form that B0 is read from, and a note; or None, and why none can be."""
    coded = [f for f in header.forms if f.code > 0]
    for form in [*coded, Form("affine", 0, header.affine)]:
        _check_invertible(path, form)
    scanner = [f for f in coded if f.code == SCANNER]
    among = scanner or coded
    if not among:
        whole = Form("affine", 0, header.affine)
        return whole, f"{path.name}: no form is coded in the header; B0 taken along {_axis(header.affine)}"
    directions = [affine_b0_dir(f.affine) for f in among]
    if len(among) > 1 and angle(*directions) > _DEGREES:
        both = " and ".join(f"{f.name} (code {f.code}) {_shown(d)}" for f, d in zip(among, directions, strict=True))
        reason = "its two scanner forms differ" if scanner else "none is the scanner's (code 1), and they differ"
        return None, f"{path}: B0 points to {both}: {reason}; state b0_dir"
    form = among[0]
    if form.code == SCANNER:
        other = next((f for f in coded if f.code != SCANNER), None)
        instead = "" if other is None else f", not its {other.name} ({_CODES.get(other.code, other.code)})"
        return form, f"{path.name}: B0 taken along the scanner's z, by its {form.name}{instead}"
    kind = _CODES.get(form.code, f"code {form.code}")
    return form, (
        f"{path.name}: no form of the header is the scanner's; B0 taken along z of its {form.name} ({kind}), which is "
        "right if nothing was turned since the scan; else state b0_dir"
    )


def _check_invertible(path: Path, form: Form) -> None:
    """Refuse a form that maps the voxels onto a plane, or nowhere."""
    if not np.isfinite(form.affine).all() or abs(np.linalg.det(form.affine[:3, :3])) < 1e-12:
        raise QsmbenchError(f"{path}: its {form.name} (code {form.code}) is not a grid of voxels; correct the header")


def _affine(path: Path, header: Header, form: Form | None) -> tuple[np.ndarray, list[str]]:
    """Return the affine to go on with: that of the file, or the scanner's where that one is no grid of its voxels."""
    wrong = _not_a_grid(header.affine, header.pixdim)
    if wrong is None:
        return header.affine, []
    if form is not None and form.code == SCANNER and _not_a_grid(form.affine, header.pixdim) is None:
        note = f"{path.name}: its first form {wrong}; the scanner's form ({form.name}) is used in its place"
        return form.affine, [note]
    raise QsmbenchError(f"{path}: its form {wrong}; correct the header, or give the scan as it was acquired")


def _not_a_grid(affine: np.ndarray, pixdim: tuple[float, ...]) -> str | None:
    """Return what keeps an affine from being that of the header's voxels, or None."""
    shear = affine_shear(affine)
    if shear > _SHEAR:
        return f"is sheared by {shear:.3g}°"
    size = affine_voxel_size(affine)
    if len(pixdim) == 3 and not np.allclose(size, pixdim, rtol=_SIZE):
        shown = [" × ".join(f"{d:.4g}" for d in s) for s in (size, pixdim)]
        return f"has voxels of {shown[0]} mm, but pixdim says {shown[1]} mm"
    return None


def check_same_b0(path: Path, header: Header, other: Path, like: Header) -> None:
    """Refuse a file whose form of B0 turns it elsewhere than that of another file of the scan.

    Raises:
        QsmbenchError: the directions differ by more than a degree.
    """
    forms = [_form_of_b0(p, h)[0] for p, h in ((path, header), (other, like))]
    if forms[0] is None or forms[1] is None:
        return
    directions = [affine_b0_dir(f.affine) for f in forms if f is not None]
    if angle(*directions) > _DEGREES:
        raise QsmbenchError(
            f"{path}: B0 points to {_shown(directions[0])}, but to {_shown(directions[1])} in {other.name}; "
            "all files of a scan must agree"
        )


def angle(a: Triple, b: Triple) -> float:
    """Angle between two directions of B0, degrees; opposite ones are the same to a dipole."""
    cosine = abs(np.dot(a, b)) / (np.linalg.norm(a) * np.linalg.norm(b))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _shown(direction: Triple) -> str:
    return "(" + ", ".join(f"{round(d, 3) + 0.0:.3g}" for d in direction) + ")"


def _axis(affine: np.ndarray) -> str:
    return f"z of its affine, {_shown(affine_b0_dir(affine))} in voxel axes"
