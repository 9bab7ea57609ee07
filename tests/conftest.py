"""Threads of the tests, and a small scan that they write and read."""

import os
import subprocess
import sys
from types import SimpleNamespace

for _variable in ("QSMBENCH_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")  # pytest -n runs a test on each processor; more threads only wait for others

# the tests start hundreds of processes, each of which would compile the package's source again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# ruff: noqa: E402  (numpy reads the environment when it is imported)
import numpy as np
import pytest
from analytic import oblique, sphere_fraction
from forked import Forks

from qsmbench import cli, supervise
from qsmbench.data import folders
from qsmbench.data.folders import Params
from qsmbench.grid import Grid
from qsmbench.scan.field import field_of
from qsmbench.units import rad_per_ppm

pytest_plugins = ["browser"]

TE = np.array([0.004, 0.009, 0.014])


def make_small():
    """A 0.3 ppm sphere of 5 mm in a 9 mm ball of tissue, 3 T, oblique B0, odd and anisotropic grid.

    Returns a dict of artifacts (phase, magnitude, mask), the truth (chi, total_field, local_field, labels) and params.
    """
    grid = Grid((24, 21, 19), (1.0, 1.1, 1.25), oblique(0.2, -0.1, 1))
    mask = sphere_fraction(grid, 9.0, n=4) > 0.5
    chi = 0.3 * sphere_fraction(grid, 5.0, n=6)
    total = field_of(chi, grid)
    local = field_of(np.where(mask, chi - chi[mask].mean(), 0), grid) * mask
    phase = np.stack([np.angle(np.exp(1j * total * rad_per_ppm(3.0, te))) for te in TE], -1).astype(np.float32)
    magnitude = np.exp(-20 * TE).astype(np.float32) * (0.05 + mask[..., None]).astype(np.float32)
    labels = (sphere_fraction(grid, 5.0, n=4) > 0.5).astype(np.uint8) + mask
    return {
        "scan": {"phase": phase, "magnitude": magnitude, "mask": mask},
        "truth": {
            "chi": chi,
            "total_field": total,
            "local_field": local,
            "chi_para": chi,
            "chi_dia": np.zeros_like(chi),
            "r2star": np.full(grid.shape, 20, np.float32),
            "r2prime": np.full(grid.shape, 8, np.float32),
            "labels": labels,
        },
        "regions": [(1, "tissue", ""), (2, "sphere", "dgm")],
        "params": Params(TE, 3.0, grid),
    }


@pytest.fixture
def small():
    """See `make_small`."""
    return make_small()


@pytest.fixture
def scan_folder(small, tmp_path):
    """`tmp_path`/scan and `tmp_path`/truth as artifact folders; returns `tmp_path`."""
    grid = small["params"].grid
    folders.write(tmp_path / "scan", small["scan"], grid)
    folders.write_params(tmp_path / "scan", small["params"])
    folders.write(tmp_path / "truth", small["truth"], grid)
    folders.write_regions(tmp_path / "truth" / folders.REGIONS_FILE, small["regions"])
    return tmp_path


@pytest.fixture(scope="session")
def forks():
    """See `forked`."""
    started = Forks()
    yield started
    started.close()


@pytest.fixture
def command(monkeypatch, capfd, forks):
    """Run `qsmbench` with arguments in this process; returns exit code, standard output and standard error.

    What would run in a child process with a new interpreter runs in a fork, see `forked`.
    """
    popen = SimpleNamespace(Popen=forks.popen, TimeoutExpired=subprocess.TimeoutExpired)
    monkeypatch.setattr(supervise, "subprocess", popen)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["qsmbench", *map(str, arguments)])
        try:
            cli.main()
            code = 0
        except SystemExit as e:
            code = e.code or 0
        return (code, *capfd.readouterr())

    return run
