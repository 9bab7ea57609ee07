"""Physical laws and operator properties that code can be held against, and fields that are known exactly.

Nothing here uses the package's kernels or its simulator.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.fft

Operator = Callable[[np.ndarray], np.ndarray]


def check_adjoint(forward: Operator, adjoint: Operator, domain: tuple, range_: tuple, rtol: float = 1e-4) -> None:
    """⟨forward(x), y⟩ = ⟨x, adjoint(y)⟩ for random x and y of the shapes `domain` and `range_`."""
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in (domain, range_))
    fx, ay = forward(x), adjoint(y)
    assert fx.shape == range_ and ay.shape == domain
    scale = float(np.linalg.norm(fx) * np.linalg.norm(y))
    assert abs(inner(fx, y) - inner(x, ay)) <= rtol * scale


def check_self_adjoint(operator: Operator, shape: tuple, rtol: float = 1e-5) -> None:
    """⟨Ax, y⟩ = ⟨x, Ay⟩ for random x and y."""
    check_adjoint(operator, operator, shape, shape, rtol)


def check_linear(operator: Operator, x: np.ndarray, y: np.ndarray, rtol: float = 1e-4) -> None:
    """operator(2x − 3y) = 2 operator(x) − 3 operator(y)."""
    expected = 2 * operator(x) - 3 * operator(y)
    assert relative(operator(2 * x - 3 * y), expected) <= rtol


def check_permutation_equivariant(operator: Callable, volume: np.ndarray, grid_of: Callable, rtol: float) -> None:
    """Renaming the axes of volume, voxel size and B0 together renames the axes of the result.

    Args:
        operator: (volume, grid) → volume.
        volume: (nx, ny, nz).
        grid_of: (order of the axes) → the grid with its axes in that order.
        rtol: allowed relative difference.
    """
    plain = operator(volume, grid_of((0, 1, 2)))
    for order in ((1, 2, 0), (2, 1, 0)):
        turned = operator(np.ascontiguousarray(volume.transpose(order)), grid_of(order))
        assert relative(turned, plain.transpose(order)) <= rtol


def inner(a: np.ndarray, b: np.ndarray) -> float:
    """Inner product in double precision."""
    return float(np.vdot(a.astype(float), b.astype(float)))


def relative(a: np.ndarray, b: np.ndarray) -> float:
    """‖a − b‖ / ‖b‖ in double precision."""
    return float(np.linalg.norm(a.astype(float) - b) / np.linalg.norm(b.astype(float)))


def nrmse(estimate: np.ndarray, truth: np.ndarray, mask: np.ndarray) -> float:
    """‖estimate − truth‖ / ‖truth‖ over the mask, both without their mean there."""
    e, t = (v[mask].astype(float) for v in (estimate, truth))
    return relative(e - e.mean(), t - t.mean())


def sphere_field(axes: tuple, b0_dir: tuple, centre: tuple, radius: float, chi: float) -> np.ndarray:
    """Field [ppm] of a uniform sphere: zero inside, a dipole outside.

    Args:
        axes: broadcastable coordinates [mm].
        b0_dir: unit vector.
        centre: mm.
        radius: mm.
        chi: ppm, relative to what is around.
    """
    x, y, z = (a - c for a, c in zip(axes, centre, strict=True))
    r2 = x**2 + y**2 + z**2
    along = x * b0_dir[0] + y * b0_dir[1] + z * b0_dir[2]
    outside = r2 > radius**2
    r2 = np.where(outside, r2, 1)
    return np.where(outside, chi / 3 * radius**3 / r2**1.5 * (3 * along**2 / r2 - 1), 0).astype(np.float32)


def free_space_field(chi: np.ndarray, voxel_size: tuple, b0_dir: tuple) -> np.ndarray:
    """Field [ppm] of χ [ppm] by the dipole kernel in k-space, on an array twice as long: plain and slow."""
    shape = [scipy.fft.next_fast_len(2 * n, real=True) for n in chi.shape]
    kx, ky, kz = np.meshgrid(*map(np.fft.fftfreq, shape, voxel_size), indexing="ij", sparse=True)
    k2 = kx**2 + ky**2 + kz**2
    k2[0, 0, 0] = 1
    kernel = 1 / 3 - (kx * b0_dir[0] + ky * b0_dir[1] + kz * b0_dir[2]) ** 2 / k2
    kernel[0, 0, 0] = 0
    field = scipy.fft.ifftn(scipy.fft.fftn(chi, shape) * kernel).real
    return field[tuple(slice(0, n) for n in chi.shape)].astype(np.float32)
