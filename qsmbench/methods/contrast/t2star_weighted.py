"""T2*-weighted imaging: thick slices with gaps, one echo."""

import numpy as np

from qsmbench.errors import QsmbenchError
from qsmbench.method import method, note
from qsmbench.ops.arrays.slabs import slice_axis
from qsmbench.ops.phase.echo_choice import nearest_echo


@method(produces="t2star_weighted", reference="Chavhan 2009, doi:10.1148/rg.295095034")
def t2star_weighted(magnitude, phase, mask, te, grid, *, echo_time=0.022, thickness=5.0, gap=1.0):
    """T2*-weighted image of 2D slices: the magnitude of the complex signal of one echo, averaged over thick slices.

    Dephasing across a slice removes signal, as in a 2D scan of that thickness. A slice fills the voxels up to half of
    the gap on either side, as viewers show it; sources in a gap are lost. Slices lie across the array axis nearest to
    B0 and are centred on the mask. The profile is a box; signal outside the mask is left out. It is not the protocol
    of a 2D scan, whose repetition time and flip angle differ: this image has those of the given scan.

    Args:
        echo_time: of the image, s; the nearest echo is used.
        thickness: of a slice, mm; at least that of the scan's slices.
        gap: between slices, mm.

    Raises:
        QsmbenchError: the thickness is not positive, or the gap is negative.

    Reference:
        Chavhan 2009, doi:10.1148/rg.295095034 (the contrast). Thickness, gap and echo time are assumed.
    """
    if not thickness > 0 or gap < 0:
        raise QsmbenchError(f"t2star_weighted: thickness is {thickness} and gap {gap}; they must be positive lengths")
    echo, axis = nearest_echo(te, echo_time), slice_axis(grid)
    note("echo time", f"{1000 * te[echo]:.3g} ms")
    signal = np.where(mask, magnitude[..., echo] * np.exp(1j * phase[..., echo]), 0).astype(np.complex64)
    where, weight = _slices(mask, axis, grid.voxel_size[axis], thickness, gap)
    total = np.tensordot(np.moveaxis(signal, axis, 2), weight, axes=(2, 1))
    share = np.tensordot(np.moveaxis(mask.astype(np.float32), axis, 2), weight, axes=(2, 1))
    mean = np.divide(np.abs(total), share, out=np.zeros_like(share), where=share > 0)
    return np.where(mask, np.moveaxis(mean[..., where], 2, axis), 0).astype(np.float32)


def _slices(mask, axis, size, thickness, gap):
    """Place slices about the middle of the mask.

    Returns:
        (n,) the slice that each layer of voxels shows, and (n_slices, n) the length of each layer in each slice, mm.
    """
    layers = np.flatnonzero(mask.any(axis=tuple(a for a in range(3) if a != axis)))
    n, pitch = mask.shape[axis], thickness + gap
    centres = (np.arange(n) - (layers[0] + layers[-1]) / 2) * size if layers.size else np.arange(n) * size
    reach = int(np.ceil((np.abs(centres).max() + size) / pitch))
    middles = np.arange(-reach, reach + 1) * pitch
    low = np.maximum(centres - size / 2, middles[:, None] - thickness / 2)
    high = np.minimum(centres + size / 2, middles[:, None] + thickness / 2)
    nearest = np.rint(centres / pitch).astype(int) + reach
    weight = np.maximum(high - low, 0).astype(np.float32)
    # a layer of the gap shows its nearest slice; scans with slices thicker than the gap leave none without signal
    return nearest, weight
