"""The blood in the veins: its oxygenation by vein, and its properties."""

from __future__ import annotations

import numpy as np

from qsmbench.phantom.description.models import Vessels
from qsmbench.phantom.description.tissues import Tissue, blood_chi, blood_r2star, split
from qsmbench.phantom.description.veins import SIDES, Veins
from qsmbench.phantom.species import CHANNELS, in_order
from qsmbench.phantom.veins.growth import Branch

SINUS = "sinus"
"""Region of the veins that hold what both sides drain."""


def saturation(branch: Branch, region: str, vessels: Vessels) -> float:
    """Return the oxygen saturation of the blood in a branch, 0–1.

    Args:
        branch: of the tree.
        region: that its vein belongs to.
        vessels: states the saturations.
    """
    return vessels.saturation[_key(branch.side, branch.name, region, vessels)]


def saturation_keys(region: str, veins: Veins, vessels: Vessels) -> list[str]:
    """List the keys of `vessels.saturation` that the veins of a region look up, whichever sides they grow on.

    Args:
        region: of the veins.
        veins: all veins and their regions.
        vessels: states the saturations.
    """
    names = [name for name, its in veins.regions.items() if its == region]
    return list(dict.fromkeys(_key(side, name, region, vessels) for name in names for side in SIDES))


def _key(side: str, name: str, region: str, vessels: Vessels) -> str:
    keys = [f"{side} {name}", name, region, "default"]
    if region != SINUS:
        keys.insert(3, side)
    return next(key for key in keys if key in vessels.saturation)


def blood(tissue: Tissue, b0: float, hct: float, oxygenation: float) -> np.ndarray:
    """Return the table's venous blood at another haematocrit and oxygenation, (c,) in the order of `CHANNELS`.

    R2* follows Zhao's law at 3 T; at other fields it keeps its proportion to the table [assumed].

    Args:
        tissue: venous blood in the table.
        b0: T.
        hct: haematocrit, 0–1.
        oxygenation: oxygen saturation, 0–1.
    """
    table = tissue.curves["r2star"]
    fields, values = zip(*table, strict=True)
    share = np.interp(b0, fields, values) / np.interp(3.0, fields, values)
    para, dia = split(blood_chi(hct, oxygenation))
    own = {"chi_para": para, "chi_dia": dia, "r2star": blood_r2star(hct, oxygenation) * float(share)}
    return in_order({**dict(zip(CHANNELS, tissue.values(b0), strict=True)), **own})
