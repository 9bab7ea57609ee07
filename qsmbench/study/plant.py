"""Sources planted into a scan that exists: `qsmbench plant`, and `plant:` of a measured dataset."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from qsmbench.data import folders
from qsmbench.data.folders import REGIONS_FILE, Params
from qsmbench.data.volumes import save_volume
from qsmbench.errors import QsmbenchError
from qsmbench.ops.phase.noise import noise_from_magnitude, noise_from_residuals
from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.scan.plant import plant
from qsmbench.study.jobs.simulate import Basis, write_basis
from qsmbench.typed_yaml import parse_yaml

REGION = "mask"
"""Region of the words of the phantoms: the mask of the scan."""

HOST = "plant.yaml"
"""Name of the description of the tissue that sources are planted in."""

EXAMPLE = "{source: iron, chi: 1, at: [10, -20, 5], radii: 3}"
"""A source as text."""


def read_sources(texts: Sequence[str]) -> list[dict[str, Any]]:
    """Read sources that are given as YAML, one a text.

    Raises:
        QsmbenchError: a text is not a mapping.
    """
    found = []
    for text in texts:
        try:
            content = parse_yaml(text)
        except ValueError as e:
            raise QsmbenchError(f"--source {text[:100]!r}: is not YAML that can be used ({e})") from e
        if not isinstance(content, dict):
            raise QsmbenchError(f"--source {text[:100]!r}: must be a mapping, such as {EXAMPLE}")
        found.append(content)
    return found


def plant_into(
    scan: Path,
    out: Path,
    truth: Path,
    sources: Sequence[dict[str, Any]],
    *,
    tissue: str = "white_matter",
    supersampling: int = 3,
    tr: float | None = None,
    flip_angle: float | None = None,
    seed: int = 0,
) -> list[str]:
    """Plant sources into the scan in a folder of artifacts.

    Args:
        scan: folder of the scan.
        out: folder of the scan with the sources.
        truth: folder of what the sources change.
        sources: in the words of the phantoms, placed in mm of the scan's affine, or in the region `mask`.
        tissue: that the sources are planted in, of `phantoms/tissues.csv`: what a source replaces or scales.
        supersampling, tr, flip_angle, seed: see `scan.plant.plant`.

    Returns:
        notes: what was assumed.

    Raises:
        QsmbenchError: a source or a volume is invalid.
    """
    if not sources:
        raise QsmbenchError(f"plant: there is no source; give one, such as {EXAMPLE}")
    params = folders.read_params(scan)
    phase, magnitude, mask = (folders.read(scan, name, params.grid) for name in ("phase", "magnitude", "mask"))
    signal = (magnitude * np.exp(1j * phase)).astype(np.complex64)
    sigma = noise_of(magnitude, mask, params.te)
    with tempfile.TemporaryDirectory() as folder:
        try:
            loaded, bare = (host(Path(folder), mask, params, tissue, its) for its in (sources, ()))
            planted = plant(
                signal,
                mask,
                params,
                loaded,
                bare,
                supersampling=supersampling,
                tr=tr,
                flip_angle=flip_angle,
                sigma=sigma,
                seed=seed,
            )
            basis = Basis(planted.regions, loaded.provenance(params.b0), {})
        except QsmbenchError as e:
            raise QsmbenchError(f"plant: {str(e).replace(f'{Path(folder) / HOST}: ', '')}") from e
    folders.write(out, {"phase": np.angle(planted.signal), "magnitude": np.abs(planted.signal)}, params.grid)
    folders.write(out, {"mask": mask}, params.grid)
    folders.write_params(out, params)
    folders.write(truth, {**planted.truth, "mask": mask}, params.grid)
    folders.write_params(truth, params)
    write_basis(truth, basis)
    notes = [f"planted in {tissue}; noise of {sigma:.3g} a.u. is kept where signal is lost"]
    if tr is None or flip_angle is None:
        notes.append("TR or flip angle is not stated: T1 does not change the signal")
    return notes


def noise_of(magnitude: np.ndarray, mask: np.ndarray, te: np.ndarray) -> float:
    """Estimate the standard deviation of the noise in real and imaginary part, a.u.

    From the residuals of lines through the logarithms of three echoes or more, else from the first magnitude.

    Args:
        magnitude: (nx, ny, nz, n_echoes) a.u.
        mask: (nx, ny, nz) bool.
        te: (n_echoes,) s.
    """
    if te.size < 3:
        return noise_from_magnitude(magnitude[..., 0], mask)
    values = magnitude[mask].astype(np.float32)
    logarithm = np.log(values, where=values > 0, out=np.zeros_like(values))
    return noise_from_residuals(logarithm, values, te.astype(np.float32))


def host(folder: Path, mask: np.ndarray, params: Params, tissue: str, sources: Sequence[dict[str, Any]]) -> Phantom:
    """Return a phantom of one tissue that fills a scan, with sources.

    Args:
        folder: to write its description in.
        mask: (nx, ny, nz) bool, its only region, called `mask`.
        params: of the scan.
        tissue: of `phantoms/tissues.csv`.
        sources: in the words of the phantoms; may be empty.

    Raises:
        QsmbenchError: a source or the tissue is invalid.
    """
    save_volume(folder / "mask.nii.gz", mask.astype(np.uint8), params.grid.affine)
    (folder / REGIONS_FILE).write_text(f"index\tname\ttissue\n0\toutside\t{tissue}\n1\t{REGION}\t{tissue}\n")
    content = {
        "kind": "labelmap",
        "image": "mask.nii.gz",
        "table": REGIONS_FILE,
        "b0_dir": list(params.grid.b0_dir),
        "sources": list(sources),
    }
    (folder / HOST).write_text(yaml.safe_dump(content))
    return load(str(folder / HOST))
