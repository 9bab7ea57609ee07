"""Does a painter lose? Typical χ painted on the true labels, without a look at the phase, against usual chains.

    python benchmarks/painter.py [--subjects 3] [--first 1] [--voxel-size 2] [--fields romeo.fit …]
                                 [--backgrounds vsharp …] [--inversions tv …] [--ordinary] [--nonce HEX]

The painter has the true labels of a secret subject, which no segmentation gives, and paints subject 0's mean χ of each.
Below it, for comparison: the mean of the range that χ is drawn from, and the subject's own mean of each label, which
nobody can know. `--ordinary` takes subjects as studies have them, whose χ follows their iron and myelin as R2* does.
"""

import argparse
import hashlib
import itertools
import time

import numpy as np

import qsmbench as qb
from qsmbench.challenge.config import Entry, Redraw
from qsmbench.challenge.draw import secret_scan
from qsmbench.challenge.secret import Secret
from qsmbench.metrics import Reference
from qsmbench.study.datasets import Simulated
from qsmbench.study.simulate import described, scan_mask, scans

FIELDS = ("romeo.fit", "romeo.nonlinear_fit")
BACKGROUNDS = ("vsharp", "pdf", "lbv", "resharp", "ismv", "sharp")
INVERSIONS = (
    "cgls", "rts", "ilsqr", "star", "tv", "tgv", "nltv", "nltgv", "l1_qsm", "hd_qsm", "wh_qsm", "ndi", "medi",
)  # fmt: skip
METRICS = ("nrmse", "deep_nrmse", "correlation", "xsim", "dgm_slope", "dgm_r2")
PAINTERS = ("typical χ on true labels", "middle of what is drawn", "true means on true labels")


def simulated(what):
    """Return the truth of a scan, its regions, and the scan without truth."""
    (simulation,) = scans(what)
    mask = scan_mask(simulation, what.protocol)
    grid, params = simulation.params.grid, simulation.params
    signal = simulation.signal
    scan = qb.Scan(
        phase=np.angle(signal), magnitude=np.abs(signal), mask=mask, te=params.te, b0=params.b0, affine=grid.affine
    )
    return simulation.truth, simulation.regions, simulation.mask, scan


def means(chi, labels, mask, regions):
    """Return the mean χ of each region that has a voxel in the mask."""
    inside = {name: mask & (labels == i) for i, name, _ in regions}
    return {name: float(chi[where].mean()) for name, where in inside.items() if where.any()}


def paint(values, labels, regions):
    """Return each region filled with its value."""
    table = np.zeros(256, np.float32)
    for i, name, _ in regions:
        table[i] = values.get(name, 0)
    return table[labels]


def middles(regions, typical, redraw):
    """Return the mean of the distribution that the χ of each region is drawn from: 0, since the share is symmetric."""
    assert sum(redraw.share) == 1
    return {**typical, **{name: 0.0 for _, name, group in regions if group in redraw.groups}}


def scored(subject, name, estimate, support, reference, seconds=0.0):
    """Print the scores of a map; return its NRMSE."""
    rows = reference.rows(estimate, support, metrics=METRICS, supports=("study",))
    values = {r["metric"]: r["value"] for r in rows if not r["region"]}
    print(f"{subject:3d}  {name:34s}{''.join(f'{values[m]:12.3g}' for m in METRICS)}{seconds:9.1f}", flush=True)
    return values["nrmse"]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subjects", type=int, default=3)
    parser.add_argument("--first", type=int, default=1, help="number of the first subject")
    parser.add_argument("--fields", nargs="+", default=FIELDS)
    parser.add_argument("--backgrounds", nargs="+", default=BACKGROUNDS)
    parser.add_argument("--inversions", nargs="+", default=INVERSIONS)
    parser.add_argument("--voxel-size", type=float, default=2)
    parser.add_argument("--ordinary", action="store_true")
    parser.add_argument("--nonce", default=hashlib.sha256(b"painter").hexdigest())
    args = parser.parse_args()
    keys, redraw = {"voxel_size": args.voxel_size}, Redraw()
    template = described(Simulated(phantom="head", protocol="brain-3t", set=keys))
    truth, regions, mask, _ = simulated(template)
    typical = means(truth["chi"], truth["labels"], mask, regions)
    wins, clear, total = 0, 0, 0
    for n in range(args.first, args.first + args.subjects):
        secret = Secret(bytes.fromhex(args.nonce)).of("scan", str(n))
        what = secret_scan(Entry(phantom="head", set=keys), secret, redraw)
        if args.ordinary:
            what = described(Simulated(phantom="head", protocol="brain-3t", set={**keys, "subject": n}, seeds=[n]))
        truth, regions, mask, scan = simulated(what)
        chi, labels = truth["chi"], truth["labels"]
        reference = Reference(mask, truth=chi, labels=labels, regions=regions, grid=scan.grid)

        print(f"\n     {'on the study mask':34s}{''.join(f'{m:>12s}' for m in METRICS)}    cpu s")
        maps = typical, middles(regions, typical, redraw), means(chi, labels, mask, regions)
        drawn = [paint(values, labels, regions) for values in maps]
        painted, informed, _ = (scored(n, p, m, mask, reference) for p, m in zip(PAINTERS, drawn, strict=True))
        for names in itertools.product(args.fields, args.backgrounds, args.inversions):
            chain, start = ".".join(names), time.process_time()
            result = qb.reconstruct(chain, scan)
            support, seconds = np.asarray(result.mask) & mask, time.process_time() - start
            found = scored(n, chain, result["chi"], support, reference, seconds)
            wins, clear, total = wins + (found < painted), clear + (found < informed), total + 1
    print(f"\n{wins} of {total} chains have a lower NRMSE than the painter, {clear} than the middle of what is drawn")


if __name__ == "__main__":
    main()
