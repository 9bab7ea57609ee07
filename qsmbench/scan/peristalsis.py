"""Peristalsis: the bowel moves by itself during the scan."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat

from qsmbench.typed_yaml import Model


class Peristalsis(Model):
    """Random displacements of the regions of some groups, another one after each contraction."""

    sd: NonNegativeFloat = Field(description="standard deviation of the displacement along each axis, mm")
    scale: PositiveFloat = Field(15, description="standard deviation of the Gaussian that smooths it (assumed), mm")
    period: PositiveFloat = Field(8.7, description="duration of a contraction of the small bowel (from memory), s")
    groups: Annotated[tuple[str, ...], Field(min_length=1)] = Field(
        ("bowel", "gas"), description="groups of the regions that move"
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the displacements")

    @property
    def farthest(self) -> float:
        """What tissue moves along an axis, but for one voxel in ten thousand, mm."""
        return 4 * self.sd
