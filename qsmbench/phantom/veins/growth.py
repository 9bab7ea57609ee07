"""Growth of a venous tree: each point of a tissue drains along the cheapest path to an existing vein.

A stage scatters nodes in its tissue, connects neighbours, and finds the shortest paths from existing veins to all nodes
(Dijkstra 1959, doi:10.1007/BF01386390). The paths to some of the nodes become its veins: paths that share a section
share a vein, so that the union is a tree.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra
from scipy.spatial import cKDTree

from qsmbench.compiled import compiled
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.veins.ways import JITTER, costs, nearest, pairs, spread, steps
from qsmbench.seeds import generator

NEAR = 1.75
"""Distance below which nodes are connected, in multiples of their spacing: some twenty neighbours in all directions."""

LANDINGS = 18
"""Largest number of tributary nodes connected to a point of a vein."""

MIDLINE = 1.5
"""Largest |x| of a midline vein [mm]."""

BRIDGE = 3.0
"""Longest step from a vein's wall to the first node of a tributary, in multiples of the node spacing."""


@dataclass(frozen=True)
class Branch:
    """A piece of a vein between two junctions.

    Attributes:
        name: of the vein, such as `thalamostriate` or `deep_medullary`.
        side: `left`, `middle` or `right`.
        points: (n, 4) float64, world x, y, z and radius [mm]; the first is on the parent, and blood flows towards it.
        parent: index of the branch that it drains into; −1 if it leaves the head.
        trunk: whether it was placed by hand.
    """

    name: str
    side: str
    points: np.ndarray
    parent: int
    trunk: bool


@dataclass(frozen=True)
class Stage:
    """Parameters of one kind of generated vein.

    Attributes:
        name: of the veins.
        into: names of the veins that they drain into.
        box: (2, 3) mm, lower and upper corner of their region.
        through: for points (n, 3) mm, whether veins may run there: (n,) bool.
        ends: for points (n, 3) mm, whether veins may end there: (n,) bool.
        spacing: distance between nodes, mm.
        apart: distance between ends, mm.
        reach: shortest and longest path from an end to the vein that it drains into, mm.
        radius: of a vein at its end, mm.
        lean: (3,) preferred direction of flow; its length is the sine of the angle at which a vein joins.
        wander: largest random increase of the cost of a step, relative to its length.
        smooth: number of smoothing iterations.
    """

    name: str
    into: tuple[str, ...]
    box: np.ndarray
    through: Callable[[np.ndarray], np.ndarray]
    ends: Callable[[np.ndarray], np.ndarray]
    spacing: float
    apart: float
    reach: tuple[float, float]
    radius: float
    lean: np.ndarray
    wander: float
    smooth: int


@dataclass
class _Nodes:
    """The tree as nodes, each after the one that it drains into.

    Attributes:
        xyz: (n, 3) mm.
        parent: (n,) index of the node that it drains into; −1 for the first of a trunk.
        radius: (n,) mm, of a trunk, or of a generated vein at its end.
        kind: (n,) index of the trunk, or number of trunks + index of the stage.
    """

    xyz: np.ndarray
    parent: np.ndarray
    radius: np.ndarray
    kind: np.ndarray

    def append(self, xyz: np.ndarray, parent: np.ndarray, radius: float, kind: int) -> None:
        """Add nodes, (n, 3) mm, of one radius and kind after those that they drain into."""
        self.xyz = np.concatenate([self.xyz, xyz])
        self.parent = np.concatenate([self.parent, parent])
        self.radius = np.concatenate([self.radius, np.full(len(xyz), radius)])
        self.kind = np.concatenate([self.kind, np.full(len(xyz), kind)])


def grow(trunks: list[Branch], stages: list[Stage], seed: int) -> list[Branch]:
    """Grow veins from the trunks stage by stage; return the trunks and the veins.

    Radii are computed from the ends towards the trunks, r³ = Σ r³ of the tributaries (Murray 1926,
    doi:10.1073/pnas.12.3.207); a trunk keeps its own radius, unless it is too narrow for its tributaries.

    Args:
        trunks: veins placed by hand, each after the one that it drains into, on which its first point lies.
        stages: in order of growth.
        seed: of the random numbers; each stage has its own, so that a change of one does not affect earlier stages.

    Raises:
        QsmbenchError: there is not enough space for a stage.
    """
    kinds = [b.name for b in trunks] + [s.name for s in stages]
    nodes = _trunk_nodes(trunks)
    for i, stage in enumerate(stages, start=len(trunks)):
        random = generator([seed, zlib.crc32(stage.name.encode())])
        sources = np.flatnonzero(np.isin(nodes.kind, [k for k, name in enumerate(kinds) if name in stage.into]))
        xyz, parent = _stage(stage, nodes.xyz[sources], nodes.radius[sources], random)
        own = parent >= len(sources)
        joined = np.where(own, parent - len(sources) + len(nodes.xyz), sources[np.minimum(parent, len(sources) - 1)])
        nodes.append(xyz, joined, stage.radius, i)
    return _branches(nodes, trunks, kinds)


def _trunk_nodes(trunks: list[Branch]) -> _Nodes:
    xyz = [b.points[:, :3] for b in trunks]
    starts = np.cumsum([0, *map(len, xyz)])
    parent = np.arange(-1, starts[-1] - 1)
    for trunk, start in zip(trunks, starts, strict=False):
        at = -1
        if trunk.parent >= 0:
            at = starts[trunk.parent] + np.linalg.norm(xyz[trunk.parent] - trunk.points[0, :3], axis=1).argmin()
        parent[start] = at
    radius = np.concatenate([b.points[:, 3] for b in trunks])
    return _Nodes(np.concatenate(xyz), parent, radius, np.repeat(np.arange(len(trunks)), np.diff(starts)))


def _stage(stage: Stage, sources: np.ndarray, radii: np.ndarray, random: np.random.Generator):
    """Return new nodes (n, 3), each after its parent, and their parents (n,): sources, then the new nodes."""
    free = _scatter(stage, random)
    way, before = _ways(stage, free, sources, radii, random)
    m = len(sources)
    used = np.zeros(len(free), bool)
    at = _ends(stage, free.xyz, way, random)
    while len(at):
        used[at] = True
        at = np.unique(before[at]) - m
        at = at[(at >= 0) & ~used[at]]
    order = np.flatnonzero(used)
    order = order[np.argsort(way[order], kind="stable")]
    new = np.concatenate([np.arange(m), np.zeros(len(free), int)])
    new[m + order] = m + np.arange(len(order))
    parent = new[before[order]]
    return _smooth(sources, free.xyz[order], parent, stage.smooth), parent


@dataclass(frozen=True)
class _Free:
    """Candidate nodes of veins, on a lattice with a random displacement within each cell.

    Attributes:
        xyz: (n, 3) mm.
        cells: (n, 3) int32, lattice cells, ascending.
        number: (nx, ny, nz) int32, index of each cell's node; −1 for none.
        low: (3,) mm, first point of the lattice.
    """

    xyz: np.ndarray
    cells: np.ndarray
    number: np.ndarray
    low: np.ndarray

    def __len__(self) -> int:
        return len(self.xyz)


def _scatter(stage: Stage, random: np.random.Generator) -> _Free:
    """Return nodes in the tissue."""
    axes = [np.arange(a, b, stage.spacing) for a, b in stage.box.T]
    lattice = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
    lattice = lattice + random.uniform(-JITTER, JITTER, lattice.shape) * stage.spacing
    inside = stage.through(lattice)
    xyz = lattice[inside]
    if len(xyz) < LANDINGS:
        raise QsmbenchError(f"{stage.name}: only {len(xyz)} nodes are in its tissue; at least {LANDINGS} are required")
    number = np.where(inside, np.cumsum(inside) - 1, -1).reshape([len(a) for a in axes]).astype(np.int32)
    return _Free(xyz, np.argwhere(number >= 0).astype(np.int32), number, stage.box[0])


def _ways(stage: Stage, free: _Free, sources: np.ndarray, radii: np.ndarray, random: np.random.Generator):
    """Return the cost [mm] of the path to each free node and its predecessor, both (n,): sources, then free nodes."""
    m, n, lean = len(sources), len(free), np.asarray(stage.lean, float)
    first, second = _neighbours(stage, free)
    reach = radii + BRIDGE * stage.spacing
    near = nearest(free.number, free.low, stage.spacing, free.xyz, sources, reach, LANDINGS)
    kept = near >= 0
    kept &= (np.abs(sources[:, :1]) < MIDLINE) | ((sources[:, :1] > 0) == (free.xyz[near, 0] > 0))
    start, stop = np.nonzero(kept)[0], near[kept]
    more = stage.wander * random.random(2 * len(first) + len(start))  # drawn in any case: what follows stays the same
    inner, outer = np.split(more, [2 * len(first)])
    landing = csr_matrix((costs(sources, start, free.xyz, stop, outer, lean), (start, stop + m)), shape=(m + n,) * 2)
    # sources may share a place: which of them a node drains into is decided here
    way, before, _ = dijkstra(landing, indices=np.arange(m), min_only=True, return_predecessors=True)
    way, before = way[m:], before[m:]
    begins, stops, paid = steps(free.xyz, first, second, inner if stage.wander else inner[:0], lean)
    spread(way, before, begins, stops, paid, float(stage.reach[1]), m)
    return way, before


def _neighbours(stage: Stage, free: _Free) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of connected free nodes, both (pairs,) int32."""
    if not stage.wander:
        return pairs(free.number, free.cells, free.xyz, stage.spacing, NEAR)
    # in the order of the k-d tree, in which the random costs have always been drawn
    first, second = cKDTree(free.xyz).query_pairs(NEAR * stage.spacing, output_type="ndarray").T.astype(np.int32)
    beside = (free.xyz[first, 0] > 0) == (free.xyz[second, 0] > 0)  # veins do not cross the midline
    return first[beside], second[beside]


def _ends(stage: Stage, free: np.ndarray, way: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Choose the end nodes: one at random in each cube with the size of the distance between ends."""
    legal = (way >= stage.reach[0]) & (way <= stage.reach[1])
    legal[legal] = stage.ends(free[legal])
    chosen = random.permutation(np.flatnonzero(legal))
    if not len(chosen):
        return chosen
    cubes = np.floor(free[chosen] / stage.apart).astype(int)
    cubes -= cubes.min(0)
    _, first = np.unique(np.ravel_multi_index(tuple(cubes.T), tuple(cubes.max(0) + 1)), return_index=True)
    return chosen[first]


def _smooth(sources: np.ndarray, xyz: np.ndarray, parent: np.ndarray, rounds: int) -> np.ndarray:
    """Move the nodes (n, 3) halfway towards the mean of their neighbours, repeatedly; ends are fixed.

    The mean of the tributaries is weighted by their flow, so that a vein does not bend towards a small tributary.
    """
    m, n = len(sources), len(xyz)
    inner = parent >= m
    below = parent[inner] - m
    carried = np.ones(n)
    carried[below] = 0
    _add_up(carried, parent - m)
    total = np.bincount(below, carried[inner], n)
    moves = total > 0
    for _ in range(rounds):
        beyond = np.stack([np.bincount(below, carried[inner] * xyz[inner, k], n) for k in range(3)], 1)
        before = np.concatenate([sources, xyz])[parent]
        mean = (before[moves] + beyond[moves] / total[moves, None]) / 2
        xyz[moves] += 0.5 * (mean - xyz[moves])
    return xyz


@compiled()
def _add_up(amount, parent):
    """Add the amount of each node, (n,), to that of its parent, (n,), the last first, in place; below 0: no parent."""
    for i in range(len(amount) - 1, -1, -1):
        if parent[i] >= 0:
            amount[parent[i]] += amount[i]


@compiled()
def _number_branches(owner, first, trunks, parent, kind, children):
    """Number the branches that the nodes from `first` on belong to, after the trunks, into `owner`, (n,)."""
    count = trunks
    for i in range(first, len(owner)):
        p = parent[i]
        if p >= first and children[p] == 1 and kind[p] == kind[i]:
            owner[i] = owner[p]
        else:
            owner[i] = count
            count += 1


def _branches(nodes: _Nodes, trunks: list[Branch], kinds: list[str]) -> list[Branch]:
    """Return the tree as branches between junctions, with radii by Murray's law."""
    first, n = sum(len(b.points) for b in trunks), len(nodes.parent)
    children = np.bincount(nodes.parent[first:], minlength=n)
    ends = np.where(children > 0, 0, nodes.radius**3)
    cubes = np.concatenate([np.zeros(first), ends[first:]])
    _add_up(cubes, nodes.parent)
    wide = np.maximum(nodes.radius[:first], np.cbrt(cubes[:first]))
    edges = np.cumsum([len(b.points) for b in trunks])[:-1]
    radii = np.split(wide, edges)
    return [
        *(replace(b, points=np.c_[b.points[:, :3], r]) for b, r in zip(trunks, radii, strict=True)),
        *_grown(nodes, first, len(trunks), children, cubes, kinds),
    ]


def _grown(
    nodes: _Nodes, first: int, trunks: int, children: np.ndarray, cubes: np.ndarray, kinds: list[str]
) -> list[Branch]:
    """Return the branches of the nodes from `first` on, each with its parent's node before its own."""
    owner = nodes.kind.copy()
    _number_branches(owner, first, trunks, nodes.parent, nodes.kind, children)
    order = first + np.argsort(owner[first:], kind="stable")
    if not len(order):
        return []
    starts = np.flatnonzero(np.diff(owner[order], prepend=-1))  # of the branches, in `order`
    heads = order[starts]
    points = np.empty((len(order) + len(heads), 4))
    points[:, :3] = nodes.xyz[np.insert(order, starts, nodes.parent[heads])]
    begins = starts + np.arange(len(heads))
    lengths = np.diff(begins, append=len(points))
    points[:, 3] = np.repeat([c ** (1 / 3) for c in cubes[heads].tolist()], lengths)
    x = nodes.xyz[order, 0]
    middle = np.maximum.reduceat(np.abs(x), starts) < MIDLINE
    sides = np.where(middle, "middle", np.where(np.add.reduceat(x, starts) < 0, "left", "right")).tolist()
    names = [kinds[k] for k in nodes.kind[heads].tolist()]
    parents = owner[nodes.parent[heads]].tolist()
    return [
        Branch(name, side, points[a : a + n], parent, False)
        for name, side, a, n, parent in zip(names, sides, begins.tolist(), lengths.tolist(), parents, strict=True)
    ]


def side(points: np.ndarray) -> str:
    """Return the side on which points (n, 3 or more) mm lie: `left` is x < 0."""
    if np.abs(points[:, 0]).max() < MIDLINE:
        return "middle"
    return "left" if points[:, 0].mean() < 0 else "right"
