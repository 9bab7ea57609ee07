"""Winding paths that fill a shape, such as those of the small bowel.

A path is a self-avoiding walk over the nodes of a turned lattice, each displaced at random. At each step it goes to the
free neighbour that has the fewest free neighbours of its own (Warnsdorff 1823), so that few nodes are left over.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product

import numpy as np
from scipy.spatial.transform import Rotation

from qsmbench.phantom.painting.bounds import inside
from qsmbench.seeds import generator

JITTER = 0.2
"""Largest displacement of a node along each axis, in spacings."""

SHORTEST = 3
"""Nodes that a path must have; shorter ones are left out."""

Cell = tuple[int, int, int]


Settings = tuple[float, float, float, int]
"""Spacing of the nodes and mean radius [mm], standard deviation of the radius as a share, seed."""


def wind(
    code: tuple[tuple[int, int], ...],
    parameters: tuple[float, ...],
    box: tuple[tuple[float, ...], ...],
    settings: Settings,
    data: np.ndarray,
) -> list[np.ndarray]:
    """Return paths that fill a shape, the longest first, each (n, 4) x, y, z, radius [mm].

    Args:
        code: program of the shape.
        parameters: of its operations.
        box: corners of the box that contains it, mm.
        settings: of the paths.
        data: (k,) float32, the maps that the shape samples.
    """
    if data.size == 1:  # there are none
        return _kept(code, parameters, box, settings)
    return _wind(code, parameters, box, settings, data)


@lru_cache(maxsize=64)
def _kept(code, parameters, box, settings: Settings) -> list[np.ndarray]:
    """Return the paths in a shape without maps; a shape is compiled several times for each rendering."""
    return _wind(code, parameters, box, settings, np.zeros(1, np.float32))


def _wind(code, parameters, box, settings: Settings, data: np.ndarray) -> list[np.ndarray]:
    spacing, radius, uneven, seed = settings
    random = generator(int(seed))
    nodes = _nodes(np.array(box), spacing, random)
    cells, places = list(nodes), np.array(list(nodes.values()))
    kept = inside(places, np.array(code, np.int64), np.array(parameters), data)
    free = {cell: place for cell, place, keep in zip(cells, places, kept, strict=True) if keep}
    paths = []
    while free:
        walk = _walk(free, random)
        if len(walk) >= SHORTEST:
            radii = radius * np.clip(1 + uneven * random.standard_normal(len(walk)), 0.4, 1.6)
            paths.append(np.column_stack([walk, radii]))
    return sorted(paths, key=len, reverse=True)


def _nodes(box: np.ndarray, spacing: float, random: np.random.Generator) -> dict[Cell, np.ndarray]:
    """Return the nodes of a turned lattice, displaced at random, by cell."""
    turn = Rotation.random(random_state=int(random.integers(2**31))).as_matrix()
    centre, reach = box.mean(0), np.linalg.norm(np.ptp(box, axis=0)) / 2
    count = int(np.ceil(reach / spacing))
    found: dict[Cell, np.ndarray] = {}
    along = range(-count, count + 1)
    for i, j, k in product(along, along, along):
        place = centre + spacing * turn @ (np.array([i, j, k]) + random.uniform(-JITTER, JITTER, 3))
        if (place >= box[0]).all() and (place <= box[1]).all():
            found[i, j, k] = place
    return found


def _walk(free: dict[Cell, np.ndarray], random: np.random.Generator) -> np.ndarray:
    """Walk from the free node with the fewest neighbours, and take the nodes from `free`; return the path, (n, 3)."""
    cell = min(free, key=lambda c: (len(_neighbours(c, free)), c))
    path = [free.pop(cell)]
    while near := _neighbours(cell, free):
        ranks = [len(_neighbours(c, free)) + random.random() for c in near]
        cell = near[int(np.argmin(ranks))]
        path.append(free.pop(cell))
    return np.array(path)


def _neighbours(cell: Cell, free: dict[Cell, np.ndarray]) -> list[Cell]:
    i, j, k = cell
    around = ((i + 1, j, k), (i - 1, j, k), (i, j + 1, k), (i, j - 1, k), (i, j, k + 1), (i, j, k - 1))
    return [c for c in around if c in free]
