"""How sharp the regression gate is: `python benchmarks/gate.py RESULTS [--nulls 300]`.

RESULTS is the folder of `configs/regression.yaml` after `qsmbench run`.

1. Nulls: unchanged code on new scans in two environments (`gate_nulls.py`).
2. Faults: each of a list is planted into one method, which runs again on the scans and on its inputs of the study; the
   scores are compared with the study's as by `qsmbench check`. *worse* fails the gate; *better* and *changed* are
   shown, and fail it with `--fail-on change`.
3. The smallest change that each metric notices: a map that is scaled, shifted, blurred or noisier by growing amounts.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gate_nulls import CHAINS, nulls
from scipy import ndimage

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import present, read_of, read_params
from qsmbench.data.score_table import COLUMNS, COSTS
from qsmbench.gate.baseline import Baseline, of_results, offset_row
from qsmbench.gate.compare import BETTER, WORSE, Row, compare
from qsmbench.gate.margins import read_margins
from qsmbench.metrics import Reference
from qsmbench.ops.kernels.dipole import dipole_kernel
from qsmbench.run import chains, registry
from qsmbench.run.chains import Places
from qsmbench.study.scoring import Scan, named

tkd_module = sys.modules[registry.find("tkd").function.__module__]

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


def times(chain: str, **factors: float) -> Callable[[Values], Values]:
    """Settings of the last method of a chain, in multiples of their defaults."""
    defaults = registry.find(chain.rpartition(".")[2]).settings
    return setting(**{name: factor * defaults[name] for name, factor in factors.items()})


def one_iteration_too_few(chain: str) -> Callable[[Values], Values]:
    """A limit of iterations that is one below the number at which the method stops."""
    method = registry.find(chain.rpartition(".")[2])

    def limited(given: Values) -> Values:
        whole = method(**given)
        low, high = 1, method.settings["max_iterations"]
        while low < high:
            middle = (low + high) // 2
            same = np.array_equal(method(**given, max_iterations=middle), whole)
            low, high = (low, middle) if same else (middle + 1, high)
        return {**given, "max_iterations": high - 1}

    return limited


def patched(**functions: Callable) -> Callable[[Values], Values]:
    """Functions that the module of TKD calls, until the next call: put in place of its own by `scores_with`."""
    return lambda given: {**given, "patch": functions}


def unsigned(grid: Any, shape: Any, threshold: float) -> np.ndarray:
    """The truncated inverse of the kernel, positive where the kernel is small."""
    kernel = dipole_kernel(grid, shape)
    inverse = 1 / np.where(np.abs(kernel) < threshold, np.float32(threshold), kernel)
    inverse[0, 0, 0] = 0
    return inverse


def truncated_to_zero(grid: Any, shape: Any, threshold: float) -> np.ndarray:
    """The inverse of the kernel, 0 where the kernel is small."""
    kernel = dipole_kernel(grid, shape)
    return np.where(np.abs(kernel) < threshold, 0, 1 / np.where(kernel == 0, 1, kernel)).astype(np.float32)


def rim_lost(given: Values) -> Values:
    """The field without the outermost voxels of the mask."""
    return {**given, "local_field": given["local_field"] * ndimage.binary_erosion(given["mask"])}


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Values], Values]:
    """An input, changed."""
    return lambda given: {**given, name: change(given[name])}


def first_echo_twice(phase: np.ndarray) -> np.ndarray:
    """The phase with the first echo in place of the second."""
    return np.concatenate([phase[..., :1], phase[..., :1], phase[..., 2:]], axis=3)


def some_wraps(phase: np.ndarray) -> np.ndarray:
    """A turn too much in one voxel of a hundred, in the last echo."""
    found = phase.copy()
    found[..., -1] += 2 * np.pi * (np.random.default_rng(0).random(phase.shape[:3]) < 0.01)
    return found


def some_lost(volume: np.ndarray, given: Values) -> np.ndarray:
    """One voxel of a hundred set to 0."""
    return volume * (np.random.default_rng(0).random(volume.shape) > 0.01)


def of_map(change: Callable[[np.ndarray], np.ndarray]) -> Callable:
    """The first product changed, and masked."""
    return product(lambda v, given: (change(v) * given["mask"]).astype(np.float32))


def unit_voxels(grid: Any) -> tuple[float, float, float]:
    """Voxels of 1 mm, whatever they are."""
    return (1.0, 1.0, 1.0)


FAULTS = [
    Fault("threshold doubled", TKD, times(TKD, threshold=2)),
    Fault("threshold 5 % larger", TKD, times(TKD, threshold=1.05)),
    Fault("result half a voxel off", TKD, after=product(shifted)),
    Fault("result a slice off", TKD, after=of_map(lambda v: np.roll(v, 1, axis=2))),
    Fault("left and right exchanged", TKD, after=of_map(lambda v: v[::-1])),
    Fault("2 % too large", TKD, after=product(lambda v, _: v * np.float32(1.02))),
    Fault("opposite sign", TKD, after=product(lambda v, _: -v)),
    Fault("mean of χ not removed", TKD, after=of_map(lambda v: v + np.float32(0.005))),
    Fault("voxel axes swapped", TKD, on_grid(voxel_size=swapped_axes)),
    Fault("voxels taken for cubes", TKD, on_grid(voxel_size=unit_voxels)),
    Fault("direction of B0 ignored", TKD, on_grid(b0_dir=along_z)),
    Fault("components of B0 swapped", TKD, on_grid(b0_dir=rolled_b0)),
    Fault("no padding", TKD, setting(pad=0.0)),
    Fault("sign lost below the threshold", TKD, patched(truncated_inverse=unsigned)),
    Fault("zero below the threshold", TKD, patched(truncated_inverse=truncated_to_zero)),
    Fault("field in float16, in T", TKD, in_half_precision),
    Fault("field lost at the rim", TKD, rim_lost),
    Fault("mean of the field not removed", TKD, changed("local_field", lambda v: v + np.float32(0.02))),
    Fault("mask eroded once", TKD, after=eroded),
    Fault("smoothed by half a voxel", TKD, after=of_map(lambda v: ndimage.gaussian_filter(v, 0.5))),
    Fault("stored in steps of 0.01 ppm", TKD, after=of_map(lambda v: np.round(v, 2))),
    Fault("clipped at 0.1 ppm", TKD, after=of_map(lambda v: np.clip(v, -0.1, 0.1))),
    Fault("one voxel of a hundred lost", TKD, after=product(some_lost)),
    Fault("λ doubled", TV, times(TV, regularisation=2)),
    Fault("λ halved", TV, times(TV, regularisation=0.5)),
    Fault("λ 10 % larger", TV, times(TV, regularisation=1.1)),
    Fault("tolerance three times as large", TV, times(TV, tolerance=3)),
    Fault("one iteration too few", TV, one_iteration_too_few(TV)),
    Fault("stops after five iterations", TV, setting(max_iterations=5)),
    Fault("no over-relaxation", TV, setting(relaxation=1.0)),
    Fault("weight of the splitting doubled", TV, times(TV, data_penalty=2)),
    Fault("voxel axes swapped", TV, on_grid(voxel_size=swapped_axes)),
    Fault("direction of B0 ignored", TV, on_grid(b0_dir=along_z)),
    Fault("no padding", TV, setting(pad=0.0)),
    Fault("2 % too large", TV, after=product(lambda v, _: v * np.float32(1.02))),
    Fault("mean of χ not removed", TV, after=of_map(lambda v: v - np.float32(0.002))),
    Fault("mask eroded once more", VSHARP, after=eroded),
    Fault("largest ball half as large", VSHARP, times(VSHARP, radius_max=0.5)),
    Fault("smallest balls left out", VSHARP, setting(radius_min=8.0)),
    Fault("every other ball left out", VSHARP, times(VSHARP, radius_step=2)),
    Fault("threshold doubled", VSHARP, times(VSHARP, threshold=2)),
    Fault("voxel axes swapped", VSHARP, on_grid(voxel_size=swapped_axes)),
    Fault("result half a voxel off", VSHARP, after=product(shifted)),
    Fault("field of 1.5 T in ppm of 3 T", VSHARP, scaled("total_field", 0.5)),
    Fault("half of the iterations", PDF, setting(n_iterations=registry.find("pdf").settings["n_iterations"] // 2)),
    Fault("one iteration too few", PDF, setting(n_iterations=registry.find("pdf").settings["n_iterations"] - 1)),
    Fault("result half a voxel off", PDF, after=product(shifted)),
    Fault("direction of B0 ignored", PDF, on_grid(b0_dir=along_z)),
    Fault("no padding", PDF, setting(pad=0.0)),
    Fault("an echo left out", FIT, without_last_echo),
    Fault("first echo in place of the second", FIT, changed("unwrapped", first_echo_twice)),
    Fault("echoes in reverse order", FIT, changed("unwrapped", lambda v: v[..., ::-1])),
    Fault("weights dropped", FIT, setting(weighting="none")),
    Fault("magnitude squared twice", FIT, changed("magnitude", lambda v: v * v)),
    Fault("outliers not left out", FIT, setting(robust=False)),
    Fault("γ of 42 MHz/T", FIT, after=product(lambda v, _: v * np.float32(42.577478 / 42))),
    Fault("echo times 2 % late", FIT, lambda g: {**g, "te": g["te"] * 1.02}),
    Fault("a turn too much in half of the head", FIT, changed("unwrapped", lambda v: half_turned(v))),
    Fault("a turn too much in one voxel of a hundred", FIT, changed("unwrapped", some_wraps)),
    Fault("phase in float16", FIT, changed("unwrapped", lambda v: v.astype(np.float16).astype(np.float32))),
    Fault("phase conjugated", FIT, changed("unwrapped", lambda v: -v)),
    Fault("offset not smoothed", FIT, setting(offset_smoothing=0.0)),
    Fault("field of 1.5 T", FIT, setting(b0=1.5)),
]
"""Faults; each touches one method of the suite."""


NEIGHBOURS = ndimage.generate_binary_structure(3, 1) * np.float32(1 / 6)
NEIGHBOURS[1, 1, 1] = 0

GROWING = {
    "scaled by 1 +": lambda v, mask, a: v * np.float32(1 + a),
    "shifted by [voxels]": lambda v, mask, a: ndimage.shift(v, (a, 0, 0), order=1) * mask,
    "share of six neighbours": lambda v, mask, a: (v + a * (ndimage.convolve(v, NEIGHBOURS) - v)) * mask,
    "noise, of its own spread": lambda v, mask, a: (
        v + np.float32(a) * np.float32(v[mask].std() * np.random.default_rng(0).standard_normal(v.shape)) * mask
    ),
}
"""Changes of a map by a growing amount."""

AMOUNTS = tuple(0.001 * 2**i for i in range(10))


def half_turned(unwrapped: np.ndarray) -> np.ndarray:
    """One turn more in half of the volume, in the last echo."""
    found = unwrapped.copy()
    found[: found.shape[0] // 2, ..., -1] += 2 * np.pi
    return found


@contextmanager
def in_tkd(functions: dict[str, Callable]) -> Iterator[None]:
    """Put functions in place of those that the module of TKD uses."""
    own = {name: getattr(tkd_module, name) for name in functions}
    vars(tkd_module).update(functions)
    yield
    vars(tkd_module).update(own)


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
        called = fault.before(given) if fault else given
        with in_tkd(called.pop("patch", {}) if fault else {}):
            made = registry.find(step.name)(**called)
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
            if artifact == "chi":
                rows.append(dict(zip(COLUMNS, offset_row(dataset, chain, values["estimate"]), strict=True)))
    return pd.DataFrame(rows)[list(COLUMNS)]


def judged(old: Baseline, scores: pd.DataFrame, chain: str) -> list[Row]:
    """The verdicts on the scores of a chain, but for costs."""
    mine = replace(old, scores=old.scores[old.scores["chain"] == chain])
    scores = scores[(scores["region"] == "") & (scores["support"] != "common")]
    rows = compare(replace(old, scores=scores), mine, read_margins())
    return [r for r in rows if r.metric not in COSTS]


def verdict_of(old: Baseline, scores: pd.DataFrame, chain: str) -> tuple[str, str]:
    """The most severe verdict on a chain, and the metric with the largest loss."""
    rows = judged(old, scores, chain)
    first = rows[0]
    largest = max((r for r in rows if r.verdict == first.verdict), key=lambda r: abs(r.loss))
    return first.verdict, f"{largest.metric} {100 * largest.loss:+.2g} %"


def at(change: Callable, amount: float, volume: np.ndarray, given: Values) -> np.ndarray:
    """A product, changed by an amount within the mask."""
    return change(volume, given["mask"], amount)


def smallest(results: Path, old: Baseline, chain: str) -> None:
    """Print the smallest amount of each growing change that each metric of a chain calls worse or better."""
    found: dict[str, dict[str, float]] = {}
    for name, change in GROWING.items():
        for amount in AMOUNTS:
            fault = Fault(name, chain, after=product(partial(at, change, amount)))
            for r in judged(old, scores_with(results, chain, fault), chain):
                if r.verdict in (WORSE, BETTER):
                    found.setdefault(r.metric, {}).setdefault(name, amount)
    print(f"\nsmallest change of {chain} that a metric notices" + "".join(f"{n:>26s}" for n in GROWING))
    margins = read_margins()
    for metric in sorted(found):
        amounts = "".join(f"{found[metric].get(n, np.inf):26.3g}" for n in GROWING)
        print(f"{metric:24s} margin {100 * margins.of(metric).margin:4g} %{amounts}", flush=True)


def main() -> int:
    """Compare, plant, print; the exit code is 1 if a fault is missed or unchanged code is not equal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--nulls", type=int, default=300, help="null comparisons; 0: none")
    given = parser.parse_args()
    alarms = nulls(given.nulls, CHAINS, 2, 5.0) if given.nulls else 0
    old = of_results(given.results)
    for chain in (TKD, TV, VSHARP, PDF, FIT):
        verdict, _ = verdict_of(old, scores_with(given.results, chain, None), chain)
        alarms += verdict not in ("identical", "equal")
        print(f"{verdict:12} {chain:18} unchanged", flush=True)
    counts: Counter[str] = Counter()
    for fault in FAULTS:
        verdict, shown = verdict_of(old, scores_with(given.results, fault.chain, fault), fault.chain)
        counts[verdict] += 1
        print(f"{verdict:12} {fault.chain:18} {fault.name:42} {shown}", flush=True)
    print(f"{len(FAULTS)} faults: {dict(counts)}")
    for chain in (TV, VSHARP):
        smallest(given.results, old, chain)
    return int(alarms + counts["identical"] + counts["equal"] > 0)


if __name__ == "__main__":
    sys.exit(main())
