"""A measured scan for tests of what is read: two balls in a ball of water, written as people's converters write it."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from qsmbench.units import rad_per_ppm

SHAPE = (24, 22, 20)
TE = (0.005, 0.012, 0.019)


def affine(size=(2.0, 2.0, 2.0), tilt=0.0):
    """Voxels of `size` mm, tilted by degrees about the first axis, with the middle of the grid at the origin."""
    t = np.radians(tilt)
    turn = np.array([[1, 0, 0], [0, np.cos(t), -np.sin(t)], [0, np.sin(t), np.cos(t)]])
    matrix = np.eye(4)
    matrix[:3, :3] = turn * np.array(size)
    matrix[:3, 3] = -matrix[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    return matrix


@dataclass
class Measured:
    """A scan as arrays: field [ppm], wrapped phase [rad], magnitude, mask."""

    affine: np.ndarray
    field: np.ndarray
    phase: np.ndarray
    magnitude: np.ndarray
    mask: np.ndarray
    b0: float
    te: tuple[float, ...]

    @property
    def unwrapped(self):
        """(nx, ny, nz, n_echoes) rad."""
        return self.field[..., None] * np.array([rad_per_ppm(self.b0, t) for t in self.te])


def scan(*, noise=True, strength=1.0, background=0.0, b0=3.0, te=TE, at=None):
    """Balls of 0.4 and −0.3 ppm (times `strength`), closed form; with uniform phase where there is no signal.

    Inside each ball the field is 0 (Lorentz sphere); outside (χ/3)(a/r)³(3cos²θ − 1). `background` [ppm] is added as a
    parabola along z, which makes a phase wrap smoothly.
    """
    at = affine() if at is None else at
    x = np.stack(np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij"), -1) @ at[:3, :3].T + at[:3, 3]
    field = np.zeros(SHAPE)
    for place, radius, chi in (((7, 3, 4), 6.0, 0.4), ((-7, -5, -3), 5.5, -0.3)):
        d = x - np.array(place, float)
        r = np.maximum(np.linalg.norm(d, axis=-1), 1e-9)
        outside = strength * chi / 3 * (radius / r) ** 3 * (3 * (d[..., 2] / r) ** 2 - 1)
        field += np.where(r < radius, 0, outside)
    field += background * (x[..., 2] / 17) ** 2
    mask = np.linalg.norm(x, axis=-1) < 17
    raw = field[..., None] * np.array([rad_per_ppm(b0, t) for t in te])
    phase = np.angle(np.exp(1j * raw))
    rng = np.random.default_rng(0)
    if noise:
        phase = np.where(mask[..., None], phase, rng.uniform(-np.pi, np.pi, phase.shape))
        phase[0, 0, 0], phase[0, 0, 1] = -np.pi, np.pi * (1 - 1e-6)
    magnitude = np.where(mask, 1000.0, 15.0)[..., None] * np.exp(-20 * np.array(te))
    return Measured(at, field, phase, magnitude, mask, b0, tuple(te))


def save(path, values, at, *, sform=1, qform=1, q=None, unit="mm", dtype=np.float32):
    """Write a NIfTI file with both forms coded."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.asarray(values)
    image = nib.Nifti1Image(values.astype(dtype) if values.dtype.kind == "f" else values, at)
    image.header.set_xyzt_units(unit)
    image.set_sform(at, sform)
    image.set_qform(at if q is None else q, qform)
    nib.save(image, path)
    return path


def save_stored(path, numbers, at, slope, inter, dtype):
    """Write numbers as they are, with slope and intercept in the header."""
    header = nib.Nifti1Header()
    header.set_data_dtype(dtype)
    header.set_data_shape(numbers.shape)
    header.set_xyzt_units("mm")
    header.set_sform(at, 1)
    header.set_qform(at, 1)
    header["scl_slope"], header["scl_inter"], header["vox_offset"], header["magic"] = slope, inter, 352, b"n+1"
    with gzip.open(path, "wb") as file:
        file.write(header.binaryblock + b"\0" * 4 + np.asarray(numbers, dtype).tobytes(order="F"))


def bids(root, s, *, phase=None, magnitude=None, units="rad", stem="sub-01", suffix="MEGRE", **how):
    """Write a BIDS dataset; `how` goes to `save`. Returns its root."""
    root = Path(root)
    folder = root / stem.split("_")[0] / "anat"
    folder.mkdir(parents=True, exist_ok=True)
    (root / "dataset_description.json").write_text('{"Name": "test", "BIDSVersion": "1.9.0"}')
    parts = {"mag": s.magnitude if magnitude is None else magnitude, "phase": s.phase if phase is None else phase}
    for e, te in enumerate(s.te):
        for part, values in parts.items():
            name = f"{stem}_echo-{e + 1}_part-{part}_{suffix}"
            save(folder / f"{name}.nii.gz", values[..., e], s.affine, **how)
            keys = {"EchoTime": te, "MagneticFieldStrength": s.b0}
            keys |= {"Units": units} if part == "phase" and units is not None else {}
            (folder / f"{name}.json").write_text(json.dumps(keys))
    return root


def files(root, part):
    """The files of a part, by echo."""
    return sorted(Path(root).rglob(f"*part-{part}*.nii.gz"))


def edit(sidecar, **changes):
    """Change keys of a JSON file; None removes one."""
    content = {**json.loads(sidecar.read_text()), **changes}
    sidecar.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))


def field_of(volumes, params):
    """Fit the field [ppm] by the phase differences of the first two echoes, which are far below π here."""
    phase = volumes["phase"].astype(float)
    steps = np.angle(np.exp(1j * np.diff(phase, axis=-1)))[..., 0]
    return steps / rad_per_ppm(params.b0, params.te[1] - params.te[0])


def slope(volumes, params, s):
    """The slope of the measured field on the true one, in the mask."""
    inside = s.mask & (s.field != 0)
    a, b = s.field[inside], field_of(volumes, params)[inside]
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / (a @ a))
