"""The keys of a phantom's YAML; unknown keys are rejected."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from qsmbench.phantom.description.geometry import Point, Shape, Share, Sizes, VoxelSize
from qsmbench.phantom.description.norms import Sex
from qsmbench.phantom.description.sources import Source
from qsmbench.phantom.description.tissues import Material, TissueChange
from qsmbench.phantom.species import FatPeaks
from qsmbench.spectra import BODY_TEMPERATURE
from qsmbench.typed_yaml import Model
from qsmbench.units import DR_3T

VENOUS = "venous_blood"
"""Tissue of generated veins."""


class Sharpen(Model):
    """Unsharp masking: add `amount` times the detail that a Gaussian of `sigma` [mm] removes."""

    sigma: PositiveFloat
    amount: PositiveFloat


class Distance(Model):
    """Distance to the region where a map exceeds `level`, with gaps narrower than 2·`close` [mm] filled.

    `spacing` of the voxels, `smooth` of a Gaussian, and `reach` beyond the image, all in mm.
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
    """Direction of fibres, given in one of three ways.

    `along`: that of the nearest of some lines and their mirror images, each a list of points [mm]; or, with
    `fibres: along`, along the axes of the tubes in the layer's shape.
    `direction`, or `fibres: [x, y, z]`: constant, mirrored where x < 0.
    `from` some regions `to` others: the gradient of a harmonic potential between them, in all tissue with fibres.
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
            raise ValueError("from and to must be given together")
        if sum(way is not None for way in (self.along, self.direction, self.from_)) != 1:
            raise ValueError("give one of along, direction, or from and to")
        if self.direction is not None and not any(self.direction):
            raise ValueError("a direction must not be 0, 0, 0")
        return self


class Shell(Model):
    """The part of a layer deeper than `depth` [mm] below its surface."""

    depth: float
    tissue: str
    region: str | None = None
    amount: Share = 1


class Layer(Model):
    """A shape filled with a tissue of the table or a material given in place, painted over earlier layers.

    `region` is the name of the label (default: the tissue), `amount` the volume fraction in the shape, `fibres` the
    direction of fibres.
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
            raise ValueError("a layer with a material needs the name of a region")
        return self


class FieldOfView(Model):
    """The field of view: lower and upper corner [mm]."""

    lower: Point = Field(description="corner with the smallest x, y, z, mm")
    upper: Point = Field(description="corner with the largest x, y, z, mm")

    @model_validator(mode="after")
    def _ordered(self) -> FieldOfView:
        if not all(a < b for a, b in zip(self.lower, self.upper, strict=True)):
            raise ValueError("lower must be below upper along each axis")
        return self


class Grain(Model):
    """Variation of iron and myelin within a tissue: standard deviations relative to the mean.

    Unlike them, `balance` leaves χ+ + χ− as it is, so that no magnitude image shows it.
    """

    iron: Annotated[float, Field(ge=0, le=0.4)] = Field(0, description="standard deviation of χ+ over its mean")
    myelin: Annotated[float, Field(ge=0, le=0.4)] = Field(0, description="standard deviation of χ− over its mean")
    balance: Annotated[float, Field(ge=0, le=0.4)] = Field(
        0, description="standard deviation of the share of χ+ in χ+ + χ−, a sum that does not change"
    )


class Texture(Model):
    """Variation within tissues.

    `scales` [mm] are the widths of the Gaussians that smooth white noise on a lattice of `spacing` [mm]. Per unit of
    relative change of myelin, R1 changes by `r1` and PD by −`pd`, in relative terms; per unit of iron, R1 changes by
    `r1_iron`.
    """

    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the texture")
    spacing: PositiveFloat = Field(1.5, description="spacing of the lattice that holds the noise, mm")
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = Field(
        (1.5, 5.0), description="standard deviations of the Gaussians that smooth the noise, mm"
    )
    r1: NonNegativeFloat = Field(0.4, description="relative change of R1 per relative change of myelin")
    r1_iron: NonNegativeFloat = Field(0.1, description="relative change of R1 per relative change of iron")
    pd: NonNegativeFloat = Field(
        0.15, description="relative decrease of the proton density per relative change of myelin"
    )
    groups: dict[str, Grain] = Field({}, description="variation of each group of tissues")
    source: str = Field(description="reference of the numbers; assumed: neither measured nor published")


class Common(Model):
    """The keys that all phantoms have."""

    voxel_size: VoxelSize = Field(
        description="voxel size of the scan if the protocol has no grid; one number or three, mm"
    )
    supersampling: tuple[PositiveInt, PositiveInt, PositiveInt] = Field(
        (2, 2, 2), description="parts of a voxel along each axis in the simulation; one number or three"
    )
    b0_dir: Point | None = Field(None, description="direction of B0 in the voxel axes; null: the z axis of the world")
    ambient_chi: float = Field(0, description="χ of the medium around the volume, ppm")
    dr: Annotated[float, Field(ge=0)] = Field(
        DR_3T, description="relaxivity of susceptibility: R2* = R2 + dr·B0/(3 T)·(χ+ + χ−), 1/s/ppm"
    )
    fat_peaks: FatPeaks = Field(6, description="peaks of the spectrum of fat, one of those in phantoms/spectra.csv")
    temperature: Annotated[float, Field(ge=0, le=60)] = Field(
        BODY_TEMPERATURE, description="temperature, which moves the resonance of water relative to fat, °C"
    )
    tissues: dict[str, TissueChange] = Field({}, description="values that override phantoms/tissues.csv")
    sources: tuple[Source, ...] = Field(
        (), description="susceptibility sources added to the tissues; see qsmbench list sources"
    )
    texture: Texture | None = Field(None, description="variation within tissues; null: each tissue is uniform")
    assumed: tuple[Literal["sources"], ...] = Field(
        (), description="keys of the phantom whose values are assumed: neither measured nor published"
    )

    @model_validator(mode="before")
    @classmethod
    def _scalars(cls, content: dict) -> dict:
        content = dict(content)
        for key in ("voxel_size", "supersampling"):
            if isinstance(content.get(key), int | float):
                content[key] = (content[key],) * 3
        return content


class Vessels(Model):
    """Generated veins: `file` describes them, `seed` selects the tree.

    `hct` is the haematocrit. `saturation` of oxygen is looked up by "side name" of a vein, then its name, its region,
    its side (except for sinuses), then `default`; sides are left, middle, right. Veins mix what drains into them,
    unless a saturation is given for their name or region. `assumed` lists which of the two are assumed.
    """

    file: str = Field(description="YAML that describes the veins")
    seed: Annotated[int, Field(ge=0)] = Field(0, description="seed of the generated tree")
    hct: Annotated[float, Field(ge=0, le=0.7)] = Field(description="haematocrit")
    saturation: dict[str, Share] = Field(description="oxygen saturation of the blood: default, and by side or vein")
    assumed: tuple[Literal["hct", "saturation"], ...] = Field((), description="which of the two values are assumed")

    @model_validator(mode="after")
    def _complete(self) -> Vessels:
        if "default" not in self.saturation:
            raise ValueError("saturation needs a default")
        return self


class Breath(Model):
    """How tissue follows the dome of the diaphragm, which descends as one breathes in: by shares of its descent.

    Regions, or all of a group, move down by a share of their own; what is not listed lies between them and follows its
    surroundings within `reach` [mm]. At their surfaces, where organs slide along walls, tissue is sheared within some
    `blend` [mm]. Everything moves forward by a share that is linear between heights z [mm], and that grows from 0 at
    the first to the full one at the second of the two `depths` y [mm].
    """

    down: dict[str, Share] = Field(min_length=1, description="share of the descent, by region or group")
    reach: PositiveFloat = Field(description="standard deviation of the Gaussian that fills what is not listed, mm")
    blend: PositiveFloat = Field(description="standard deviation of the Gaussian that smooths surfaces, mm")
    forward: tuple[tuple[float, Share], ...] = Field(min_length=2, description="height, and share forward there")
    depths: tuple[float, float] = Field(description="y where nothing moves forward, and where all of it does, mm")
    source: str = Field(description="reference of the numbers; assumed: neither measured nor published")

    @model_validator(mode="after")
    def _ordered(self) -> Breath:
        if not all(a < b for (a, _), (b, _) in pairwise(self.forward)):
            raise ValueError("heights of forward must increase")
        if not self.depths[0] < self.depths[1]:
            raise ValueError("depths must increase")
        return self


class OfGroups(Model):
    """A mask of all voxels that are filled for the most part by regions of some `groups`."""

    groups: Annotated[tuple[str, ...], Field(min_length=1)]


class ShapesDescription(Common):
    """A phantom of layers of shapes."""

    kind: Literal["shapes"]
    field_of_view: FieldOfView = Field(description="bounding box of the phantom")
    parameters: dict[str, float] = Field({}, description="numbers that the description refers to as $name")
    size: Sizes = Field((1, 1, 1), description="size along x, y, z relative to the described shapes")
    population: str | None = Field(None, description="YAML that describes the differences between subjects")
    subject: Annotated[int, Field(ge=0)] = Field(0, description="number of the subject; 0: the template")
    age: PositiveFloat | None = Field(None, description="age of the subject; null: that of the subject, years")
    sex: Sex | None = Field(None, description="sex of the subject; null: that of the subject, for 0 the mean of both")
    background: str = Field("air", description="tissue around all layers")
    maps: dict[str, MapSource] = Field({}, description="images from which shapes are derived")
    shapes: dict[str, Shape] = Field({}, description="named shapes that layers refer to")
    mask: Shape | OfGroups = Field(description="shape of the study mask, or {groups: [...]}, those of its regions")
    layers: Annotated[tuple[Layer, ...], Field(min_length=1)] = Field(
        description="shapes filled with tissues, painted in this order"
    )
    vessels: Vessels | None = Field(None, description="generated veins; null: none")
    breath: Breath | None = Field(None, description="how tissue moves with the diaphragm; null: it does not")
    anisotropy: bool = Field(False, description="whether χ and R2* depend on the angle between fibres and B0")

    @model_validator(mode="after")
    def _some_fibres(self) -> ShapesDescription:
        if self.anisotropy and not any(layer.fibres for layer in self.layers):
            raise ValueError("anisotropy is true, but no layer has the key fibres")
        return self

    @model_validator(mode="after")
    def _one_blood(self) -> ShapesDescription:
        change = self.tissues.get(VENOUS)
        if self.vessels and change and change.model_fields_set & {"chi", "chi_para", "chi_dia", "r2star"}:
            raise ValueError(
                f"chi and r2star of {VENOUS} are computed from vessels.hct and vessels.saturation; change those"
            )
        return self


class LabelDescription(Common):
    """A phantom from an image of labels and a table that gives each one a tissue.

    The table (tabs, semicolons or commas) has the columns index, name, and either tissue (of our table) or chi, pd,
    t1, r2star, fat_fraction; group, r2, fat_t1, fat_r2 and fat_r2star are optional. Paths are relative to the
    description. For example:

        kind: labelmap
        image: dseg.nii.gz
        table: dseg.tsv
        ambient_chi: 9.4
    """

    kind: Literal["labelmap"]
    voxel_size: VoxelSize | None = Field(  # type: ignore[assignment]
        None, description="one number or three, mm; null: that of the image"
    )
    image: str = Field(description="NIfTI image of labels, 0 to 255")
    table: str = Field(description="tissue or properties of each label")
    mask: tuple[Annotated[int, Field(ge=0, le=255)], ...] | None = Field(
        None, description="labels of the study mask; null: all but 0"
    )


Description = Annotated[ShapesDescription | LabelDescription, Field(discriminator="kind")]
