"""Linear systems of a convolution that is restricted to a mask: known inside, zero outside."""

from __future__ import annotations

from typing import Any

from qsmbench.ops.arrays.array import masked, namespace
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.solvers.solve import Operator, cg


def solve_restricted(spectrum: Any, inside: Any, right: Any, tolerance: float, max_iterations: int) -> Any:
    """Find x, zero outside a mask, whose convolution with a kernel equals `right` inside it.

    Uses conjugate gradients, preconditioned with the inverse of the unrestricted convolution, which differs from that
    of the restricted one only near the surface of the mask. So few iterations are needed for any kernel.

    Args:
        spectrum: (nx, ny, nz // 2 + 1) float32, half spectrum of the kernel; positive, or zero at k = 0.
        inside: (nx, ny, nz) bool, false somewhere if the spectrum is zero at k = 0.
        right: (nx, ny, nz) float32, zero outside; overwritten by the residual.
        tolerance: stop when the residual, in the norm of the preconditioner, has fallen to this fraction of its start,
            which estimates the relative error in the norm of the system.
        max_iterations: largest number of iterations.

    Returns:
        x: (nx, ny, nz) float32, in the unit of `right` over that of `spectrum`.
    """
    lowest = min(float(spectrum[k]) for k in ((1, 0, 0), (0, 1, 0), (0, 0, 1)))
    inverse = 1 / namespace(right).clip(spectrum, lowest)

    def restricted(kernel: Any) -> Operator:
        return lambda volume: masked(convolve(volume, kernel), inside)

    return cg(restricted(spectrum), right, tolerance, max_iterations, precondition=restricted(inverse))
