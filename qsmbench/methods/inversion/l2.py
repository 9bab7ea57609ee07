"""Closed-form inversion with a quadratic penalty."""

from qsmbench.errors import QsmbenchError
from qsmbench.method import method
from qsmbench.ops.arrays.array import like
from qsmbench.ops.arrays.difference import laplacian_spectrum
from qsmbench.ops.arrays.fft import convolve
from qsmbench.ops.solvers.problem import Problem

PENALTIES = {"identity": 0, "gradient": 1, "laplacian": 2}
"""Order of the derivative of χ that is penalised."""


@method(produces="chi", reference="Bilgic 2014, doi:10.1002/jmri.24365", portable=True)
def l2(local_field, mask, grid, *, penalty="identity", regularisation=0.005, pad=30.0):
    """Closed-form L2: the minimiser of ‖Dχ − field‖² + λ‖Pχ‖², in one division in k-space.

    P is the identity (Tikhonov), the gradient, or the Laplacian. The field is assumed to be zero outside the mask,
    which causes an error at low spatial frequencies that derivatives hardly penalise. The gradient is the better
    penalty for a field known everywhere, the identity for a masked field. λ is then about the ratio of the power of
    that error to the power of χ. The iterative methods have the mask in the data term instead.

    Args:
        penalty: identity, gradient or laplacian.
        regularisation: λ; without unit for the identity, mm² for the gradient (per mm), mm⁴ for the Laplacian.

    Raises:
        QsmbenchError: there is no such penalty.

    Reference:
        Bilgic 2014, doi:10.1002/jmri.24365; identity: de Rochefort 2008, doi:10.1002/mrm.21710.
    """
    if penalty not in PENALTIES:
        raise QsmbenchError(f"penalty is {penalty!r}; choose from {', '.join(PENALTIES)}")
    problem = Problem(local_field, mask, grid, pad)
    normal = like(laplacian_spectrum(grid, problem.shape), problem.field) ** PENALTIES[penalty] * regularisation
    normal += problem.kernel**2
    normal[0, 0, 0] = 1  # the kernel is zero there: the mean of χ is undetermined and left at zero
    return problem.finish(convolve(problem.field, problem.kernel / normal))
