"""How sharp the regression gate is: `python benchmarks/gate.py RESULTS`, some 2 minutes on 2 cores.

RESULTS is the folder of `configs/regression.yaml` after `qsmbench run`. Each fault of a list is planted into one
method, which runs again on the scans and on its inputs of the study; the scores are compared with the study's as by
`qsmbench check`. As a null, every method runs again unchanged on one thread and on three. Prints a table.
"""

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import present, read_of, read_params
from qsmbench.data.score_table import COLUMNS
from qsmbench.gate.baseline import Baseline, of_results
from qsmbench.gate.compare import BETTER, CHANGED, WORSE, compare
from qsmbench.gate.margins import read_margins
from qsmbench.metrics import Reference
from qsmbench.run import chains, registry
from qsmbench.run.chains import Places
from qsmbench.study.scoring import Scan, named

Values = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """A fault in the last method of a chain.

    Attributes:
        name: what is wrong.
        chain: of the suite.
        before: changes the method's arguments.
        after: changes its products.
    """

    name: str
    chain: str
    before: Callable[[Values], Values] = dict
    after: Callable[[tuple[np.ndarray, ...], Values], tuple[np.ndarray, ...]] = lambda products, _: products


def setting(**values: Any) -> Callable[[Values], Values]:
    """A setting with another value."""
    return lambda given: {**given, **values}


def scaled(name: str, factor: float) -> Callable[[Values], Values]:
    """An input times a factor."""
    return lambda given: {**given, name: given[name] * np.float32(factor)}


def product(change: Callable[[np.ndarray, Values], np.ndarray]) -> Callable:
    """The first product changed, the others as they are."""
    return lambda products, given: (change(products[0], given), *products[1:])


def on_grid(**values: Any) -> Callable[[Values], Values]:
    """A grid with other values."""
    return lambda given: {**given, "grid": replace(given["grid"], **{k: v(given["grid"]) for k, v in values.items()})}


def shifted(volume: np.ndarray, given: Values) -> np.ndarray:
    """Half a voxel along the first axis."""
    return ndimage.shift(volume, (0.5, 0, 0), order=1).astype(np.float32) * given["mask"]


def in_half_precision(given: Values) -> Values:
    """The local field in T at 3 T, stored in half precision."""
    return {**given, "local_field": np.float32(np.float16(given["local_field"] * 3e-6)) / np.float32(3e-6)}


def without_last_echo(given: Values) -> Values:
    """All volumes with echoes, and the echo times, without the last."""
    return {n: v[..., :-1] if getattr(v, "ndim", 0) == 4 or n == "te" else v for n, v in given.items()}


def swapped_axes(grid: Any) -> tuple[float, float, float]:
    """The voxel size in the wrong order."""
    return (grid.voxel_size[2], grid.voxel_size[1], grid.voxel_size[0])


def along_z(grid: Any) -> tuple[float, float, float]:
    """B0 along z, wherever it points."""
    return (0.0, 0.0, 1.0)


def rolled_b0(grid: Any) -> tuple[float, float, float]:
    """The components of B0 in the wrong order."""
    return (grid.b0_dir[1], grid.b0_dir[2], grid.b0_dir[0])


def eroded(products: tuple[np.ndarray, ...], given: Values) -> tuple[np.ndarray, ...]:
    """Products in a mask that is a voxel smaller."""
    mask = next((p for p in products if p.dtype == bool), given["mask"])
    smaller = ndimage.binary_erosion(mask)
    return tuple(smaller if p.dtype == bool else p * smaller for p in products)


TKD, TV, VSHARP, PDF, FIT = "truth.noisy.tkd", "truth.noisy.tv", "truth.vsharp", "truth.pdf", "romeo.fit"

FAULTS = [
    Fault("threshold doubled", TKD, setting(threshold=0.4)),
    Fault("threshold 5 % larger", TKD, setting(threshold=0.21)),
    Fault("result half a voxel off", TKD, after=product(shifted)),
    Fault("2 % too large", TKD, after=product(lambda v, _: v * np.float32(1.02))),
    Fault("opposite sign", TKD, after=product(lambda v, _: -v)),
    Fault("voxel axes swapped", TKD, on_grid(voxel_size=swapped_axes)),
    Fault("direction of B0 ignored", TKD, on_grid(b0_dir=along_z)),
    Fault("components of B0 swapped", TKD, on_grid(b0_dir=rolled_b0)),
    Fault("no padding", TKD, setting(pad=0.0)),
    Fault("field in float16, in T", TKD, in_half_precision),
    Fault("mask eroded once", TKD, after=eroded),
    Fault("smoothed by half a voxel", TKD, after=product(lambda v, g: ndimage.gaussian_filter(v, 0.5) * g["mask"])),
    Fault("λ doubled", TV, setting(regularisation=0.0003)),
    Fault("λ halved", TV, setting(regularisation=0.000075)),
    Fault("λ 10 % larger", TV, setting(regularisation=0.000165)),
    Fault("tolerance three times as large", TV, setting(tolerance=0.045)),
    Fault("stops after five iterations", TV, setting(max_iterations=5)),
    Fault("voxel axes swapped", TV, on_grid(voxel_size=swapped_axes)),
    Fault("direction of B0 ignored", TV, on_grid(b0_dir=along_z)),
    Fault("2 % too large", TV, after=product(lambda v, _: v * np.float32(1.02))),
    Fault("mask eroded once more", VSHARP, after=eroded),
    Fault("largest ball half as large", VSHARP, setting(radius_max=6.0)),
    Fault("threshold doubled", VSHARP, setting(threshold=0.1)),
    Fault("voxel axes swapped", VSHARP, on_grid(voxel_size=swapped_axes)),
    Fault("one ball too few", VSHARP, setting(radius_min=4.0)),
    Fault("half of the iterations", PDF, setting(max_iterations=25)),
    Fault("one iteration too few", PDF, setting(max_iterations=49)),
    Fault("direction of B0 ignored", PDF, on_grid(b0_dir=along_z)),
    Fault("an echo left out", FIT, without_last_echo),
    Fault("weights dropped", FIT, setting(weighting="none")),
    Fault("γ of 42 MHz/T", FIT, after=product(lambda v, _: v * np.float32(42.577478 / 42))),
    Fault("echo times 0.2 ms late", FIT, lambda g: {**g, "te": g["te"] * 1.02}),
    Fault("a turn too much in half of the head", FIT, lambda g: {**g, "unwrapped": half_turned(g["unwrapped"])}),
    Fault("offset not smoothed", FIT, setting(offset_smoothing=0.0)),
    Fault("field of 1.5 T", FIT, setting(b0=1.5)),
]
"""Faults; each touches one method of the suite."""


def half_turned(unwrapped: np.ndarray) -> np.ndarray:
    """One turn more in half of the volume, in the last echo."""
    found = unwrapped.copy()
    found[: found.shape[0] // 2, ..., -1] += 2 * np.pi
    return found


def scores_with(results: Path, chain: str, fault: Fault | None) -> pd.DataFrame:
    """The scores of a chain on all scans, its last method called again, with a fault or as it is."""
    rows = []
    for run in sorted(results.glob(f"*/chains/{chain}/run.json")):
        dataset = run.parents[2].name
        group = dataset.rpartition("_seed-")[0]
        places = Places(run.parents[1], run.parents[2] / "scan", results / group / "truth")
        step = chains.steps(chain)[-1]
        params = read_params(places.scan)
        given: Values = {"grid": params.grid, "te": params.te.copy(), "b0": params.b0}
        for name, provider in step.inputs.items():
            if name in ARTIFACTS and name in present(places.of(provider)):
                given[name] = read_of(places.of(provider), name, params)
        given = {n: given[n] for n in step.method.consumes if n in given}
        changed = fault.before(given) if fault else given
        made = registry.find(step.name)(**changed)
        products = made if isinstance(made, tuple) else (made,)
        products = fault.after(products, given) if fault else products
        spec = chains.score_spec(step, places, dataset)
        scan = Scan(spec)
        by_name = dict(zip(step.method.produces, products, strict=True))
        for artifact in spec.artifacts:
            known = scan.reconstruction(spec, artifact)
            support = by_name["mask"] & scan.study_mask if "mask" in by_name else known["support"]
            if fault and fault.after is eroded and "mask" not in by_name:
                support = known["support"] & (by_name[artifact] != 0)
            reference = Reference(**scan.reference(artifact))
            values = {**known, "estimate": np.float32(by_name[artifact]), "support": support}
            rows += named(spec, artifact, reference.rows(**values, supports=("study",)))
    return pd.DataFrame(rows)[list(COLUMNS)]


def verdict_of(old: Baseline, scores: pd.DataFrame, chain: str) -> tuple[str, str]:
    """The most severe verdict on a chain, and the metric with the largest loss."""
    mine = replace(old, scores=old.scores[old.scores["chain"] == chain])
    scores = scores[(scores["region"] == "") & (scores["support"] != "common")]
    rows = [
        r for r in compare(replace(old, scores=scores), mine, read_margins()) if r.metric not in ("time", "peak_memory")
    ]
    first = rows[0]
    largest = max((r for r in rows if r.verdict == first.verdict), key=lambda r: abs(r.loss))
    return first.verdict, f"{largest.metric} {100 * largest.loss:+.2g} %"


def main() -> int:
    """Plant, compare, print; the exit code is 1 if a fault is missed or an unchanged method is not."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    given = parser.parse_args()
    old = of_results(given.results)
    wrong = 0
    for threads in ("1", "3"):
        os.environ["QSMBENCH_THREADS"] = threads
        for chain in (TKD, TV, VSHARP, PDF, FIT):
            verdict, _ = verdict_of(old, scores_with(given.results, chain, None), chain)
            wrong += verdict not in ("identical", "equal")
            print(f"{verdict:12} {chain:18} unchanged, {threads} threads", flush=True)
    del os.environ["QSMBENCH_THREADS"]
    counts = dict.fromkeys((WORSE, BETTER, CHANGED), 0)
    for fault in FAULTS:
        verdict, shown = verdict_of(old, scores_with(given.results, fault.chain, fault), fault.chain)
        counts[verdict] = counts.get(verdict, 0) + 1
        wrong += verdict in ("identical", "equal")
        print(f"{verdict:12} {fault.chain:18} {fault.name:40} {shown}", flush=True)
    print(f"{len(FAULTS)} faults: {counts}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
