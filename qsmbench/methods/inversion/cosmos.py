"""Susceptibility from several orientations of the head."""

import numpy as np

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.array import compute, like, masked, namespace, to_numpy
from qsmbench.ops.arrays.fft import Window, irfftn, rfftn
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.ops.solvers.reference import subtract_mask_mean
from qsmbench.ops.solvers.solve import cg
from qsmbench.ops.solvers.weight import field_weight

_FEWEST = 3
_WEAKEST = 1e-3
"""Smallest ΣD² that is divided by; directions of B0 some two degrees apart do not reach it."""


@method(produces="chi", reference="Liu 2009, doi:10.1002/mrm.21828", portable=True)
def cosmos(mask, orientations, grid, *, iterative=True, tolerance=3e-3, max_iterations=50, pad=30.0):
    """COSMOS: least squares over the local fields of three or more orientations of the head.

    The dipole kernel of one orientation vanishes on a double cone; three cones around different axes have no
    direction in common, so that no regularisation is needed. The closed form χ = Σ D·field / Σ D² assumes a
    field of zero outside the masks. The iterative solution, which starts from it, does not: it minimises
    Σ ‖W(Dχ − field)‖² over χ inside the mask of the reference, W being the relative precision of the field by the
    magnitude inside each mask and 0 outside.

    Args:
        mask: (nx, ny, nz) bool: voxels of the reference to reconstruct.
        orientations: three or more `Orientation`s, all on the voxels of the reference.
        iterative: minimise by conjugate gradients; otherwise return the closed form.
        tolerance: stop when the gradient has fallen to this fraction of its start.
        pad: zeros around the bounding box of all masks, mm along each axis.

    Raises:
        NotApplicable: there are fewer than three orientations, or the cones of the directions of B0 meet.
        QsmbenchError: an orientation is on other voxels than the reference.

    Reference:
        Liu 2009, doi:10.1002/mrm.21828.
    """
    if len(orientations) < _FEWEST:
        raise NotApplicable(
            f"{len(orientations)} orientations; COSMOS needs 3, since the zero cones of two dipole kernels intersect"
        )
    for i, o in enumerate(orientations):
        if o.grid.shape != grid.shape or not np.allclose(o.grid.voxel_size, grid.voxel_size, atol=1e-3):
            raise QsmbenchError(
                f"orientation {i} has {o.grid.shape} voxels of {o.grid.voxel_size} mm; "
                f"the reference has {grid.shape} of {grid.voxel_size}"
            )
    weakest = _smallest_sum(np.array([o.grid.b0_dir for o in orientations]))
    if weakest < _WEAKEST:
        raise NotApplicable(f"the directions of B0 are too similar: the sum of D² falls to {weakest:.2g}")
    masks = [to_numpy(m) for m in (mask, *(o.mask for o in orientations))]
    window = Window.around(np.logical_or.reduce(masks), grid, pad)
    inside = window.take_mask(mask)
    kernels = [like(dipole_kernel(o.grid, window.shape), inside) for o in orientations]
    squares = sum(k**2 for k in kernels)  # zero at k = 0: the mean of χ is undetermined and left at zero
    squares = namespace(squares).clip(squares, _WEAKEST, None)  # smaller at single Nyquist frequencies only
    fields, weights = zip(*(_field_and_weight(window, o, mask) for o in orientations), strict=True)

    spectrum = _sources(fields, kernels)
    spectrum /= squares
    chi = masked(irfftn(spectrum, window.shape), inside)
    del spectrum, squares
    if iterative:
        for w, f in zip(weights, fields, strict=True):
            compute(_product, w, f, out=f)

        def normal(x):
            x_hat = rfftn(x)
            models = (irfftn(k * x_hat, window.shape) for k in kernels)
            weighted = (compute(_product, w, m, out=m) for w, m in zip(weights, models, strict=True))
            return masked(irfftn(_sources(weighted, kernels), window.shape), inside)

        right = masked(irfftn(_sources(fields, kernels), window.shape), inside)
        del f, fields
        chi = cg(normal, right, tolerance, max_iterations, start=chi)
    return subtract_mask_mean(window.put(chi, mask), mask)


def _smallest_sum(b0_dirs):
    """Compute the smallest ΣD² over the directions of k, half a degree apart on a spiral over the sphere."""
    n = 200_000
    z = (np.arange(n) + 0.5) / n  # the other half is symmetric
    angle = np.pi * (1 + 5**0.5) * np.arange(n)
    k = np.stack([np.sqrt(1 - z**2) * np.cos(angle), np.sqrt(1 - z**2) * np.sin(angle), z])
    return float(((1 / 3 - (b0_dirs @ k) ** 2) ** 2).sum(axis=0).min())


def _product(xp, a, b):
    return a * b


def _sources(fields, kernels):
    """Compute the spectrum of Σ D·field."""
    total = None
    for k, f in zip(kernels, fields, strict=True):
        spectrum = rfftn(f)
        spectrum *= k
        if total is None:
            total = spectrum
        else:
            total += spectrum
    return total


def _field_and_weight(window, orientation, other):
    """Return the local field where it has any weight, and W², in the window, as arrays like `other`."""
    measured, field = (like(to_numpy(v), other) for v in (orientation.mask, orientation.local_field))
    if orientation.magnitude is None:
        return window.take(field, measured), window.take(like(to_numpy(orientation.mask) * np.float32(1), other))
    magnitude = to_numpy(orientation.magnitude)
    weight = like(field_weight(magnitude, orientation.te, to_numpy(orientation.mask)), other)
    return window.take(field, measured & (weight > 0)), window.take(weight, measured) ** 2
