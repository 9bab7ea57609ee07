"""The artifact table: the single definition of each artifact.

Reading and writing, scoring, drawing, the provenance in the report, conformance, scaffolding and BIDS use it. A new
truth map needs a row here and a line in `scan.simulate` that computes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import pi
from typing import Any, Literal

import numpy as np

Span = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Colour scale of an artifact: the range of its values, and the largest absolute error.

    Attributes:
        values: range, in the unit of the artifact.
        error: largest absolute error, in the same unit.
        relative: whether both are multiples of the artifact's median in the mask, since its unit is arbitrary.
    """

    values: Span
    error: float
    relative: bool = False


@dataclass(frozen=True)
class Bids:
    """Location of the truth of an artifact in a BIDS derivative.

    Attributes:
        name: folder, entities and suffix, such as `anat/R2map`.
        sidecar: keys of its JSON in addition to `Units` and `SkullStripped`.
    """

    name: str
    sidecar: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Artifact:
    """One kind of volume.

    Attributes:
        file: name in a folder of artifacts; without `.nii.gz`, the artifact's name in the QSM-CI contract.
        unit: of its values; empty for none.
        meaning: short description.
        echoes: whether it has a fourth axis for echoes.
        dtype: of the array; bool for masks.
        own_zero: whether its zero is meaningful. Otherwise it is known up to a constant, like χ, and is scored and
            drawn relative to its mean in the mask.
        is_field: whether it is a field, caused by sources in the whole object. BIDS stores fields in Hz.
        sparse: whether it has values in some voxels only, and 0 elsewhere, so that only metrics for it can score it.
        in_scan: whether it is part of every scan.
        truth: whether the truth of a simulation contains it: always, sometimes (if the phantom has it), or never.
        unscored: why it is not scored, even if its truth is known; empty if it is scored.
        scale: its colour scale, if it can be drawn.
        tissue_property: the tissue property that its truth depends on; or shape.
        made_from: default input of a new method that computes it.
        bids: location of its truth in BIDS; None: not stored.
    """

    file: str
    unit: str
    meaning: str
    echoes: bool = False
    dtype: type = np.float32
    own_zero: bool = True
    is_field: bool = False
    sparse: bool = False
    in_scan: bool = False
    truth: Literal["always", "sometimes", "never"] = "never"
    unscored: str = ""
    scale: Scale | None = None
    tissue_property: str = ""
    made_from: str | None = None
    bids: Bids | None = None

    @property
    def is_mask(self) -> bool:
        """Whether it is a set of voxels rather than a map of values."""
        return self.dtype is np.bool_


CONTRAST = "an image of contrast has no truth of its own; it is shown"
"""Why weighted images are not scored."""

ARTIFACTS = {
    "phase": Artifact(
        "phase.nii.gz",
        "rad",
        "wrapped phase, increasing with the field",
        echoes=True,
        in_scan=True,
        unscored="the phase at TE = 0 is arbitrary; score a field fitted to it instead",
        scale=Scale((-pi, pi), pi),
    ),
    "magnitude": Artifact(
        "magnitude.nii.gz",
        "a.u.",
        "magnitude",
        echoes=True,
        in_scan=True,
        unscored="its unit is arbitrary",
    ),
    "mask": Artifact(
        "mask.nii.gz",
        "",
        "voxels to reconstruct",
        dtype=np.bool_,
        in_scan=True,
        truth="always",
        scale=Scale((0.0, 1.0), 1.0),
        tissue_property="shape",
        made_from="magnitude",
        bids=Bids("anat/desc-study_mask", {"Type": "ROI"}),
    ),
    "unwrapped": Artifact(
        "unwrapped.nii.gz",
        "rad",
        "unwrapped phase",
        echoes=True,
        unscored="multiples of 2π and the phase at TE = 0 are arbitrary; score a field fitted to it instead",
        scale=Scale((-2 * pi, 2 * pi), pi),
        made_from="phase",
    ),
    "total_field": Artifact(
        "totalfield.nii.gz",
        "ppm",
        "field of all sources, ppm of B0",
        own_zero=False,
        is_field=True,
        truth="always",
        scale=Scale((-1.0, 1.0), 0.1),
        tissue_property="chi",
        made_from="phase",
        bids=Bids("fmap/desc-total_fieldmap"),
    ),
    "field_noise": Artifact("fieldnoise.nii.gz", "ppm", "standard deviation of the total field's noise"),
    "local_field": Artifact(
        "localfield.nii.gz",
        "ppm",
        "field of the sources in the mask, ppm of B0",
        own_zero=False,
        is_field=True,
        truth="always",
        scale=Scale((-0.05, 0.05), 0.02),
        tissue_property="chi",
        made_from="total_field",
        bids=Bids("fmap/desc-local_fieldmap"),
    ),
    "chi": Artifact(
        "chimap.nii.gz",
        "ppm",
        "magnetic susceptibility relative to water (SI)",
        own_zero=False,
        truth="always",
        scale=Scale((-0.1, 0.2), 0.1),
        tissue_property="chi",
        made_from="local_field",
        bids=Bids("anat/Chimap"),
    ),
    "chi_para": Artifact(
        "chi-para.nii.gz",
        "ppm",
        "paramagnetic part of χ",
        truth="always",
        scale=Scale((0.0, 0.2), 0.1),
        tissue_property="chi",
        made_from="chi",
        bids=Bids("anat/desc-paramagnetic_Chimap"),
    ),
    "chi_dia": Artifact(
        "chi-dia.nii.gz",
        "ppm",
        "diamagnetic part of χ, as a positive number",
        truth="always",
        scale=Scale((0.0, 0.1), 0.05),
        tissue_property="chi",
        made_from="chi",
        bids=Bids("anat/desc-diamagnetic_Chimap"),
    ),
    "r2star": Artifact(
        "r2star.nii.gz",
        "1/s",
        "effective transverse relaxation rate",
        truth="always",
        scale=Scale((0.0, 60.0), 20.0),
        tissue_property="r2star",
        made_from="magnitude",
        bids=Bids("anat/R2starmap"),
    ),
    "r2": Artifact(
        "r2.nii.gz",
        "1/s",
        "irreversible transverse relaxation rate",
        truth="always",
        scale=Scale((0.0, 40.0), 20.0),
        tissue_property="r2",
        bids=Bids("anat/R2map"),
    ),
    "r2prime": Artifact(
        "r2prime.nii.gz",
        "1/s",
        "reversible transverse relaxation rate",
        truth="always",
        scale=Scale((0.0, 40.0), 20.0),
        tissue_property="r2star",
        made_from="magnitude",
    ),
    "water": Artifact("water.nii.gz", "a.u.", "water signal", tissue_property="pd"),
    "fat": Artifact("fat.nii.gz", "a.u.", "fat signal", tissue_property="fat_fraction"),
    "fat_fraction": Artifact(
        "fat-fraction.nii.gz",
        "0–1",
        "proton-density fat fraction",
        truth="sometimes",
        scale=Scale((0.0, 1.0), 0.2),
        tissue_property="fat_fraction",
    ),
    "signal_fat_fraction": Artifact(
        "signal-fat-fraction.nii.gz",
        "0–1",
        "fraction of fat in the signal at TE = 0, weighted by T1 and flip angle",
        truth="sometimes",
        scale=Scale((0.0, 1.0), 0.2),
        tissue_property="fat_fraction",
    ),
    "water_r2star": Artifact(
        "water-r2star.nii.gz",
        "1/s",
        "effective transverse relaxation rate of water",
        truth="sometimes",
        scale=Scale((0.0, 60.0), 20.0),
        tissue_property="r2star",
    ),
    "fat_r2star": Artifact(
        "fat-r2star.nii.gz",
        "1/s",
        "effective transverse relaxation rate of fat",
        truth="sometimes",
        scale=Scale((0.0, 60.0), 20.0),
        tissue_property="fat_r2star",
    ),
    "swi": Artifact(
        "swi.nii.gz",
        "a.u.",
        "susceptibility-weighted magnitude",
        unscored=CONTRAST,
        scale=Scale((0.0, 1.6), 0.8, relative=True),
    ),
    "minip": Artifact(
        "swi-minip.nii.gz",
        "a.u.",
        "minimum-intensity projection of the susceptibility-weighted magnitude",
        unscored=CONTRAST,
        scale=Scale((0.0, 1.6), 0.8, relative=True),
        made_from="swi",
    ),
    "t2star_weighted": Artifact(
        "t2starw.nii.gz",
        "a.u.",
        "magnitude of thick slices, one echo",
        unscored=CONTRAST,
        scale=Scale((0.0, 1.6), 0.8, relative=True),
    ),
    "vein": Artifact(
        "vein.nii.gz",
        "",
        "voxels of veins: their centre lies in one, or a centre line runs through them",
        dtype=np.bool_,
        truth="sometimes",
        scale=Scale((0.0, 1.0), 1.0),
        tissue_property="shape",
        made_from="chi",
    ),
    "vein_diameter": Artifact(
        "vein-diameter.nii.gz",
        "mm",
        "diameter of the vein in a voxel, 0 without one",
        sparse=True,
        truth="sometimes",
        scale=Scale((0.0, 4.0), 2.0),
        tissue_property="shape",
        made_from="chi",
    ),
    "vein_angle": Artifact(
        "vein-angle.nii.gz",
        "degrees",
        "angle of the vein in a voxel to B0, 0–90",
        truth="sometimes",
        unscored="it is the reference that errors of veins are grouped by",
        scale=Scale((0.0, 90.0), 45.0),
        tissue_property="shape",
    ),
    "vein_name": Artifact(
        "vein-name.nii.gz",
        "",
        "index into veins.tsv",
        dtype=np.uint8,
        truth="sometimes",
        unscored="its values are the numbers of names",
        tissue_property="shape",
    ),
    "venogram": Artifact(
        "venogram.nii.gz",
        "ppm",
        "maximum-intensity projection of χ in veins",
        unscored="a projection has no truth of its own; score the veins",
        scale=Scale((0.0, 0.4), 0.2),
        made_from="chi",
    ),
    "oef": Artifact(
        "oef.nii.gz",
        "0–1",
        "oxygen extraction fraction of the blood in veins, 0 without a value",
        sparse=True,
        truth="sometimes",
        scale=Scale((0.0, 0.8), 0.2),
        tissue_property="chi",
        made_from="chi",
    ),
    "oef_map": Artifact(
        "oef-map.nii.gz",
        "0–1",
        "mean oxygen extraction fraction of the veins around a voxel, of its hemisphere",
        unscored="a mean of nearby veins has no truth of its own; score oef",
        scale=Scale((0.0, 0.8), 0.2),
        made_from="chi",
    ),
    "lic": Artifact(
        "lic.nii.gz",
        "mg/g",
        "iron concentration of the dry liver, 0 elsewhere in the truth",
        sparse=True,
        truth="sometimes",
        scale=Scale((0.0, 30.0), 10.0),
        tissue_property="chi",
        made_from="chi",
    ),
    "ct": Artifact(
        "ct.nii.gz",
        "HU",
        "increase of the CT number by calcification",
        truth="sometimes",
        scale=Scale((0.0, 1000.0), 500.0),
        tissue_property="chi",
    ),
    "labels": Artifact(
        "dseg.nii.gz",
        "",
        "index into dseg.tsv",
        dtype=np.uint8,
        truth="always",
        unscored="its values are label numbers",
        tissue_property="shape",
        bids=Bids("anat/dseg", {"Manual": False, "group": {"Description": "group of the region, such as dgm"}}),
    ),
    "sources": Artifact(
        "sources.nii.gz",
        "",
        "index into sources.tsv",
        dtype=np.uint16,
        truth="sometimes",
        unscored="its values are the numbers of sources",
        tissue_property="shape",
    ),
}

VEIN_ARTIFACTS = ("vein_diameter", "vein_angle", "vein_name")
"""What is known of true veins, by which errors in them are grouped."""

SCAN_ARTIFACTS = tuple(name for name, a in ARTIFACTS.items() if a.in_scan)
"""Artifacts in every scan."""

TRUE_ARTIFACTS = tuple(name for name, a in ARTIFACTS.items() if a.truth == "always" and not a.in_scan)
"""Artifacts in the truth of every simulation, in addition to its mask."""
