"""Bodies whose field is known in closed form, and their exact share of each voxel."""

import numpy as np


def oblique(*b):
    """A unit vector."""
    b = np.array(b, float)
    return tuple(float(c) for c in b / np.linalg.norm(b))


def sphere_fraction(grid, radius, n=12):
    """Share of each voxel that a centred sphere fills: n×n chords along z, each exact."""
    x, y, z = grid.axes()
    dx, dy, dz = grid.voxel_size
    total = np.zeros(grid.shape)
    offsets = (np.arange(n) + 0.5) / n - 0.5
    for ox in offsets * dx:
        for oy in offsets * dy:
            half = np.sqrt(np.maximum(radius**2 - (x + ox) ** 2 - (y + oy) ** 2, 0))
            total += np.clip(np.minimum(z + dz / 2, half) - np.maximum(z - dz / 2, -half), 0, None) / dz
    return (total / n**2).astype(np.float32)


def sphere_field(grid, radius):
    """ΔB/B0 per unit χ of a centred sphere, and the distance from its centre [mm]."""
    x, y, z = grid.axes()
    bx, by, bz = grid.b0_dir
    r = np.sqrt(x * x + y * y + z * z)
    safe = np.maximum(r, 1e-9)
    cos = (x * bx + y * by + z * bz) / safe
    return np.where(r > radius, (radius / safe) ** 3 / 3 * (3 * cos**2 - 1), 0.0), r


def cylinder_fraction(grid, radius, n=48):
    """Share of each voxel that an infinite cylinder along z fills: n chords along y, each exact."""
    x, y, _ = grid.axes()
    dx, dy, _ = grid.voxel_size
    total = np.zeros((grid.shape[0], grid.shape[1], 1))
    for ox in ((np.arange(n) + 0.5) / n - 0.5) * dx:
        half = np.sqrt(np.maximum(radius**2 - (x + ox) ** 2, 0))
        total += np.clip(np.minimum(y + dy / 2, half) - np.maximum(y - dy / 2, -half), 0, None) / dy
    return np.broadcast_to(total / n, grid.shape).astype(np.float32)


def cylinder_field(grid, radius):
    """ΔB/B0 per unit χ of an infinite cylinder along z, and the distance from its axis [mm]."""
    x, y, _ = grid.axes()
    bx, by, bz = grid.b0_dir
    rho = np.broadcast_to(np.sqrt(x * x + y * y), grid.shape)
    safe = np.maximum(rho, 1e-9)
    # sin²θ·cos 2φ, φ counted from the projection of B0
    twice = ((x * bx + y * by) ** 2 - (x * by - y * bx) ** 2) / safe**2
    return np.where(rho > radius, 0.5 * (radius / safe) ** 2 * twice, (3 * bz * bz - 1) / 6), rho
