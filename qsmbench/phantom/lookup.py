"""Trilinear lookup between the points of a lattice."""

from __future__ import annotations

from qsmbench.compiled import leaf


@leaf()
def trilinear(data, start, nx, ny, nz, u, v, w):
    """Return the value of a lattice at a place between its points; it is held constant beyond the faces.

    Args:
        data: (k,) float32, values of one lattice or of several, one after the other.
        start: index in `data` of the lattice's first point.
        nx: number of points along x.
        ny: along y.
        nz: along z.
        u: place along x, in spacings from the first point.
        v: along y.
        w: along z.
    """
    s, a, b, c = cell(nx, ny, nz, u, v, w)
    return between(data, start + s, ny * nz, nz, a, b, c)


@leaf()
def cell(nx, ny, nz, u, v, w):
    """Return the number of the lattice's first point in the cell of a place, and the place in the cell, 0–1 along each.

    Arguments are those of `trilinear`.
    """
    u, v, w = min(max(u, 0.0), nx - 1.001), min(max(v, 0.0), ny - 1.001), min(max(w, 0.0), nz - 1.001)
    i, j, k = int(u), int(v), int(w)
    return (i * ny + j) * nz + k, u - i, v - j, w - k


@leaf()
def between(data, s, plane, row, a, b, c):
    """Return the value at a place in a cell.

    Args:
        data: as for `trilinear`.
        s: index in `data` of the cell's first point.
        plane: number of points in a plane across x.
        row: number of points in a row along z.
        a: place in the cell along x, 0–1.
        b: along y.
        c: along z.
    """
    t = s + plane
    low = (data[s] * (1 - c) + data[s + 1] * c) * (1 - b) + (data[s + row] * (1 - c) + data[s + row + 1] * c) * b
    high = (data[t] * (1 - c) + data[t + 1] * c) * (1 - b) + (data[t + row] * (1 - c) + data[t + row + 1] * c) * b
    return low * (1 - a) + high * a
