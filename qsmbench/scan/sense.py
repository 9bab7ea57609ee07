"""Parallel imaging: every n-th line of k-space is measured, and the folded images of the coils are unfolded (SENSE)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.grid import Grid
from qsmbench.scan.blocks import Factor
from qsmbench.scan.coils import Coil


def padded(grid: Grid, factor: Factor) -> Grid:
    """Return the grid with more voxels at its upper ends, so that the factors divide its shape.

    Raises:
        QsmbenchError: an axis along which lines are left out is that of the ring of coils.
    """
    for axis, f, along in zip("xyz", factor, grid.affine[:3, :3].T, strict=True):
        if f > 1 and abs(along[2]) > 0.7 * np.linalg.norm(along):
            raise QsmbenchError(
                f"coils.acceleration is {f} along {axis}, the axis of the ring of coils, "
                "which do not tell voxels along it apart; choose another axis"
            )
    shape = tuple(-(-n // f) * f for n, f in zip(grid.shape, factor, strict=True))
    return Grid.from_affine(shape, grid.affine)


def unfold(images: Callable[[], Iterator[Coil]], factor: Factor) -> np.ndarray:
    """Fold the image of each coil, as if lines were not measured, and unfold it by least squares.

    Voxels that are a whole fraction of the field of view apart lie on each other in a folded image: R of them, the
    product of the factors. Their sensitivities s tell them apart: the solution is (SᴴS)⁻¹Sᴴy, with a row of S for each
    coil. As after the matched filter, it is multiplied by √Σ|s|². Without noise it is the image of the matched filter;
    noise is √R·g times as large, with g = √([(SᴴS)⁻¹]ᵢᵢ·[SᴴS]ᵢᵢ), and correlated between the voxels that were folded.

    Args:
        images: function that yields image (nx, ny, nz, n_echoes) and sensitivity (nx, ny, nz) coil by coil, complex64.
        factor: of each axis; it divides the shape.

    Returns:
        (nx, ny, nz, n_echoes) complex64.

    Raises:
        QsmbenchError: the coils do not tell voxels apart.

    Reference:
        Pruessmann 1999, doi:10.1002/(SICI)1522-2594(199911)42:5<952::AID-MRM16>3.0.CO;2-S.
    """
    normal: np.ndarray | None = None
    for image, sensitivity in images():
        s, y = _parts(sensitivity, factor), _parts(image, factor).sum(axis=0)
        if normal is None:
            normal = np.zeros((*s.shape[1:], len(s), len(s)), complex)
            right = np.zeros((*s.shape[1:], len(s), image.shape[-1]), np.complex64)
        of_voxel = np.moveaxis(s, 0, -1)
        normal += of_voxel.conj()[..., :, None] * of_voxel[..., None, :]
        right += of_voxel.conj()[..., :, None] * y[..., None, :]
    assert normal is not None
    size = np.sqrt(np.einsum("...ii->...i", normal).real)
    try:
        for plane, value, length in zip(normal, right, size, strict=True):  # one after the other, to save memory
            value[:] = np.linalg.solve(plane, value) * length[..., None]
    except np.linalg.LinAlgError as e:
        raise QsmbenchError(f"coils.acceleration is {factor}; the coils do not tell the folded voxels apart") from e
    return _whole(np.moveaxis(right, -2, 0), factor)


def _parts(volume: np.ndarray, factor: Factor) -> np.ndarray:
    """Return the parts of a volume that lie on each other when it is folded: (R, nx/fx, ny/fy, nz/fz, …)."""
    (fx, fy, fz), (nx, ny, nz) = factor, volume.shape[:3]
    split = volume.reshape(fx, nx // fx, fy, ny // fy, fz, nz // fz, *volume.shape[3:])
    return np.moveaxis(split, (2, 4), (1, 2)).reshape(-1, nx // fx, ny // fy, nz // fz, *volume.shape[3:])


def _whole(parts: np.ndarray, factor: Factor) -> np.ndarray:
    """Return the volume of which these are the `_parts`."""
    mx, my, mz = parts.shape[1:4]
    split = np.moveaxis(parts.reshape(*factor, *parts.shape[1:]), (1, 2), (2, 4))
    return split.reshape(*(m * f for m, f in zip((mx, my, mz), factor, strict=True)), *parts.shape[4:])
