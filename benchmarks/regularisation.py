"""The regularisation parameters λ that are the methods' defaults, chosen by one rule on several heads and noise levels.

    python benchmarks/regularisation.py [--voxel-size 2] [METHOD …]

Each method inverts true local fields with the noise of a scan, for λ from a quarter to four times its default, in steps
of √2 to 2. Its regret on a dataset is the NRMSE of χ over the smallest NRMSE of all λ there. **The rule: the λ whose
largest regret over all datasets is smallest**, so that a default costs little on any head at any noise, rather than
being the best for one. The datasets are two subjects, and a third as a label map of uniform tissues, each at an SNR of
30 and 100.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd

import qsmbench as qb
from qsmbench.phantom.labelmap import NEEDED
from qsmbench.run import registry

METHODS = ("tv", "medi", "hd_qsm", "nltv", "l1_qsm")
FACTORS = (0.25, 0.5, 0.71, 1.0, 1.41, 2.0, 4.0)
SUBJECTS, LABELLED = (0, 4), 5
SNRS = (30, 100)
TE = [0.004, 0.012, 0.02, 0.028]


def label_phantom(subject, voxel_size, folder):
    """Write a subject of the head as a label image with the mean properties of each label; return the description."""
    found = qb.render("head", subject=subject, voxel_size=voxel_size, supersampling=1)
    names = {index: name for index, name, _ in found.regions}
    rows, brain = [], []
    for index in np.unique(found.labels):
        voxels = found.labels == index
        values = {c: getattr(found, c)[voxels].mean() for c in NEEDED}
        rows.append({"index": index, "name": names.get(index, "outside"), **values})
        if found.mask[voxels].mean() > 0.5:
            brain.append(int(index))
    nib.save(nib.Nifti1Image(found.labels, found.grid.affine), folder / "labels.nii.gz")
    pd.DataFrame(rows).to_csv(folder / "labels.tsv", sep="\t", index=False)
    file = folder / "head.yaml"
    file.write_text(f"kind: labelmap\nimage: labels.nii.gz\ntable: labels.tsv\nambient_chi: 9.4\nmask: {brain}\n")
    return str(file)


def datasets(voxel_size):
    """Yield the name, the inputs of an inversion and the true χ of each dataset."""
    with tempfile.TemporaryDirectory() as folder:
        heads = {f"subject {s}": ("head", {"subject": s, "voxel_size": voxel_size}) for s in SUBJECTS}
        heads[f"labels of {LABELLED}"] = (label_phantom(LABELLED, voxel_size, Path(folder)), {})
        for name, (phantom, keys) in heads.items():
            for snr in SNRS:
                scan = qb.simulate(phantom, "brain-3t", seed=1, set_protocol={"snr": snr, "te": TE}, **keys)
                assert scan.truth is not None
                given: dict[str, Any] = {n: np.asarray(scan.truth[n]) for n in ("local_field", "total_field")}
                given |= {"phase": scan.phase, "magnitude": scan.magnitude, "mask": scan.mask}
                given |= {"grid": scan.grid, "te": scan.te, "b0": scan.b0}
                noisy = registry.find("noisy")
                inputs = {n: given[n] for n in noisy.consumes if n in given}
                given |= dict(zip(noisy.produces, noisy(**inputs), strict=True))
                yield f"{name}, SNR {snr}", given, np.asarray(scan.truth["chi"])


def error(chi, truth, mask):
    """Compute the NRMSE [%], relative to the mean of the mask."""
    x, t = (v[mask].astype(float) - v[mask].mean(dtype=float) for v in (chi, truth))
    return 100 * np.linalg.norm(x - t) / np.linalg.norm(t)


def main():
    """Measure, choose and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--voxel-size", type=float, default=2.0)
    parser.add_argument("methods", nargs="*", default=METHODS)
    options = parser.parse_args()
    rows = []
    for name, given, truth in datasets(options.voxel_size):
        for method in map(registry.find, options.methods):
            default = method.settings["regularisation"]
            for factor in FACTORS:
                chi = method(*(given[n] for n in method.consumes), regularisation=factor * default)
                value = error(chi, truth, given["mask"])
                rows.append({"method": method.name, "λ": factor * default, "dataset": name, "nrmse": value})
        print(name, flush=True)
    table = pd.DataFrame(rows)
    for name in options.methods:
        part = table[table["method"] == name]
        errors = part.pivot(index="λ", columns="dataset", values="nrmse")
        regret = (errors / errors.min()).max(axis=1)
        print(f"\n{name}: λ = {regret.idxmin():.3g} (largest regret {100 * regret.min() - 100:.1f} %)")
        print(errors.assign(regret=100 * regret - 100).round(1).to_string())


if __name__ == "__main__":
    main()
