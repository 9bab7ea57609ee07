"""The artifact table: everything that is known about an artifact."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Artifact:
    """One kind of volume: its file, unit, whether it has an echo axis, and what it is."""

    file: str
    unit: str
    meaning: str
    echoes: bool = False
    dtype: type = np.float32


ARTIFACTS = {
    "phase": Artifact("phase.nii.gz", "rad", "wrapped phase, growing with the field", echoes=True),
    "magnitude": Artifact("magnitude.nii.gz", "a.u.", "magnitude", echoes=True),
    "mask": Artifact("mask.nii.gz", "", "voxels to reconstruct", dtype=np.bool_),
    "unwrapped": Artifact("unwrapped.nii.gz", "rad", "unwrapped phase", echoes=True),
    "total_field": Artifact("totalfield.nii.gz", "ppm", "field of all sources, ppm of B0"),
    "field_noise": Artifact("fieldnoise.nii.gz", "ppm", "standard deviation of the total field's noise"),
    "local_field": Artifact("localfield.nii.gz", "ppm", "field of the sources in the mask, ppm of B0"),
    "chi": Artifact("chimap.nii.gz", "ppm", "magnetic susceptibility relative to water (SI)"),
    "chi_para": Artifact("chi-para.nii.gz", "ppm", "paramagnetic part of χ"),
    "chi_dia": Artifact("chi-dia.nii.gz", "ppm", "diamagnetic part of χ, as a positive magnitude"),
    "r2star": Artifact("r2star.nii.gz", "1/s", "effective transverse relaxation rate"),
    "r2prime": Artifact("r2prime.nii.gz", "1/s", "reversible transverse relaxation rate"),
    "water": Artifact("water.nii.gz", "a.u.", "water signal"),
    "fat": Artifact("fat.nii.gz", "a.u.", "fat signal"),
    "fat_fraction": Artifact("fat-fraction.nii.gz", "0–1", "proton-density fat fraction"),
    "ct": Artifact("ct.nii.gz", "HU", "what calcified mineral adds to the density on CT"),
    "labels": Artifact("dseg.nii.gz", "", "index into dseg.tsv", dtype=np.uint8),
}


Span = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Colour scale of an artifact, in its unit: the span of its values, that of errors, and if it has no zero."""

    values: Span
    error: float
    referenced: bool = False


SCALES = {
    "chi": Scale((-0.1, 0.2), 0.1, referenced=True),
    "chi_para": Scale((0.0, 0.2), 0.1),
    "chi_dia": Scale((0.0, 0.1), 0.05),
    "total_field": Scale((-1.0, 1.0), 0.1, referenced=True),
    "local_field": Scale((-0.05, 0.05), 0.02, referenced=True),
    "r2star": Scale((0.0, 60.0), 20.0),
    "r2prime": Scale((0.0, 40.0), 20.0),
    "fat_fraction": Scale((0.0, 1.0), 0.2),
}
"""The colour scales. Those that are `referenced` are drawn relative to their mean in the mask."""
