"""Small phantoms that tests write: layers of materials in a box of water, and their moments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from qsmbench.grid import Grid
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.phantom.properties import Protons
from qsmbench.phantom.species import WATER
from qsmbench.spectra import spectrum


def write(folder: Path, layers: list[dict], **more: object) -> Phantom:
    """A phantom in a 32 mm box of water."""
    content = {
        "kind": "shapes",
        "field_of_view": {"lower": [-16, -16, -16], "upper": [16, 16, 16]},
        "voxel_size": 1,
        "background": "water",
        "mask": {"shape": "ellipsoid", "radii": [10, 10, 10]},
        "layers": layers,
        **more,
    }
    path = folder / "object.yaml"
    path.write_text(yaml.safe_dump(content))
    return load(str(path))


def layer(shape: dict, chi: float = 1.0, region: str = "object", **more: object) -> dict:
    """A layer of a material that differs from water in χ alone."""
    return {"shape": shape, "region": region, "material": {"chi": chi, "t1": 3, "r2star": 5}, **more}


def moment(phantom: Phantom, grid: Grid | None = None) -> float:
    """∫χ dV [ppm·mm³]."""
    grid = grid or phantom.grid()
    return float(phantom.render(grid, 3.0).chi.sum(dtype=float)) * grid.voxel_volume


def box(centre: tuple[float, float, float], size: float, voxel_size: float) -> Grid:
    """A cube of voxels around a point of an object; all in mm."""
    n = int(size / voxel_size)
    affine = np.diag([voxel_size, voxel_size, voxel_size, 1.0])
    affine[:3, 3] = np.array(centre) - voxel_size * (n - 1) / 2
    return Grid.from_affine((n, n, n), affine)


def protons(shape: tuple[int, ...], pd=1.0, t1=1.0, r2star=0.0, species=WATER) -> Protons:
    """Protons of one species whose properties are numbers or maps; R2 is R2*."""
    pd, t1, r2star = (np.broadcast_to(np.asarray(m, np.float32), shape).copy() for m in (pd, t1, r2star))
    return Protons(pd, t1, r2star, r2star, spectrum(species.name))
