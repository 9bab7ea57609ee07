"""Trilinear lookup between the points of a lattice."""

from __future__ import annotations

from qsmbench.compiled import compiled


@compiled(inline="never")
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
    u, v, w = min(max(u, 0.0), nx - 1.001), min(max(v, 0.0), ny - 1.001), min(max(w, 0.0), nz - 1.001)
    i, j, k = int(u), int(v), int(w)
    a, b, c = u - i, v - j, w - k
    s = start + (i * ny + j) * nz + k
    t = s + ny * nz
    low = (data[s] * (1 - c) + data[s + 1] * c) * (1 - b) + (data[s + nz] * (1 - c) + data[s + nz + 1] * c) * b
    high = (data[t] * (1 - c) + data[t + 1] * c) * (1 - b) + (data[t + nz] * (1 - c) + data[t + nz + 1] * c) * b
    return low * (1 - a) + high * a
