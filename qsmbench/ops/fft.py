"""Real-to-complex Fourier transforms, and the padded window of a volume that they run on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft

from qsmbench.grid import Grid
from qsmbench.ops.threads import n_threads

Shape = tuple[int, int, int]


def rfftn(volume: np.ndarray) -> np.ndarray:
    """Fourier transform of a real volume: (nx, ny, nz) → (nx, ny, nz // 2 + 1), in the precision of the input."""
    return scipy.fft.rfftn(volume, workers=n_threads())


def irfftn(spectrum: np.ndarray, shape: Shape) -> np.ndarray:
    """Real volume of `shape` whose Fourier transform is `spectrum`, which is overwritten."""
    return scipy.fft.irfftn(spectrum, shape, workers=n_threads(), overwrite_x=True)


def convolve(volume: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cyclic convolution of a real volume with the kernel whose half spectrum is `kernel` (real or complex)."""
    spectrum = rfftn(volume)
    spectrum *= kernel
    return irfftn(spectrum, volume.shape)


def hermitian_weights(shape: Shape) -> np.ndarray:
    """How often each kz of a half spectrum stands in the full one: 2, but 1 at zero and at an even Nyquist."""
    weights = np.full(shape[2] // 2 + 1, 2.0, np.float32)
    weights[0] = 1
    if shape[2] % 2 == 0:
        weights[-1] = 1
    return weights


@dataclass(frozen=True)
class Window:
    """A box of a volume, laid into the corner of a zero-padded array whose size suits the FFT.

    A cyclic convolution sees no difference between zeros before, after or around the box.

    Attributes:
        full: shape of the volume.
        box: the part of the volume that is worked on.
        shape: shape of the padded array.
    """

    full: Shape
    box: tuple[slice, slice, slice]
    shape: Shape

    @classmethod
    def around(cls, mask: np.ndarray, grid: Grid, pad: float) -> Window:
        """The bounding box of `mask`, with at least `pad` [mm] of zeros between its cyclic copies.

        Args:
            mask: (nx, ny, nz) bool, not empty.
            grid: of the mask.
            pad: zeros added along each axis, in all.
        """
        box, shape = [], []
        for axis, d in enumerate(grid.voxel_size):
            others = tuple(a for a in range(3) if a != axis)
            inside = np.flatnonzero(mask.any(axis=others))
            start, stop = int(inside[0]), int(inside[-1]) + 1
            box.append(slice(start, stop))
            shape.append(scipy.fft.next_fast_len(stop - start + int(np.ceil(pad / d)), real=True))
        return cls(mask.shape, tuple(box), tuple(shape))  # type: ignore[arg-type]

    @property
    def _corner(self) -> tuple[slice, ...]:
        return tuple(slice(0, s.stop - s.start) for s in self.box)

    def take(self, volume: np.ndarray, dtype: type = np.float32) -> np.ndarray:
        """The box of `volume`, zero-padded to `shape`."""
        padded: np.ndarray = np.zeros(self.shape, dtype)
        padded[self._corner] = volume[self.box]
        return padded

    def put(self, padded: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """The volume that holds `padded` where `mask` (of the volume) is true, and zero elsewhere."""
        volume = np.zeros(self.full, padded.dtype)
        np.multiply(padded[self._corner], mask[self.box], out=volume[self.box])
        return volume
