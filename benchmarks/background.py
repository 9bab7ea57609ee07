"""Where the errors of LBV, HARPERELLA, QSMART and two-pass inversion come from: the figures of docs/methods.md.

    python benchmarks/background.py [--subject 3] [--voxel-size 1.6]

Every line is the NRMSE [%] of a map of one scan of a head at 3 T with an SNR of 100. "Noisy" is the true total field
with the noise of the scan; its local part is the true local field with that noise.
"""

import argparse

import numpy as np

import qsmbench as qb
from qsmbench.metrics.nrmse import nrmse
from qsmbench.ops.masks.morphology import without_boundary
from qsmbench.units import rad_per_ppm

TE = [0.004, 0.012, 0.02, 0.028]


def say(what, value):
    """Print a figure."""
    print(f"{what:78s} {value:6.1f}")


def lbv(total, truth, mask, grid, noise):
    """Print the parts of the error of LBV. Each is the norm of what it adds, relative to that of the local field."""
    local, kept = qb.methods.lbv(total + noise, mask, grid)

    def share(part):
        return nrmse(part + truth, truth, kept)

    say("lbv, noisy", nrmse(local, truth, kept))
    say("  its assumption: lbv of the true local field", nrmse(qb.methods.lbv(truth, mask, grid)[0], truth, kept))
    say("  noise", share(local - qb.methods.lbv(total, mask, grid)[0]))
    say("  background between the voxels", share(qb.methods.lbv(total - truth, mask, grid)[0]))
    exact = qb.methods.lbv(total + noise, mask, grid, tolerance=1e-5, max_iterations=2000)[0]
    say("  solver", share(local - exact))
    for peel in (1, 2, 4):
        peeled, inner = qb.methods.lbv(total + noise, mask, grid, peel=peel)
        say(f"  peel={peel}, in its mask", nrmse(peeled, truth, inner))
    return local


def harperella(scan, total, truth, local):
    """Print the error of HARPERELLA within the mask of LBV and the whole mask, and what it leaves of the background."""
    mask, kept = scan.mask, without_boundary(scan.mask)

    def found(phase, **settings):
        return qb.methods.harperella(phase, scan.magnitude, mask, scan.grid, scan.te, scan.b0, **settings)

    default = found(scan.phase)
    say("harperella, in the mask of lbv", nrmse(default, truth, kept))
    say("  in the whole mask", nrmse(default, truth, mask))
    say("  difference from lbv", nrmse(default - local + truth, truth, kept))
    say("  a ball of 20 mm, in the mask of lbv", nrmse(found(scan.phase, radius=20.0), truth, kept))
    turns = np.angle(np.exp(1j * rad_per_ppm(scan.b0, 1.0) * (total - truth)[..., None] * scan.te))
    say("  of the background alone", nrmse(found(turns.astype(np.float32)) + truth, truth, kept))


def joint(scan, total, truth, noise):
    """Print the error of χ by QSMART and by two passes, and by the chains that they resemble."""
    mask, grid, chi = scan.mask, scan.grid, np.asarray(scan.truth["chi"])

    def qsmart(field, **settings):
        return qb.methods.qsmart(field, scan.magnitude, mask, grid, scan.te, scan.b0, **settings)

    say("ilsqr of the true local field, noisy", nrmse(qb.methods.ilsqr(truth + noise, mask, grid), chi, mask))
    say("qsmart of it", nrmse(qsmart(truth + noise), chi, mask))
    say("qsmart of the total field, noisy", nrmse(qsmart(total + noise), chi, mask))
    say("  whole_width=6", nrmse(qsmart(total + noise, whole_width=6.0), chi, mask))
    for name in ("vsharp.ilsqr", "two_pass", "pdf.rts", "rts"):
        found = qb.reconstruct(f"truth.noisy.{name}", scan)
        kept = np.asarray(found["mask"], bool) if name.startswith("vsharp") else mask
        say(f"{name}, noisy, in its mask", nrmse(found.values, chi, kept))


def main():
    """Print all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subject", type=int, default=3)
    parser.add_argument("--voxel-size", type=float, default=1.6)
    given = parser.parse_args()
    protocol = {"snr": 100, "te": TE}
    scan = qb.simulate(
        "head", "brain-3t", seed=0, voxel_size=given.voxel_size, subject=given.subject, set_protocol=protocol
    )
    assert scan.truth is not None
    total, truth = (np.asarray(scan.truth[n]) for n in ("total_field", "local_field"))
    noise = np.asarray(qb.reconstruct("truth.noisy", scan)["total_field"]) - total
    local = lbv(total, truth, scan.mask, scan.grid, noise)
    harperella(scan, total, truth, local)
    joint(scan, total, truth, noise)


if __name__ == "__main__":
    main()
