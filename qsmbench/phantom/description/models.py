"""The keys of a phantom's YAML; anything else is refused."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from qsmbench.phantom.description.geometry import Point, Shape, Share, Sizes
from qsmbench.phantom.description.sources import Source
from qsmbench.phantom.description.tissues import Material, TissueChange
from qsmbench.typed_yaml import Model
from qsmbench.units import DR_3T

VENOUS = "venous_blood"
"""Tissue that grown veins are filled with."""


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


Line = Annotated[tuple[Point, ...], Field(min_length=2)]
"""Points [mm] of a polyline that fibres follow."""


class Fibres(Model):
    """Where fibres run; one of three ways.

    `along`: as the nearest of some lines and their mirror images does, each a list of points [mm]; or, with
    `fibres: along`, along the axes of the tubes that the layer's shape is made of.
    `direction`, or `fibres: [x, y, z]`: the same everywhere, mirrored where x < 0.
    `from` some regions `to` others: down the slope of a harmonic potential between them, as heat would flow through
    all that has fibres.
    """

    model_config = ConfigDict(populate_by_name=True)
    along: Literal["tube"] | tuple[Line, ...] | None = None
    direction: Point | None = None
    from_: tuple[str, ...] | None = Field(None, alias="from")
    to: tuple[str, ...] | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, content: Any) -> Any:
        if content == "along":
            return {"along": "tube"}
        if isinstance(content, list | tuple):
            return {"direction": content}
        if not isinstance(content, dict):
            raise ValueError(
                "choose from along, a direction [x, y, z], {along: [lines]} or {from: [regions], to: [regions]}"
            )
        return content

    @model_validator(mode="after")
    def _one_way(self) -> Fibres:
        if (self.from_ is None) != (self.to is None):
            raise ValueError("fibres that run from some regions need others that they run to")
        if sum(way is not None for way in (self.along, self.direction, self.from_)) != 1:
            raise ValueError("give one of along, direction, and from with to")
        if self.direction is not None and not any(self.direction):
            raise ValueError("a direction must not be 0, 0, 0")
        return self


class Shell(Model):
    """What lies deeper than `depth` [mm] below the layer's surface."""

    depth: float
    tissue: str
    region: str | None = None
    amount: Share = 1


class Layer(Model):
    """A shape filled with a tissue of the table, or a material stated in place; painted over what is there.

    `region` names the label (default: the tissue); `amount` is the share of the shape's space that it takes; `fibres`
    is where they run.
    """

    shape: Shape
    tissue: str | None = None
    material: Material | None = None
    region: str | None = None
    group: str | None = None
    amount: Share = 1
    fibres: Fibres | None = None
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


class Grain(Model):
    """How much iron and myelin vary within a tissue: standard deviations as shares of their mean."""

    iron: Annotated[float, Field(ge=0, le=0.4)] = 0
    myelin: Annotated[float, Field(ge=0, le=0.4)] = 0


class Texture(Model):
    """Variation within tissues.

    `scales` [mm] are of the Gaussians that smooth white noise on a lattice of `spacing` [mm]. Per unit of relative
    change of myelin R1 changes by `r1` and PD by −`pd`, relative to what they are; per unit of iron R1 by `r1_iron`.
    """

    seed: Annotated[int, Field(ge=0)] = 0
    spacing: PositiveFloat = 1.5
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1.5, 5.0)
    r1: NonNegativeFloat = 0.4
    r1_iron: NonNegativeFloat = 0.1
    pd: NonNegativeFloat = 0.15
    groups: dict[str, Grain] = Field({})
    source: str = Field(description="where the numbers come from; `assumed` where they are ours")


class Common(Model):
    """The keys that all phantoms have."""

    voxel_size: Sizes
    supersampling: tuple[PositiveInt, PositiveInt, PositiveInt] = (2, 2, 2)
    b0_dir: Point | None = None
    ambient_chi: float = 0
    dr: Annotated[float, Field(ge=0)] = DR_3T  # 1/s/ppm at 3 T: R2* = R2 + dr·(χ+ + χ−)
    tissues: dict[str, TissueChange] = Field({})
    sources: tuple[Source, ...] = ()
    texture: Texture | None = None

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
    `assumed` names those of both that are assumed.
    """

    file: str
    seed: Annotated[int, Field(ge=0)] = 0
    hct: Annotated[float, Field(ge=0, le=0.7)]
    saturation: dict[str, Share]
    assumed: tuple[Literal["hct", "saturation"], ...] = ()

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
    population: str | None = None  # file of how people differ, beside the description
    subject: Annotated[int, Field(ge=0)] = 0  # the person that this number draws; 0: the template itself
    age: PositiveFloat | None = None  # years; by default the subject's
    background: str = "air"
    maps: dict[str, MapSource] = Field({})
    shapes: dict[str, Shape] = Field({})
    mask: Shape
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)]
    vessels: Vessels | None = None
    anisotropy: bool = False  # whether χ and R2* depend on the angle between fibres and B0

    @model_validator(mode="after")
    def _some_fibres(self) -> ShapesDescription:
        if self.anisotropy and not any(layer.fibres for layer in self.layers):
            raise ValueError("anisotropy is true, but no layer says where its fibres run")
        return self

    @model_validator(mode="after")
    def _one_blood(self) -> ShapesDescription:
        change = self.tissues.get(VENOUS)
        if self.vessels and change and change.model_fields_set & {"chi", "chi_para", "chi_dia", "r2star"}:
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
