"""The shapes available in a phantom's YAML."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, model_validator

from qsmbench.typed_yaml import Model

Point = tuple[float, float, float]
Sizes = tuple[PositiveFloat, PositiveFloat, PositiveFloat]

_VoxelLength = Annotated[float, Field(gt=0, le=50)]
VoxelSize = tuple[_VoxelLength, _VoxelLength, _VoxelLength]
"""Size of a voxel, mm; no scan has larger ones than 50 mm."""
Share = Annotated[float, Field(ge=0, le=1)]
"""A part of a whole, 0–1."""


class Solid(Model):
    """A shape with a centre [mm] and a rotation [degrees] about x, then y, then z."""

    center: Point = (0, 0, 0)
    rotate: Point = (0, 0, 0)
    mirror: bool = False  # also on the other side of the plane x = 0


class Ellipsoid(Solid):
    """Semi-axes [mm]; an exponent above 2 makes it boxier."""

    shape: Literal["ellipsoid"]
    radii: Sizes
    exponent: Annotated[float, Field(ge=2, le=10)] = 2


class Box(Solid):
    """Half sizes and rounding of the edges [mm]."""

    shape: Literal["box"]
    half: Sizes
    rounding: Annotated[float, Field(ge=0)] = 0


class Cylinder(Solid):
    """Along its own z, with round ends [mm]."""

    shape: Literal["cylinder"]
    radius: PositiveFloat
    length: PositiveFloat


class Beads(Model):
    """Periodic narrowing of a tube, such as that of the colon between its haustra: by `depth`, every `length` [mm]."""

    depth: PositiveFloat
    length: PositiveFloat


class Tube(Model):
    """Round tube along a polyline of x, y, z, radius [mm]; if `curved`, along a smooth curve through the points."""

    shape: Literal["tube"]
    points: Annotated[tuple[tuple[float, float, float, PositiveFloat], ...], Field(min_length=2)]
    curved: bool = False
    beads: Beads | None = None
    mirror: bool = False

    @model_validator(mode="after")
    def _possible(self) -> Tube:
        if self.beads is not None and not self.curved:
            raise ValueError("beads needs curved: true")
        if self.beads is not None and self.beads.depth >= min(p[3] for p in self.points):
            raise ValueError("the depth of beads must be less than the smallest radius")
        return self


class Section(Model):
    """A superellipse |u/w|^n + |v/h|^n = 1 at height `z` [mm], with u and v from its centre.

    It reaches from `back` to `front` along y and `half` to either side of `x` [mm]; `n` is 2 for an ellipse.
    """

    z: float
    half: PositiveFloat
    back: float
    front: float
    x: float = 0
    n: Annotated[float, Field(ge=2, le=10)] = 2

    @model_validator(mode="after")
    def _ordered(self) -> Section:
        if self.front <= self.back:
            raise ValueError("front must be above back")
        return self


class Loft(Model):
    """A smooth surface through superelliptic sections, with flat ends at the first and the last."""

    shape: Literal["loft"]
    sections: Annotated[tuple[Section, ...], Field(min_length=2)]
    mirror: bool = False

    @model_validator(mode="after")
    def _ascending(self) -> Loft:
        if any(a.z >= b.z for a, b in pairwise(self.sections)):
            raise ValueError("z of the sections must increase")
        return self


class Loops(Model):
    """A winding tube that fills the shape `within`, such as the small bowel: `spacing` between its loops [mm].

    It visits the nodes of a turned and displaced lattice, drawn from `seed`, without crossing itself; its axis stays
    in the shape. Its `radius` [mm] varies by the share `uneven` (standard deviation).
    """

    shape: Literal["loops"]
    within: Shape
    spacing: PositiveFloat
    radius: PositiveFloat
    uneven: Annotated[float, Field(ge=0, le=0.3)] = 0
    seed: Annotated[int, Field(ge=0)] = 0
    mirror: bool = False


class HalfSpace(Model):
    """The half-space behind the plane through `point` [mm], opposite to its `normal`."""

    shape: Literal["half_space"]
    point: Point
    normal: Point
    mirror: bool = False


class Gyroid(Solid):
    """A sponge of connected cells, `wavelength` [mm] apart; `level` 0 fills half of the space, −1 little."""

    shape: Literal["gyroid"]
    wavelength: PositiveFloat
    level: Annotated[float, Field(ge=-1.5, le=1.5)] = 0


class FromMap(Model):
    """The region where a map exceeds `level`; the map increases by 1 over `width` [mm] (absent: a volume fraction).

    For a map of distances, the region where the distance is below `level` [mm].
    """

    shape: Literal["map"]
    map: str
    level: float = 0.5
    width: PositiveFloat | None = None
    mirror: bool = False


class Joined(Model):
    """Union of the shapes; `smooth` [mm] rounds the seams."""

    shape: Literal["union"]
    of: Annotated[tuple[Shape, ...], Field(min_length=1)]
    smooth: Annotated[float, Field(ge=0)] = 0
    mirror: bool = False


class Intersection(Model):
    """Intersection of the shapes; `smooth` [mm] rounds the edges."""

    shape: Literal["intersection"]
    of: Annotated[tuple[Shape, ...], Field(min_length=1)]
    smooth: Annotated[float, Field(ge=0)] = 0
    mirror: bool = False


class Difference(Model):
    """The first shape without all the others; `smooth` [mm] rounds the edges."""

    shape: Literal["difference"]
    of: Annotated[tuple[Shape, ...], Field(min_length=2)]
    smooth: Annotated[float, Field(ge=0)] = 0
    mirror: bool = False


class Offset(Model):
    """The shape expanded by `by` [mm]; shrunk if negative."""

    shape: Literal["offset"]
    of: Shape
    by: float
    mirror: bool = False


class Ripple(Model):
    """The shape with a wavy surface, with `amplitude` and `wavelength` [mm]."""

    shape: Literal["ripple"]
    of: Shape
    amplitude: float
    wavelength: PositiveFloat
    mirror: bool = False


class Rough(Model):
    """The shape with a rough surface: seeded waves of about `wavelength` [mm], with an rms `amplitude` [mm]."""

    shape: Literal["rough"]
    of: Shape
    amplitude: Annotated[float, Field(ge=0)]
    wavelength: PositiveFloat
    seed: Annotated[int, Field(ge=0)] = 0
    mirror: bool = False


class Moved(Model):
    """The shape, described in a frame of its own, mirrored at x = 0 if `flip`, scaled, rotated and moved `by` [mm].

    `scale` is about the frame's origin, `rotate` [degrees] about its x, then y, then z.
    """

    shape: Literal["moved"]
    of: Shape
    by: Point = (0, 0, 0)
    rotate: Point = (0, 0, 0)
    scale: Annotated[float, Field(gt=0.01, le=100)] = 1
    flip: bool = False
    mirror: bool = False


class Reference(Model):
    """A shape of the `shapes` table, by name."""

    shape: Literal["ref"]
    name: str
    mirror: bool = False


Shape = Annotated[
    Ellipsoid | Box | Cylinder | Tube | Loft | Loops | HalfSpace | Gyroid | FromMap
    | Joined | Intersection | Difference | Offset | Ripple | Rough | Moved | Reference,
    Field(discriminator="shape"),
]  # fmt: skip
