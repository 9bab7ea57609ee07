"""The blood in the veins: its oxygenation by vein, and its properties."""

from __future__ import annotations

import numpy as np

from qsmbench.phantom.description.models import Vessels
from qsmbench.phantom.description.tissues import Tissue, blood_r2star, split
from qsmbench.phantom.description.veins import SIDES, Veins
from qsmbench.phantom.species import CHANNELS, CHI
from qsmbench.phantom.veins.growth import Branch
from qsmbench.units import blood_chi

SINUS = "sinus"
"""Region of the veins that hold what both sides drain."""


CONFLUENCE = 8.0
"""Distance [mm] from their common beginning within which what joins a sinus is divided between it and its twin."""


def saturations(branches: list[Branch], regions: list[str], vessels: Vessels) -> np.ndarray:
    """Return the oxygen saturation of the blood in each branch, (n,) 0–1.

    At the ends of the tree, and in veins that a saturation is stated for by name or region, it is that which `vessels`
    states. A vein further down holds the mean of what drains into it, weighted by flow, which is in proportion to the
    cube of the radius at the ends (Murray 1926, doi:10.1073/pnas.12.3.207). Twin sinuses that begin at a confluence
    share what joins them there by the cubes of their radii.

    Args:
        branches: of the tree.
        regions: that each vein belongs to.
        vessels: states the saturations.
    """
    n = len(branches)
    flow, oxygen = np.zeros(n), np.zeros(n)
    into = [_shares(branch, branches) for branch in branches]
    tributaries = np.bincount([i for shares in into for i, _ in shares], minlength=n)
    order = [i for i in range(n) if tributaries[i] == 0]
    own = [_key(b.side, b.name, r, vessels) for b, r in zip(branches, regions, strict=True)]
    for i in order:  # grows below
        branch = branches[i]
        if flow[i] == 0:
            flow[i] = branch.points[-1, 3] ** 3
            oxygen[i] = flow[i] * vessels.saturation[own[i]]
        elif own[i] in (branch.name, f"{branch.side} {branch.name}", regions[i]):
            oxygen[i] = flow[i] * vessels.saturation[own[i]]
        for parent, share in into[i]:
            flow[parent] += share * flow[i]
            oxygen[parent] += share * oxygen[i]
            tributaries[parent] -= 1
            if tributaries[parent] == 0:
                order.append(parent)
    return oxygen / flow


def _shares(branch: Branch, branches: list[Branch]) -> list[tuple[int, float]]:
    """Return the branches that one drains into, and the share of its flow that each takes."""
    if branch.parent < 0:
        return []
    parent = branches[branch.parent]
    if parent.parent >= 0 or not _meet(branch.points[0], parent.points[-1]):
        return [(branch.parent, 1.0)]
    twins = [i for i, b in enumerate(branches) if b.parent < 0 and b.name == parent.name]
    twins = [i for i in twins if _meet(branches[i].points[-1], parent.points[-1])]
    widths = np.array([np.median(branches[i].points[:, 3]) ** 3 for i in twins])
    return list(zip(twins, (widths / widths.sum()).tolist(), strict=True))


def _meet(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.linalg.norm(first[:3] - second[:3]) < CONFLUENCE)


def saturation_keys(region: str, veins: Veins, vessels: Vessels) -> list[str]:
    """List the keys of `vessels.saturation` that the blood of a region depends on, with all veins that drain there.

    Args:
        region: of the veins.
        veins: all veins and their regions.
        vessels: states the saturations.
    """
    joins = {v.name: (v.into,) for v in veins.trunks} | {v.name: v.into for v in veins.growths}
    names = [name for name, its in veins.regions.items() if its == region]
    for name in names:  # grows below
        names += [n for n, into in joins.items() if name in into and n not in names]
    found = (_key(side, name, veins.regions[name], vessels) for name in names for side in SIDES)
    return list(dict.fromkeys(found))


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
    own = dict(zip((*CHI, "r2star"), (para, dia, blood_r2star(hct, oxygenation) * float(share)), strict=True))
    found = tissue.values(b0)
    found[[CHANNELS.index(name) for name in own]] = list(own.values())
    return found
