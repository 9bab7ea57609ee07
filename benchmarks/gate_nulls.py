"""Does the gate stay silent on unchanged code in another environment? Called by `benchmarks/gate.py`, or alone:

    python benchmarks/gate_nulls.py [--scans 300] [--chains 3] [--voxel-size 5] [--only CHAIN …]

Every scan is new: another head, protocol or noise. Each is simulated, reconstructed by some chains in turn and scored
in two environments, each a process of its own: one thread with all instructions of this processor; and two threads with
the scans in reverse order, and with NumPy, OpenBLAS and compiled loops for an older processor without AVX and FMA. The
gate compares them as it compares two commits, a scan at a time, which is stricter than a mean over scans.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import qsmbench as qb
from qsmbench.api.scan import Scan, Truth
from qsmbench.data import folders
from qsmbench.data.score_table import COLUMNS
from qsmbench.gate.baseline import Baseline, identify, offset_row
from qsmbench.gate.compare import CHANGED, compare, exit_code
from qsmbench.gate.margins import read_margins
from qsmbench.scan.receive import received
from qsmbench.scan.simulate import simulate
from qsmbench.study.datasets import Simulated
from qsmbench.study.jobs.simulate import Basis
from qsmbench.study.simulate import described, scan_mask

HEADS: tuple[tuple[str, str, dict[str, Any], dict[str, Any]], ...] = (
    ("head", "oblique-3t", {"subject": 2}, {"grid.voxel_size": None}),
    ("head", "brain-7t", {"subject": 3}, {}),
    ("haemorrhage", "brain-3t", {"subject": 4, "case": "acute"}, {}),
    ("head", "brain-3t", {"subject": 6}, {"snr": 20}),
)
CHAINS = (
    "romeo.fit", "laplacian.fit", "quality_guided.fit", "mcpc3ds.romeo.fit", "nonlinear_fit", "harperella",
    "truth.noisy.sharp", "truth.noisy.vsharp", "truth.noisy.resharp", "truth.noisy.ismv", "truth.noisy.lbv",
    "truth.noisy.pdf", "truth.noisy.tkd", "truth.noisy.tsvd", "truth.noisy.l2", "truth.noisy.cgls", "truth.noisy.rts",
    "truth.noisy.ilsqr", "truth.noisy.star", "truth.noisy.tv", "truth.noisy.tgv", "truth.noisy.nltv",
    "truth.noisy.nltgv", "truth.noisy.l1_qsm", "truth.noisy.hd_qsm", "truth.noisy.wh_qsm", "truth.noisy.ndi",
    "truth.noisy.medi", "romeo.fit.vsharp.tv", "romeo.fit.pdf.medi", "truth.noisy.tfi", "truth.noisy.two_pass",
    "truth.noisy.qsmart", "truth.noisy.chi_separation_r2star", "r2star_log", "arlo", "r2star_nonlinear",
)  # fmt: skip
OLDER = "X86_V3 X86_V4 AVX512_ICL AVX512_SPR"
ENVIRONMENTS = (
    {"QSMBENCH_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    {
        "QSMBENCH_THREADS": "2", "OPENBLAS_NUM_THREADS": "2", "NUMBA_NUM_THREADS": "2", "OPENBLAS_CORETYPE": "Nehalem",
        "NPY_DISABLE_CPU_FEATURES": OLDER, "NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": "", "REVERSED": "1",
    },
)  # fmt: skip


def heads(voxel_size):
    """Yield the name, the description and the noise-free simulation of each head."""
    for phantom, protocol, keys, others in HEADS:
        others = {k: [voxel_size] * 3 if v is None else v for k, v in others.items()}
        name = f"{phantom}-{keys['subject']}_{protocol}"
        keys = {**keys, "voxel_size": voxel_size, "vessels": None}
        what = described(Simulated(phantom=phantom, protocol=protocol, set=keys, set_protocol=others))
        yield name, what, simulate(what.phantom, what.protocol, what.orientations[0])


def noisy(what, simulation, seed):
    """Return a scan with the noise of a seed."""
    noisefree = simulation.signal
    grid, isocentre = simulation.params.grid, simulation.geometry.isocentre
    simulation.signal = received(noisefree.copy(), what.protocol, grid, isocentre, simulation.sigma, seed)
    params = folders.as_read_params(simulation.params)
    true = {n: folders.as_read(n, v) for n, v in {**simulation.truth, "mask": simulation.mask}.items()}
    measured = {
        "phase": np.angle(simulation.signal),
        "magnitude": np.abs(simulation.signal),
        "mask": scan_mask(simulation, what.protocol),
    }
    simulation.signal = noisefree
    return Scan.of(measured, params, truth=Truth(true, params, Basis.of(simulation, what.phantom)))


def work(out, scans, chains, n_chains, voxel_size):
    """Simulate, reconstruct and score all scans in this environment; write the scores and the fingerprints."""
    logging.disable(logging.WARNING)
    rows, scanned = [], {}
    made = list(heads(voxel_size))
    order = range(scans)
    for i in reversed(order) if os.environ.get("REVERSED") else order:
        name, what, simulation = made[i % len(made)]
        scan, dataset = noisy(what, simulation, 1000 + i), f"{name}_seed-{1000 + i}"
        scanned[dataset] = identify(scan.params, scan.mask, scan.magnitude, scan.phase)
        for chain in (chains[(i * n_chains + j) % len(chains)] for j in range(n_chains)):
            try:
                result = qb.reconstruct(chain, scan)
            except Exception as e:  # a row, as in a study
                rows.append((dataset, chain, "", "status", "", "run", np.nan, "", f"failed: {e}"))
                continue
            found = qb.score(result, scan.truth)
            found = found[(found["region"] == "") & (found["support"] == "study")].assign(dataset=dataset, chain=chain)
            rows += found[list(COLUMNS)].itertuples(index=False, name=None)
            if "chi" in set(found["artifact"]):
                rows.append(offset_row(dataset, chain, np.asarray(result["chi"])))
    pd.DataFrame(rows, columns=list(COLUMNS)).to_parquet(out)
    out.with_suffix(".json").write_text(json.dumps(scanned))


def sides(scans, chains, n_chains, voxel_size):
    """Return the scores of each environment, as baselines."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for i, environment in enumerate(ENVIRONMENTS):
            out, start = Path(folder) / f"{i}.parquet", time.perf_counter()
            own = {"NUMBA_CACHE_DIR": str(Path(folder) / "numba")} if "NUMBA_CPU_NAME" in environment else {}
            command = [sys.executable, __file__, "--scans", str(scans), "--chains", str(n_chains)]
            command += ["--voxel-size", str(voxel_size), "--out", str(out), "--only", *chains]
            subprocess.run(command, env={**os.environ, **environment, **own}, check=True)
            print(f"environment {i + 1}: {time.perf_counter() - start:.0f} s", flush=True)
            scanned = json.loads(out.with_suffix(".json").read_text())
            found.append(Baseline("nulls", pd.read_parquet(out), scanned, {}, {}))
    return found


def nulls(scans, chains, n_chains, voxel_size):
    """Compare the environments, print what was found, and return the number of false alarms."""
    old, new = sides(scans, chains, n_chains, voxel_size)
    margins, alarms, same = read_margins(), [], 0
    verdicts: Counter[str] = Counter()
    most: dict[str, float] = {}
    most_of: dict[str, float] = {}
    for dataset in old.scans:
        this, that = (
            Baseline("nulls", s.scores[s.scores["dataset"] == dataset], {dataset: s.scans[dataset]}, {}, {})
            for s in (new, old)
        )
        rows = compare(this, that, margins)
        verdicts.update(r.verdict for r in rows)
        same += all(r.verdict == "identical" for r in rows)
        for r in rows:
            if not np.isnan(r.loss):
                for key, largest in ((r.metric, most), (r.chain, most_of)):
                    largest[key] = max(largest.get(key, 0.0), abs(r.loss) / r.margin)
            if r.verdict == CHANGED:
                print(f"  changed within the margin: {r.chain} {r.metric} {100 * r.loss:+.3g} % on {r.scan}")
        if exit_code(rows):
            alarms.append(f"{dataset}: {rows[0].verdict} {rows[0].chain} {rows[0].metric} {rows[0].loss:+.2g}")
    print(f"{scans} null comparisons, each of a new scan: {len(alarms)} false alarms")
    print(f"{same} of them identical to the bit; of {sum(verdicts.values())} scores {dict(verdicts)}")
    for largest in (most, most_of):
        worst = ", ".join(f"{m} {v:.2g}" for m, v in sorted(largest.items(), key=lambda item: -item[1]))
        print(f"largest difference in units of the margin: {worst}")
    for alarm in alarms:
        print(f"  {alarm}")
    return len(alarms)


def main():
    """Compare the environments; the exit code is 1 if there is a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scans", type=int, default=300)
    parser.add_argument("--chains", type=int, default=3, help="chains on each scan, of all in turn")
    parser.add_argument("--only", nargs="+", default=CHAINS, metavar="CHAIN", help="these in place of all")
    parser.add_argument("--voxel-size", type=float, default=5)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.out:
        work(args.out, args.scans, args.only, args.chains, args.voxel_size)
        return 0
    return int(nulls(args.scans, args.only, min(args.chains, len(args.only)), args.voxel_size) > 0)


if __name__ == "__main__":
    sys.exit(main())
