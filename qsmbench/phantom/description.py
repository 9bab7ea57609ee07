"""What a phantom's YAML may say; anything else is refused."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from qsmbench.model import Model

Point = tuple[float, float, float]
Sizes = tuple[PositiveFloat, PositiveFloat, PositiveFloat]
Share = Annotated[float, Field(ge=0, le=1)]

VENOUS = "venous_blood"
"""Tissue that grown veins are filled with."""


class Solid(Model):
    """A shape that has a place: centre [mm] and rotation [degrees] about x, then y, then z."""

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


class Tube(Model):
    """Round tube along a polyline of x, y, z, radius [mm]."""

    shape: Literal["tube"]
    points: Annotated[tuple[tuple[float, float, float, PositiveFloat], ...], Field(min_length=2)]
    mirror: bool = False


class HalfSpace(Model):
    """Everything on the far side of the plane through `point` [mm], against its `normal`."""

    shape: Literal["half_space"]
    point: Point
    normal: Point
    mirror: bool = False


class Gyroid(Solid):
    """A sponge of communicating cells, `wavelength` [mm] apart; `level` 0 fills half of the space, −1 little."""

    shape: Literal["gyroid"]
    wavelength: PositiveFloat
    level: Annotated[float, Field(ge=-1.5, le=1.5)] = 0


class FromMap(Model):
    """Where a map exceeds `level`; `width` [mm] is what the map takes to rise by 1 (absent: the map is the share).

    For a map of distances the shape is where the distance is below `level` [mm].
    """

    shape: Literal["map"]
    map: str
    level: float = 0.5
    width: PositiveFloat | None = None
    mirror: bool = False


class Joined(Model):
    """All of the shapes together; `smooth` [mm] rounds the seams."""

    shape: Literal["union"]
    of: Annotated[tuple[Shape, ...], Field(min_length=1)]
    smooth: Annotated[float, Field(ge=0)] = 0
    mirror: bool = False


class Intersection(Model):
    """What the shapes share."""

    shape: Literal["intersection"]
    of: Annotated[tuple[Shape, ...], Field(min_length=1)]
    mirror: bool = False


class Difference(Model):
    """The first shape without all the others."""

    shape: Literal["difference"]
    of: Annotated[tuple[Shape, ...], Field(min_length=2)]
    mirror: bool = False


class Offset(Model):
    """The shape grown by `by` [mm]; shrunk if negative."""

    shape: Literal["offset"]
    of: Shape
    by: float
    mirror: bool = False


class Ripple(Model):
    """The shape with a surface that waves by `amplitude` over `wavelength` [mm]."""

    shape: Literal["ripple"]
    of: Shape
    amplitude: float
    wavelength: PositiveFloat
    mirror: bool = False


class Reference(Model):
    """A shape of the `shapes` table, by name."""

    shape: Literal["ref"]
    name: str
    mirror: bool = False


Shape = Annotated[
    Ellipsoid | Box | Cylinder | Tube | HalfSpace | Gyroid | FromMap
    | Joined | Intersection | Difference | Offset | Ripple | Reference,
    Field(discriminator="shape"),
]  # fmt: skip


class Sharpen(Model):
    """Unsharp masking: add `amount` times what a Gaussian of `sigma` [mm] takes away."""

    sigma: PositiveFloat
    amount: PositiveFloat


class Distance(Model):
    """Turn a map into the distance from where it exceeds `level`, gaps narrower than 2·`close` [mm] filled.

    `spacing`, `smooth` and `reach` [mm]: of the voxels, of a Gaussian, and how far beyond the image.
    """

    level: float
    close: Annotated[float, Field(ge=0)] = 0
    spacing: PositiveFloat = 2
    smooth: Annotated[float, Field(ge=0)] = 0
    reach: PositiveFloat = 20


class MapSource(Model):
    """An image: `file` (a path, or `package:path`), divided by `scale`; zeros become `outside`."""

    file: str
    scale: PositiveFloat = 1
    outside: float | None = None
    sharpen: Sharpen | None = None
    distance: Distance | None = None


class Material(Model):
    """Properties given in place: ppm, relative to CSF, s, 1/s, 0–1."""

    chi: float
    pd: Annotated[float, Field(ge=0)] = 1
    t1: PositiveFloat = 1
    r2star: Annotated[float, Field(ge=0)] = 0
    fat_fraction: Share = 0


class Shell(Model):
    """What lies deeper than `depth` [mm] below the layer's surface."""

    depth: float
    tissue: str
    region: str | None = None
    amount: Share = 1


class Layer(Model):
    """A shape filled with a tissue of the table, or a material given in place; painted over what is there.

    `region` names the label (default: the tissue); `amount` is the share of the shape's space that it takes.
    """

    shape: Shape
    tissue: str | None = None
    material: Material | None = None
    region: str | None = None
    group: str | None = None
    amount: Share = 1
    shells: tuple[Shell, ...] = ()

    @model_validator(mode="after")
    def _one_filling(self) -> Layer:
        if (self.tissue is None) == (self.material is None):
            raise ValueError("give either tissue or material")
        if self.material is not None and self.region is None:
            raise ValueError("a material needs a region to be named by")
        return self


class FieldOfView(Model):
    """The field of view: lower and upper corner [mm]."""

    lower: Point
    upper: Point

    @model_validator(mode="after")
    def _ordered(self) -> FieldOfView:
        if not all(a < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError("lower must be below upper along each axis")
        return self


class TissueChange(Model):
    """Values that replace those of the table at every field: ppm, relative to CSF, s, 1/s, 0–1."""

    chi: float | None = None
    pd: Annotated[float, Field(ge=0)] | None = None
    t1: PositiveFloat | None = None
    r2star: Annotated[float, Field(ge=0)] | None = None
    fat_fraction: Share | None = None


class Common(Model):
    """What every phantom says of the scan's grid."""

    voxel_size: Sizes
    supersampling: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2)
    b0_dir: Point | None = None
    ambient_chi: float = 0
    tissues: dict[str, TissueChange] = Field({})

    @model_validator(mode="before")
    @classmethod
    def _scalars(cls, content: dict) -> dict:
        content = dict(content)
        for key in ("voxel_size", "supersampling"):
            if isinstance(content.get(key), int | float):
                content[key] = (content[key],) * 3
        return content


class Vessels(Model):
    """Veins that grow into the phantom: `file` describes them, `seed` draws them.

    `hct` is the haematocrit. `saturation` of oxygen is looked up by "side name" of a vein, then its name, then its
    side (sinuses have none: they hold what both sides drain), then `default`; sides are left, middle, right.
    """

    file: str
    seed: Annotated[int, Field(ge=0)] = 0
    hct: Annotated[float, Field(ge=0, le=0.7)]
    saturation: dict[str, Share]

    @model_validator(mode="after")
    def _complete(self) -> Vessels:
        if "default" not in self.saturation:
            raise ValueError("saturation needs a default")
        return self


class ShapesDescription(Common):
    """A phantom of layers of shapes."""

    kind: Literal["shapes"]
    field_of_view: FieldOfView
    parameters: dict[str, float] = Field({})
    background: str = "air"
    maps: dict[str, MapSource] = Field({})
    shapes: dict[str, Shape] = Field({})
    mask: Shape
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    vessels: Vessels | None = None

    @model_validator(mode="after")
    def _one_blood(self) -> ShapesDescription:
        change = self.tissues.get(VENOUS)
        if self.vessels and change and (change.chi is not None or change.r2star is not None):
            raise ValueError(f"chi and r2star of {VENOUS} follow from vessels.hct and vessels.saturation; change those")
        return self


class LabelDescription(Common):
    """A phantom from an image of labels and a table that gives each one a tissue.

    The table (`.csv`, else tab-separated) has the columns index, name, and either tissue (of our table) or chi, pd,
    t1, r2star, fat_fraction; group is optional. Paths are relative to the description. For example:

        kind: labelmap
        image: dseg.nii.gz
        table: dseg.tsv
        ambient_chi: 9.4
    """

    kind: Literal["labelmap"]
    voxel_size: Sizes | None = None  # type: ignore[assignment]
    image: str
    table: str
    mask: tuple[int, ...] | None = None  # labels of the study mask; default: all but 0


Description = Annotated[ShapesDescription | LabelDescription, Field(discriminator="kind")]
