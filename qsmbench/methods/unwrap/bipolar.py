"""Correction of the phase between odd and even echoes of a bipolar readout."""

import numpy as np

from qsmbench.errors import NotApplicable
from qsmbench.method import method
from qsmbench.ops.phase.unwrap import common_turns, connected_parts, magnitude_or_ones, resolves_turns, unwrap_part
from qsmbench.ops.phase.wrap import wrap

_ROUNDS = 20
_EVEN = 0.01  # echo spacings that differ by less than this fraction are even


@method(produces="phase", reference="Li 2015, doi:10.1007/s10334-014-0470-3")
def bipolar(phase, magnitude, mask, grid, te):
    """Bipolar correction: remove the phase that alternates in sign with the echoes, constant and linear in space.

    With readout gradients of alternating polarity, eddy currents and delays add a phase to the odd echoes and subtract
    it from the even ones. The second echo is compared with the interpolation of the first and third, which have the
    same polarity: the difference is twice that phase. A plane is fitted to it modulo 2π, weighted with the magnitude,
    so that no unwrapping is needed if the echoes are evenly spaced; otherwise the difference of the first and third
    echo is unwrapped in space, and its multiple of 2π is found from the later echoes. A constant of π/2 (for evenly
    spaced echoes) is equivalent to a frequency shift: the smallest constant is taken. Other phase is not changed.

    Returns:
        phase: (nx, ny, nz, n_echoes) float32, rad, within ±π.

    Raises:
        NotApplicable: there are fewer than three echoes.

    Reference:
        Li 2015, doi:10.1007/s10334-014-0470-3.
    """
    if te.size < 3:
        raise NotApplicable(f"bipolar correction needs at least three echoes; the scan has {te.size}")
    weight = magnitude_or_ones(magnitude[..., :3].min(axis=-1), mask)[mask]
    x, y, z = (np.broadcast_to(a, mask.shape)[mask] for a in grid.axes())
    basis = np.stack([np.ones_like(x), x, y, z]).astype(np.float32)
    difference, factor = _alternating_difference(phase, magnitude, mask, te)
    volume = np.zeros(mask.shape, np.float32)
    volume[mask] = wrap(difference)
    plane = _fit_plane(volume, mask, weight, basis, grid) / factor
    alternating = sum(c * a for c, a in zip(plane, (1, *grid.axes()), strict=True)).astype(np.float32)
    sign = np.where(np.arange(te.size) % 2, -1, 1).astype(np.float32)
    return wrap(phase - alternating[..., None] * sign)


def _alternating_difference(phase, magnitude, mask, te):
    """Compute a multiple of the alternating phase [rad] in the voxels of the mask, and the factor."""
    first, second, third = phase[..., :3][mask].T
    ratio = np.float32((te[1] - te[0]) / (te[2] - te[0]))
    if abs(ratio - 0.5) < _EVEN / 4:
        return first + third - 2 * second, 4
    gap = np.zeros(mask.shape, np.float32)  # phase from the first to the third echo
    for box, inside in connected_parts(mask):
        weight = magnitude[box][..., 0] * magnitude[box][..., 2]
        gap[box][inside] = unwrap_part(wrap(phase[box][..., 2] - phase[box][..., 0]), weight, inside)[inside]
    ratios = {e: (te[e] - te[e - 2]) / (te[2] - te[0]) for e in range(3, te.size)}
    later = [((phase[..., e] - phase[..., e - 2])[mask], r) for e, r in ratios.items() if resolves_turns(r)]
    gap += np.float32(2 * np.pi * common_turns(gap[mask], magnitude[..., 2][mask], later))
    return ratio * gap[mask] - (second - first), 2


def _fit_plane(volume, mask, weight, basis, grid):
    """Fit the constant [rad] and the slopes [rad/mm] of a plane to a wrapped phase.

    The slopes start from the mean step to the next voxel, the constant from the mean of the residual.
    """
    plane = np.zeros(4)
    for axis, d in enumerate(grid.voxel_size):
        low, high = (slice(None),) * axis + (slice(0, -1),), (slice(None),) * axis + (slice(1, None),)
        both = mask[low] & mask[high]
        plane[axis + 1] = np.angle(np.exp(1j * (volume[high] - volume[low])[both]).sum()) / d
    values = volume[mask]
    normal = (basis * weight) @ basis.T
    # the constant is the angle of the resultant; then least squares of the wrapped residual
    plane[0] = np.angle((weight * np.exp(1j * (values - plane @ basis))).sum())
    for _ in range(_ROUNDS):
        residual = wrap((values - plane @ basis).astype(np.float32))
        # the slope across a single slice, or a line of voxels, is undetermined: it is zero
        step = np.linalg.lstsq(normal.astype(float), (basis * weight) @ residual, rcond=1e-7)[0]
        plane += step
        if np.abs(step @ basis[:, :: max(1, basis.shape[1] // 1000)]).max() < 1e-5:
            break
    plane[0] = np.angle(np.exp(1j * plane[0]))
    return plane
