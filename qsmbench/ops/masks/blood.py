"""χ of blood → oxygen extraction."""

from __future__ import annotations

from typing import Any


def oxygen_extraction(chi: Any, haematocrit: float, deoxygenated: float, oxygenated: float, arterial: float) -> Any:
    """Compute the oxygen extraction fraction, OEF = 1 − Y / Y_arterial.

    χ = Hct·[deoxygenated·(1 − Y) + oxygenated] gives the saturation Y of the blood.

    Args:
        chi: of the blood relative to water, ppm.
        haematocrit: 0–1.
        deoxygenated: χ of deoxygenated relative to oxygenated red cells, ppm.
        oxygenated: χ of oxygenated red cells relative to water, ppm.
        arterial: oxygen saturation of arterial blood, 0–1.

    Reference:
        Jain 2012, doi:10.1002/mrm.23282.
    """
    saturation = 1 - (chi / haematocrit - oxygenated) / deoxygenated
    return 1 - saturation / arterial
