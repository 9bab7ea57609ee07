"""The endpoints that scenarios name: metrics of one scan, and quantities over the scans of a study."""

from __future__ import annotations

from dataclasses import dataclass

from qsmbench.errors import suggest

OF_A_SCAN = (
    "bias",
    "lesion_chi_error",
    "lesion_chi_total",
    "lesion_contrast",
    "lesion_false_positives",
    "lesion_sensitivity",
    "lesion_sign_accuracy",
    "lesion_sign_auc",
    "lesion_volume_ratio",
    "lic_bias",
    "oef_bias",
    "oef_bias_by_angle",
    "oef_bias_by_diameter",
    "oef_limits",
    "oef_limits_by_angle",
    "oef_limits_by_diameter",
    "rim_contrast",
    "vein_cldice_by_diameter",
    "vein_dice_by_diameter",
    "vein_diameter_bias",
    "vein_recall_by_diameter",
    "vein_recall_by_name",
)
"""Metrics that are endpoints: their mean over the scans of a case is reported."""

OF_GROUPS = frozenset(name for name in OF_A_SCAN if "_by_" in name)
"""Those with a value for each of several groups of veins, which are no regions of the labels."""


@dataclass(frozen=True)
class OverScans:
    """An endpoint over the scans of a study.

    Attributes:
        meaning: short description.
        unit: of its value; None: that of the artifact.
        none: its value if there is no effect or no information; NaN if no value is special.
    """

    meaning: str
    unit: str | None
    none: float = float("nan")


OVER_SCANS = {
    "group_shift": OverScans("standardised difference of regional means between a case and the controls", "", 0.0),
    "group_auc": OverScans("probability that a regional mean is larger in a case than in a control", "", 0.5),
    "smallest_shift": OverScans("smallest difference of regional means that as many subjects would show", None),
    "age_slope": OverScans("slope of the regional mean against age", None, 0.0),
    "dose_slope": OverScans("slope of the measured against the true change of χ", "", 0.0),
    "smallest_dose": OverScans("smallest true change of χ that is told from none", "ppm"),
    "saturation_change": OverScans("change of the oxygen saturation of blood, from that of χ", "points", 0.0),
    "region_contrast": OverScans("difference of the means of two regions, over the true one", "", 0.0),
    "sign_accuracy_by_size": OverScans("share of lesions with the right sign, by diameter", "%", 50.0),
    "sign_auc_by_size": OverScans("separation of para- from diamagnetic lesions, by diameter", "", 0.5),
    "sensitivity_by_size": OverScans("share of lesions found at one false positive per scan, by diameter", "%", 0.0),
    "chi_error_by_size": OverScans("error of the total χ of lesions, by diameter", "%"),
    "volume_ratio_by_size": OverScans("apparent over true volume of lesions, by diameter", ""),
    "rim_auc": OverScans("separation of lesions with a rim from those without", "", 0.5),
    "rim_sensitivity": OverScans(
        "share of rims found where at most 5 % of the other lesions seem to have one", "%", 5.0
    ),
    "side_auc": OverScans("probability that the OEF left − right is larger in a case than in a control", "", 0.5),
}
"""Endpoints over the scans of a study, by name; `analysis/endpoints.py` computes them."""


METRIC_OF = {
    "sign_accuracy_by_size": "lesion_contrast",
    "sign_auc_by_size": "lesion_contrast",
    "sensitivity_by_size": "lesion_detected",
    "chi_error_by_size": "lesion_chi_error",
    "volume_ratio_by_size": "lesion_volume_ratio",
    "rim_auc": "rim_contrast",
    "rim_sensitivity": "rim_contrast",
    "side_auc": "oef_asymmetry",
}
"""The metric that each is computed from; the regional mean by default."""


def check(names: tuple[str, ...]) -> None:
    """Check that endpoints exist.

    Raises:
        ValueError: one is unknown.
    """
    known = [*OF_A_SCAN, *OVER_SCANS]
    for name in names:
        if name not in known:
            raise ValueError(f"endpoint {name!r} is unknown; {suggest(name, known)}")
