"""Field and signal simulation next to qsm-forward, on the same volume in the same run.

    make bench        or: pytest benchmarks/bench_forward.py

In each group the number in brackets is the ratio to the fastest. qsm-forward's field is padded like ours, to twice the
volume; it makes its kernel anew each time. Of accuracy, see tests/scan/test_peer.py.
"""

import numpy as np
import pytest
import qsm_forward
from analytic import oblique, sphere_fraction

from qsmbench.grid import Grid
from qsmbench.phantom.properties import Protons
from qsmbench.scan import prism
from qsmbench.scan.field import field_of
from qsmbench.scan.signal import spoiled_gre
from qsmbench.spectra import spectrum

GRID = Grid((160, 160, 160), (1, 1, 1), oblique(0.1, 0.2, 1))
TE = np.array([0.005, 0.010, 0.015, 0.020, 0.025, 0.030, 0.035, 0.040])


@pytest.fixture(scope="module")
def chi():
    return sphere_fraction(GRID, 40.0, n=3)


def run(benchmark, call, *arguments):
    """Three rounds after one that compiles and fills caches."""
    benchmark.pedantic(call, arguments, rounds=3, warmup_rounds=1)


@pytest.mark.benchmark(group="field, 160³, oblique B0")
def test_field_kernel_cached(benchmark, chi):
    run(benchmark, field_of, chi, GRID)


@pytest.mark.benchmark(group="field, 160³, oblique B0")
def test_field_kernel_anew(benchmark, chi):
    def anew():
        prism.spectra.cache_clear()
        return field_of(chi, GRID)

    run(benchmark, anew)


@pytest.mark.benchmark(group="field, 160³, oblique B0")
def test_field_qsm_forward(benchmark, chi):
    run(benchmark, lambda: qsm_forward.generate_field(chi, voxel_size=[1, 1, 1], B0_dir=list(GRID.b0_dir)))


@pytest.fixture(scope="module")
def maps(chi):
    return {
        "field": field_of(chi, GRID),
        "pd": np.full(GRID.shape, 0.8, np.float32),
        "t1": np.full(GRID.shape, 1.2, np.float32),
        "r2star": np.full(GRID.shape, 20.0, np.float32),
    }


def ours(maps):
    """The signal of eight echoes."""
    water = Protons(maps["pd"], maps["t1"], maps["r2star"], maps["r2star"], spectrum("water"))
    return spoiled_gre(maps["field"], water, (1, 1, 1), te=TE, tr=0.05, flip_angle=15.0, b0=3.0)


def theirs(maps):
    """The same by qsm-forward, echo by echo."""
    given = {"R1": 1 / maps["t1"], "R2star": maps["r2star"], "M0": maps["pd"]}
    return [qsm_forward.generate_signal(maps["field"], B0=3, TR=0.05, TE=te, flip_angle=15, **given) for te in TE]


@pytest.mark.benchmark(group="signal, 160³, 8 echoes")
def test_signal(benchmark, maps):
    run(benchmark, ours, maps)


@pytest.mark.benchmark(group="signal, 160³, 8 echoes")
def test_signal_qsm_forward(benchmark, maps):
    run(benchmark, theirs, maps)
