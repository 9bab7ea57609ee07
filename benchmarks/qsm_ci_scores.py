"""The table of docs/qsm-ci.md: one map in the scores of this package and in those of QSM-CI.

TKD on the true local field of the head of `configs/quick.yaml`, run as an exported folder by QSM-CI's own runner on the
host (`--runner local`), from the files of `qsmbench export qsm-ci`.

    .venv/bin/python benchmarks/qsm_ci_scores.py
"""

import contextlib
import os
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import nibabel as nib
import numpy as np
from qsm_ci import qsm_eval, runner

import qsmbench as qb
from qsmbench.export import folder, qsm_ci

CHAIN = "tkd"
OTHERS = ("tkd", "l2", "tv")
PAIRS = {
    "nrmse": "nrmse",
    "correlation": "correlation",
    "coverage": "coverage",
    "detrended_nrmse": "nrmse_detrend",
    "hfen": "hfen",
    "xsim": "xsim",
    "dgm_slope": "dgm_linearity",
}
"""Metrics here, and theirs."""


def volume(path: Path) -> np.ndarray:
    """Return the values of a NIfTI file."""
    return np.asanyarray(nib.load(path).dataobj)  # type: ignore[attr-defined]


def theirs(place: Path) -> np.ndarray:
    """Return the map of the exported folder, as QSM-CI's runner gets it; the scores are those that it prints."""
    given, truth = place / "ci" / "inputs", place / "ci" / "groundtruth"
    folder.export(CHAIN, place / "method")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # its run.sh calls python3
    words = [str(place / "method"), "--localfield", str(truth / "localfield.nii.gz")]
    words += ["--mask", str(given / "mask.nii.gz"), "--params", str(given / "params.json"), "--runner", "local"]
    words += ["--truth", str(truth / "chimap.nii.gz"), "--seg", str(truth / "dseg.nii.gz")]
    words += ["-o", str(place / "chimap.nii.gz")]
    with contextlib.redirect_stdout(sys.stderr):
        if code := runner.run_command(words):
            sys.exit(code)
    return volume(place / "chimap.nii.gz")


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        scan = qb.simulate("head", "brain-3t", voxel_size=1.5, seed=0)
        assert scan.truth is not None
        scan.save(place / "sim")
        qsm_ci.export(place / "sim", place / "ci", note=print)
        maps = {m: qb.reconstruct(f"truth.{m}", scan) for m in OTHERS}
        ours = qb.score(maps[CHAIN], scan.truth)
        made, answers = theirs(place), place / "ci" / "groundtruth"
        print(f"largest difference of the two maps: {np.abs(made - maps[CHAIN].values).max():.3g} ppm")
        truth, mask, labels = (volume(answers / f"{n}.nii.gz") for n in ("chimap", "mask", "dseg"))
        found, _ = qsm_eval.score_arrays(made, truth, mask, "chi", seg=labels)
        print(f"\n{'metric':16} {'qsmbench':>10} {'QSM-CI ' + version('qsm-ci'):>14}")
        whole = ours[ours.region == ""].set_index("metric").value
        for mine, other in PAIRS.items():
            print(f"{mine:16} {whole[mine]:10.4g} {found[other]:14.4g}")
        print("\nas before 0.6, with the truth outside the mask:")
        for name, chi in maps.items():
            full = scan.truth["chi"]
            hfen, xsim = qsm_eval.hfen(chi.values, full, mask), qsm_eval.xsim(chi.values, full, mask)
            print(f"{name:16} HFEN {hfen:.1f} XSIM {xsim:.3f}")


if __name__ == "__main__":
    main()
