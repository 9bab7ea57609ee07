"""A folder of any language as a method: one that keeps the public QSM-CI contract, unmodified.

It is called as `run.sh IN OUT`: IN is a fresh folder with copies of what it consumes and of nothing else.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from qsmbench.child import run_and_tell
from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.data.folders import PARAMS_FILE, Params, read_json, write, write_json, write_params
from qsmbench.data.label_scheme import QSM_CI, schemes_file
from qsmbench.data.read_mask import to_mask
from qsmbench.data.volumes import check_grid, open_grid, open_volume
from qsmbench.errors import QsmbenchError
from qsmbench.external.container import ON_THIS_MACHINE, Call, contained, native
from qsmbench.external.contract import MANIFEST, Manifest, read_manifest
from qsmbench.grid import Grid
from qsmbench.log import first_error
from qsmbench.method import Container, ExternalMethod, note
from qsmbench.sandbox import launch_environment, take_plain

CONFIG_FILE = "config.json"

_SCAN = ("grid", "te", "b0")
"""What every folder is told of the scan, in `params.json`."""

MAX_ECHOES = 64
"""Volumes that a product may hold; assumed, no protocol has as many."""

_OUT_OF_MEMORY = 137
"""Exit code of a container whose process was killed, which its engine does when the memory limit is reached."""


def load(
    folder: Path, container: Container = "none", memory_limit: float | None = None, hidden: Sequence[Path] = ()
) -> ExternalMethod:
    """Load the method in a folder that follows the QSM-CI contract.

    Args:
        folder: with an `algorithm.yml`.
        container: where it runs; see `registry.Container`.
        memory_limit: MiB that its container may take; a process on this machine is watched by `qsmbench.run.step`.
        hidden: folders that a container must not show, wherever they lie.

    Raises:
        QsmbenchError: the folder does not keep the contract, has no image for its container, or its script has
            the line endings of Windows.
    """
    manifest = read_manifest(folder)
    if container not in ON_THIS_MACHINE and manifest.image is None:
        legal = " or ".join(ON_THIS_MACHINE)
        raise QsmbenchError(f"{folder / MANIFEST}: names no image to run in {container}; set container: {legal}")
    _check_script(folder, manifest.run)

    def reconstruct(**values: Any) -> tuple[np.ndarray, ...]:
        return _reconstruct(folder.resolve(), manifest, container, memory_limit, hidden, values)

    return ExternalMethod(
        name=manifest.name,
        function=reconstruct,
        produces=manifest.produces,
        reference=manifest.reference,
        optional=manifest.optional,
        stochastic=manifest.stochastic,
        files=_files(folder, manifest),
        label_scheme=QSM_CI,
        inputs=(*manifest.required, *manifest.optional, *_SCAN),
        defaults=manifest.defaults,
        description=manifest.description,
        texts=manifest.meanings,
        watched=container not in ("docker", "podman"),
    )


def _files(folder: Path, manifest: Manifest) -> tuple[Path, ...]:
    own = sorted(f for f in folder.rglob("*") if f.is_file() and not _is_by_product(f.relative_to(folder)))
    takes_labels = "labels" in (*manifest.required, *manifest.optional)
    return (*own, schemes_file()) if takes_labels else tuple(own)


def _is_by_product(file: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in file.parts)


def _check_script(folder: Path, run: str) -> None:
    scripts = [folder / word for word in run.split() if word.endswith(".sh")]
    for script in scripts:
        if not script.is_file():
            raise QsmbenchError(f"{script}: no such file, but {MANIFEST} says run: {run}")
        if b"\r\n" in script.read_bytes():
            raise QsmbenchError(f"{script}: has the line endings of Windows, which bash cannot read; convert it")


def _reconstruct(
    folder: Path,
    manifest: Manifest,
    container: str,
    memory_limit: float | None,
    hidden: Sequence[Path],
    values: dict[str, Any],
) -> tuple[np.ndarray, ...]:
    """Run the folder on `values`: artifacts, `grid`, `te`, `b0`, and the settings that are not left at their default.

    Raises:
        RuntimeError: it ended with an exit code other than 0.
        MemoryError: its container took more than the limit.
        ValueError: what it wrote is not what its stage produces.
    """
    grid, te, b0 = (values.pop(name) for name in _SCAN)
    volumes = {name: values.pop(name) for name in list(values) if name in ARTIFACTS}
    with tempfile.TemporaryDirectory(prefix="qsmbench-") as work:
        inputs, outputs, scratch = (Path(work) / name for name in ("in", "out", "tmp"))
        outputs.mkdir()
        scratch.mkdir()
        _write_inputs(inputs, volumes, Params(te, b0, grid), values)
        call = Call(folder, manifest.run, inputs, outputs, scratch, _variables(inputs), hidden)
        _run(call, container, manifest.image, memory_limit)
        mask = volumes.get("mask")
        return tuple(_read(outputs, name, grid, mask) for name in manifest.produces)


def _write_inputs(folder: Path, volumes: Mapping[str, np.ndarray], params: Params, settings: Mapping[str, Any]) -> None:
    write(folder, volumes, params.grid)
    write_params(folder, params)
    if settings:
        write_json(folder / CONFIG_FILE, settings)
    for file in folder.iterdir():
        file.chmod(0o444)
    folder.chmod(0o555)


def _variables(inputs: Path) -> dict[str, str]:
    """Return the environment variables of the contract, so that a script need not read JSON."""
    params = read_json(inputs / PARAMS_FILE)
    variables = {
        "QSMCI_B0": str(params["B0"]),
        "QSMCI_TE": " ".join(map(str, params["TE"])),
        "QSMCI_TE0": str(params["TE"][0]),
        "QSMCI_B0_DIR": " ".join(map(str, params["B0_dir"])),
        "QSMCI_VOXEL_SIZE": " ".join(map(str, params["voxel_size"])),
    }
    config = inputs / CONFIG_FILE
    settings = json.loads(config.read_text()) if config.is_file() else {}
    variables |= {f"QSMCI_SET_{name.upper()}": str(value) for name, value in settings.items()}
    threads = os.environ.get("OMP_NUM_THREADS")
    return variables | ({"OMP_NUM_THREADS": threads} if threads else {})


def _run(call: Call, container: str, image: str | None, memory_limit: float | None) -> None:
    command = native(call) if container == "none" else contained(call, container, image or "", memory_limit)
    environment = {"none": _native_environment(call), "bubblewrap": launch_environment()}.get(container, {**os.environ})
    program = next(word for word in command if word != "env" and "=" not in word)
    if shutil.which(program, path=environment.get("PATH")) is None:
        raise QsmbenchError(f"{program}: no such program on this machine, but it is needed to run {call.folder.name}")
    code, said = run_and_tell(command, call.scratch, environment)
    if code == _OUT_OF_MEMORY and container in ("docker", "podman") and memory_limit is not None:
        raise MemoryError(f"took more memory than its limit of {memory_limit:g} MiB")
    if code != 0:
        reason = first_error(said).replace(f"{call.folder}{os.sep}", "")[:200]
        how = f"exit code {code}" if code > 0 else f"killed by signal {-code}"
        raise RuntimeError(f"{call.run}: {how}{f' ({reason})' if reason else ''}")


def _native_environment(call: Call) -> dict[str, str]:
    """Ours, with the contract's variables, a folder for temporary files, and our Python as `python3`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    ours = {"PATH": path, "TMPDIR": str(call.scratch), "PYTHONDONTWRITEBYTECODE": "1"}
    return {**os.environ, **ours, **call.environment}


def _read(folder: Path, name: str, grid: Grid, mask: np.ndarray | None) -> np.ndarray:
    """Read a product: (nx, ny, nz), zero outside `mask`.

    Raises:
        ValueError: it is missing, damaged, not finite in the mask, or on another grid than the scan.
    """
    written = folder / ARTIFACTS[name].file
    if not os.path.lexists(written):
        wrote = ", ".join(sorted(f.name for f in folder.iterdir())) or "nothing"
        raise ValueError(f"wrote no {written.name}; it wrote {wrote}")
    with tempfile.TemporaryDirectory(prefix="qsmbench-") as own:
        file = Path(own, written.name)
        try:
            take_plain(written, file, math.prod(grid.shape) * 8.0 * MAX_ECHOES + 4096)
        except OSError as e:  # a link could lead to what it was not shown
            raise ValueError(f"{file.name}: is not a plain file, or too large") from e
        values = _values(file, grid)
    if name == "mask" and np.isfinite(values).all() and np.any(values):
        voxels, notes = to_mask(values, file.name)
        for text in notes:
            note("mask", text)
        return voxels
    if mask is not None and values.shape == mask.shape:
        values[~mask] = 0  # some write NaN there
    return values


def _values(file: Path, grid: Grid) -> np.ndarray:
    """Return the values of a map on the grid, float32."""
    try:
        shape, affine = open_grid(file)
        if shape[:3] != grid.shape:
            raise ValueError(f"{file.name} has shape {shape[:3]}; the scan has {grid.shape}")
        if np.prod(shape[3:], dtype=float) > MAX_ECHOES:  # before memory is taken for it
            raise ValueError(f"{file.name} has shape {shape}; the scan has {grid.shape}")
        _check_place(file, affine, grid)
        values = open_volume(file, finite=False)[0].astype(np.float32)
    except ValueError as e:
        raise ValueError(str(e).replace(f"{file.parent}{os.sep}", "")) from e
    return values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values


def _check_place(file: Path, affine: np.ndarray, grid: Grid) -> None:
    """Refuse a map that says it lies elsewhere; one that does not say where it lies is taken to be on the grid.

    Writers without a header of the scan at hand put an identity there, or the bare voxel size.
    """
    plain = [np.eye(4), np.diag([*grid.voxel_size, 1.0])]
    if any(np.allclose(affine, p, atol=1e-4) for p in plain):
        return
    header: Any = nib.load(file).header
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        return
    check_grid(file, grid.shape, affine, grid)
