"""A chain of methods run on a scan in this process, and its result."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from qsmbench.api.scan import Scan
from qsmbench.api.values import plain
from qsmbench.data import folders
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import Params
from qsmbench.data.volumes import save_volume
from qsmbench.errors import FailedError, QsmbenchError
from qsmbench.grid import Grid
from qsmbench.method import Container, Method, collected
from qsmbench.ops.arrays.device import split_device
from qsmbench.run import chains, registry
from qsmbench.run.call import Inputs, apply, failure
from qsmbench.run.chains import Step, Use
from qsmbench.run.step import one_line


@dataclass(frozen=True)
class StepResult:
    """The result of one step of a chain.

    Attributes:
        chain: the chain up to this step.
        maps: products by artifact, of the first orientation.
        settings: settings used, including defaults.
        seconds: time of the method over all orientations, s.
        notes: notes of the method, such as the regularisation chosen by `tv+lcurve`.
    """

    chain: str
    maps: dict[str, np.ndarray]
    settings: dict[str, Any]
    seconds: float
    notes: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a chain: the first product of its last step, and all other products.

    `np.asarray(result)` is `result.values`; `result["total_field"]` is an artifact that any step produced.

    Attributes:
        chain: method names joined by dots.
        artifact: name of the map, such as chi.
        scored: products of the last step that can be compared with a truth.
        maps: arrays by artifact, after the last step.
        mask: (nx, ny, nz) bool, reconstructed voxels.
        field: input field of the inversion, (nx, ny, nz) ppm, if any.
        params: echo times, B0 and grid.
        steps: result of each step, by the chain up to it.
        scan: name of the scan.
    """

    chain: str
    artifact: str
    scored: tuple[str, ...]
    maps: dict[str, np.ndarray]
    mask: np.ndarray
    field: np.ndarray | None
    params: Params
    steps: dict[str, StepResult]
    scan: str

    def __getitem__(self, artifact: str) -> np.ndarray:
        if artifact not in self.maps:
            raise KeyError(f"{self.chain} did not produce {artifact!r}; choose from {', '.join(self.maps)}")
        return self.maps[artifact]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.values, dtype, copy=copy)

    def __repr__(self) -> str:
        shape = " × ".join(map(str, self.values.shape))
        return f"<{self.artifact} of {self.chain} on {self.scan}: {shape} {self.unit}, {self.seconds:.2f} s>"

    @property
    def values(self) -> np.ndarray:
        """The map, (nx, ny, nz) or (nx, ny, nz, n_echoes), in `unit`."""
        return self.maps[self.artifact]

    @property
    def unit(self) -> str:
        """Unit of the map."""
        return ARTIFACTS[self.artifact].unit

    @property
    def grid(self) -> Grid:
        """Shape, voxel size, direction of B0 and affine."""
        return self.params.grid

    @property
    def settings(self) -> dict[str, dict[str, Any]]:
        """The settings used by each method, including defaults."""
        return {chain.rpartition(".")[2]: step.settings for chain, step in self.steps.items()}

    @property
    def notes(self) -> dict[str, dict[str, Any]]:
        """The notes of the methods, if any."""
        return {chain.rpartition(".")[2]: step.notes for chain, step in self.steps.items() if step.notes}

    @property
    def seconds(self) -> float:
        """Total time of the methods, s."""
        return sum(step.seconds for step in self.steps.values())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the map as a NIfTI file, or a folder that `qsmbench score` can score.

        Args:
            path: of a file (`….nii.gz`, `….nii`), or of a folder, which receives the products of the last step, the
                mask and the local field.

        Raises:
            QsmbenchError: the folder cannot be written to.
        """
        place = Path(path)
        if place.name.endswith((".nii", ".nii.gz")):
            folders.make_folder(place.parent)
            save_volume(place, self.values, self.grid.affine)
            return
        fed = {} if self.field is None else {"local_field": self.field}
        products = {**self.steps[self.chain].maps, **fed, "mask": self.mask}
        folders.write(place, products, self.grid)


def reconstruct(
    chain: str,
    scan: Scan,
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    methods: Mapping[str, Method | str | os.PathLike[str]] | None = None,
    device: str = "numpy",
    container: Container = "none",
) -> Result:
    """Run a chain of methods on a scan in this process, with the same results as `qsmbench reconstruct`.

    Args:
        chain: method names joined by dots, such as `romeo.fit.vsharp.tv`; `truth.tv` runs TV on the true local field.
        scan: the scan to reconstruct.
        settings: by method, such as `{"tv": {"regularisation": 3e-4}}`.
        methods: definition of names in the chain: a function decorated with `@method`, another method's name, or the
            path of a file or a folder.
        device: where portable methods compute: numpy, cupy, torch, torch:cuda ….
        container: where third-party code runs: none, bubblewrap, docker, podman or apptainer.

    Returns:
        the map, with the products of all steps.

    Raises:
        QsmbenchError: the steps of the chain are incompatible, or a method or setting is unknown.
        FailedError: a step failed; its cause is the exception raised by the method.

    Example:
        chi = qb.reconstruct("romeo.fit.vsharp.tv", scan, settings={"tv": {"regularisation": 3e-4}})
    """
    if not isinstance(chain, str):
        raise QsmbenchError(f"chain is {chain!r}; it must be method names joined by dots, such as romeo.fit.vsharp.tv")
    if not isinstance(scan, Scan):
        raise QsmbenchError(f"scan is {type(scan).__name__}; it must be a Scan, as simulate and load_scan return it")
    split_device(device)
    own = _named(chain, methods or {})
    given = _settings(chain, settings or {})

    def describe(name: str) -> Method:
        found = own.get(name, name)
        return (
            found if isinstance(found, Method) else registry.find(found, container=container, settings=given.get(name))
        )

    steps = chains.steps(chain, lambda name: Use(name, given.get(name, {})), describe=describe)
    if scan.truth is None and any(s.use.method in (chains.TRUTH, *chains.FED) for s in steps):
        raise QsmbenchError(f"chain {chain!r} uses the truth; {scan.name} has none")
    run = _Run(scan, chains.over_orientations(steps), device)
    results = {s.chain: run.step(s) for s in steps}
    return run.result(steps[-1], results)


def _named(chain: str, methods: Mapping[str, Any]) -> dict[str, Method | str]:
    """Return the definitions of names in the chain."""
    chains.check_named(chain, methods, "methods[{!r}]")
    found: dict[str, Method | str] = {}
    for name, value in methods.items():
        if not isinstance(value, Method | str | os.PathLike):
            raise QsmbenchError(
                f"methods[{name!r}] is {value!r}; it must be a function decorated with @method, a name or a path"
            )
        found[name] = value if isinstance(value, Method) else os.fspath(value)
    return found


def _settings(chain: str, settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    chains.check_named(chain, settings, "settings[{!r}]")
    for name, values in settings.items():
        if not isinstance(values, Mapping):
            raise QsmbenchError(f"settings[{name!r}] is {values!r}; it must be a dict of settings by name")
    return {name: plain(values) for name, values in settings.items()}


class _Run:
    """A running chain: the volumes of each orientation, by provider."""

    def __init__(self, scan: Scan, turned: set[str], device: str) -> None:
        self.scan, self.turned, self.device = scan, turned, device
        self.volumes: list[dict[str, Mapping[str, np.ndarray]]] = [
            {chains.SCAN: s.volumes, chains.TRUTH_FOLDER: s.truth or {}} for s in (scan, *scan.orientations)
        ]
        self.params = [s.params for s in (scan, *scan.orientations)]

    def step(self, step: Step) -> StepResult:
        """Run a step, on every orientation if a later one takes them all."""
        places = range(len(self.volumes)) if step.chain in self.turned else range(1)
        used = {**step.method.settings, **step.use.settings}
        seconds = 0.0
        try:
            with collected() as notes:
                for i in places:
                    further = [self._inputs(step, j) for j in range(1, len(self.volumes))] if i == 0 else []
                    own = self._inputs(step, i)
                    products, took = apply(step.method, step.use.settings, own, further, self.device)
                    self.volumes[i][step.chain] = {n: folders.as_read(n, v) for n, v in products.items()}
                    seconds += took
        except Exception as error:  # a method may raise anything
            status, reason = failure(error)
            raise FailedError(f"{step.chain}: {status}: {one_line(reason)}") from error
        return StepResult(step.chain, dict(self.volumes[0][step.chain]), used, seconds, notes)

    def _inputs(self, step: Step, i: int) -> Inputs:
        there = self.volumes[i]
        found = {name: there[p][name] for name, p in step.inputs.items() if name in there.get(p, {})}
        # copies, in the same order in memory: a method may write to its inputs
        volumes = {name: partial(np.copy, values) for name, values in found.items()}
        truth = (self.scan, *self.scan.orientations)[i].truth
        return Inputs(self.params[i], volumes, (lambda: truth.regions) if truth and truth.regions else None)

    def result(self, last: Step, steps: dict[str, StepResult]) -> Result:
        """Return the result of the chain."""
        there, provided = self.volumes[0], last.provided
        maps = {name: steps[p].maps[name] for name, p in provided.items() if p in steps}
        artifacts = last.artifacts
        return Result(
            chain=last.chain,
            artifact=artifacts[0],
            scored=tuple(artifacts),
            maps=maps,
            mask=self.scan.mask & there[provided["mask"]]["mask"],
            field=there[provided["local_field"]].get("local_field") if "local_field" in provided else None,
            params=self.scan.params,
            steps=steps,
            scan=self.scan.name,
        )
