"""Correction of the phase between the odd and even echoes of a bipolar readout."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.phase.phase_offset import common_turns, connected_parts, magnitude_or_ones, unwrap_part, wrap

_ROUNDS = 20
_EVEN = 0.01  # echo spacings that differ by less than this share are even


@method(produces="phase", reference="Li 2015, doi:10.1007/s10334-014-0470-3")
def bipolar(phase, magnitude, mask, grid, te):
    """Take off the phase whose sign alternates with the echoes: constant, and linear along all three axes.

    With gradients that are read forwards and backwards by turns, eddy currents and delays add a phase to the odd echoes
    and take the same off the even ones. The second echo is compared with what the first and third, which are read
    alike, say about its time: twice the phase is what differs. A plane is fitted to that, weighted with the magnitudes,
    on the circle, so that nothing needs unwrapping if the echoes are even; if not, the difference of the first and
    third echo is unwrapped in space, and the later echoes say how many turns it holds. A constant of a quarter turn
    (even echoes) cannot be told from a shift of frequency: the smallest is taken. Phase that does not alternate stays.

    Args:
        phase: (nx, ny, nz, n_echoes) rad, wrapped.
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        grid: voxel size.
        te: (n_echoes,) echo times, s.

    Returns:
        phase: (nx, ny, nz, n_echoes) float32, rad, within ±π.

    Raises:
        NotApplicable: there are fewer than three echoes.

    Reference:
        Li 2015, doi:10.1007/s10334-014-0470-3.
    """
    if te.size < 3:
        raise NotApplicable(f"bipolar correction needs three echoes at least, and there are {te.size}")
    weight = magnitude_or_ones(magnitude[..., :3].min(axis=-1), mask)[mask]
    x, y, z = (np.broadcast_to(a, mask.shape)[mask] for a in grid.axes())
    basis = np.stack([np.ones_like(x), x, y, z]).astype(np.float32)
    difference, folds = _difference(phase, magnitude, mask, te)
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = wrap(difference)
    plane = _fit_plane(volume, mask, weight, basis, grid) / folds
    alternating = sum(c * a for c, a in zip(plane, (1, *grid.axes()), strict=True)).astype(np.float32)
    sign = np.where(np.arange(te.size) % 2, -1, 1).astype(np.float32)
    return wrap(phase - alternating[..., None] * sign)


def _difference(phase, magnitude, mask, te):
    """`folds` times the alternating phase [rad] in the voxels of the mask, and `folds`."""
    first, second, third = phase[..., :3][mask].T
    ratio = np.float32((te[1] - te[0]) / (te[2] - te[0]))
    if abs(ratio - 0.5) < _EVEN / 4:
        return first + third - 2 * second, 4
    turn = np.zeros(mask.shape, np.float32)
    for box, inside in connected_parts(mask):
        weight = magnitude[box][..., 0] * magnitude[box][..., 2]
        turn[box][inside] = unwrap_part(wrap(phase[box][..., 2] - phase[box][..., 0]), weight, inside)[inside]
    alike = [
        ((phase[..., e] - phase[..., e - 2])[mask], (te[e] - te[e - 2]) / (te[2] - te[0])) for e in range(3, te.size)
    ]
    turn += np.float32(2 * np.pi * common_turns(turn[mask], magnitude[..., 2][mask], alike))
    return ratio * turn[mask] - (second - first), 2


def _fit_plane(volume, mask, weight, basis, grid):
    """Coefficients of constant and slopes [rad, rad/mm] of a plane through a wrapped phase.

    The slopes start from the mean step to the next voxel, the constant from the mean that they leave over.
    """
    plane = np.zeros(4)
    for axis, d in enumerate(grid.voxel_size):
        low, high = (slice(None),) * axis + (slice(0, -1),), (slice(None),) * axis + (slice(1, None),)
        both = mask[low] & mask[high]
        plane[axis + 1] = np.angle(np.exp(1j * (volume[high] - volume[low])[both]).sum()) / d
    values = volume[mask]
    normal = (basis * weight) @ basis.T
    # the resultant of what is left turns the constant; then least squares with whole turns taken off
    plane[0] = np.angle((weight * np.exp(1j * (values - plane @ basis))).sum())
    for _ in range(_ROUNDS):
        left = wrap((values - plane @ basis).astype(np.float32))
        # in a single slice, or along a line of voxels, nothing is known of the slope across: it is zero
        step = np.linalg.lstsq(normal.astype(float), (basis * weight) @ left, rcond=1e-7)[0]
        plane += step
        if np.abs(step @ basis[:, :: max(1, basis.shape[1] // 1000)]).max() < 1e-5:
            break
    plane[0] = np.angle(np.exp(1j * plane[0]))
    return plane
