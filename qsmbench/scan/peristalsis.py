"""Peristalsis: the bowel moves by itself during the scan."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.warp import Warp
from qsmbench.seeds import generator
from qsmbench.typed_yaml import Model


class Peristalsis(Model):
    """Random displacements of the regions of some groups, another one after each contraction."""

    sd: NonNegativeFloat = Field(description="standard deviation of the displacement along each axis, mm")
    scale: PositiveFloat = Field(15, description="standard deviation of the Gaussian that smooths it (assumed), mm")
    period: PositiveFloat = Field(8.7, description="duration of a contraction, s")
    groups: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("bowel", "gas"), description="groups of the regions that move"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the displacements")

    @property
    def farthest(self) -> float:
        """What tissue moves along an axis, but for one voxel in thousands, mm."""
        return 4 * self.sd


def displacement(peristalsis: Peristalsis, phantom: Phantom, contraction: int) -> Warp:
    """Return the map from the object in a contraction to the object at rest.

    White noise is smoothed, given its standard deviation, and confined to the regions, with an edge half as wide.

    Args:
        peristalsis: size and scale of the displacement.
        phantom: the object.
        contraction: its number, from 0.

    Raises:
        QsmbenchError: the phantom has no region of the groups.
    """
    groups = {name: group for _, name, group in phantom.anatomy}
    moving = [phantom.atlas.label(name) for name, group in groups.items() if group in peristalsis.groups]
    if not moving:
        raise QsmbenchError(
            f"{phantom.path}: peristalsis.groups: no region is in {', '.join(peristalsis.groups)}; "
            f"choose from {', '.join(sorted(set(groups.values()) - {''}))}"
        )
    spacing = phantom.atlas.grid.voxel_size[0]
    width = peristalsis.scale / spacing
    share = np.isin(phantom.atlas.labels, moving).astype(np.float32)
    share = ndimage.gaussian_filter(share, width / 2)
    rng = generator([peristalsis.seed, contraction])
    noise = rng.standard_normal((3, *share.shape), np.float32)
    smooth = np.stack([ndimage.gaussian_filter(n, width) for n in noise])
    moved = smooth * (np.float32(peristalsis.sd) / smooth.std(axis=(1, 2, 3), keepdims=True)) * share
    return Warp(moved, phantom.atlas.grid.affine[:3, 3], spacing)
