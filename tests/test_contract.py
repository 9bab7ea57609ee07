"""The contract that every method keeps, whoever wrote it."""

import inspect
import re
from dataclasses import replace

import numpy as np
import oracles
import pytest

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.errors import NotApplicable
from qsmbench.grid import Grid
from qsmbench.method import Orientation, entries, glossary_text
from qsmbench.run import registry
from qsmbench.units import rad_per_ppm

METHODS = registry.names()


@pytest.fixture(scope="module")
def inputs():
    """All artifacts of one small scan: odd shape, anisotropic voxels, oblique B0, four unequal echoes."""
    grid = Grid((35, 37, 23), (1.0, 1.2, 2.0), (0.36, -0.48, 0.8))
    te, b0 = np.array([0.004, 0.009, 0.016, 0.022]), 3.0
    x, y, z = grid.axes()
    mask = (x / 14) ** 2 + (y / 18) ** 2 + (z / 19) ** 2 < 1
    vein = (np.abs(x - 3) < 1.1) & (np.abs(y) < 1.3) & mask
    chi = (0.1 * np.sin(x / 4) * np.cos(y / 5) + 0.05 * np.cos(z / 6) + 0.4 * vein).astype(np.float32) * mask
    chi[mask] -= chi[mask].mean()
    local = oracles.free_space_field(chi, grid.voxel_size, grid.b0_dir) * mask
    total = local + oracles.sphere_field((x, y, z), grid.b0_dir, (16, 18, -20), 8, 5.0) * mask
    unwrapped = (rad_per_ppm(b0, 1.0) * total[..., None] * te).astype(np.float32)
    rng = np.random.default_rng(0)
    signal = mask[..., None] * np.exp(-25 * te + 1j * unwrapped)
    signal = signal + 0.01 * (rng.standard_normal(signal.shape) + 1j * rng.standard_normal(signal.shape))
    rest = {
        "chi_para": np.maximum(chi, 0),
        "chi_dia": np.maximum(-chi, 0),
        "r2star": np.full(grid.shape, 25, np.float32) * mask,
        "r2prime": 137 * np.abs(chi),
        "water": mask.astype(np.float32),
        "fat": np.zeros(grid.shape, np.float32),
        "fat_fraction": np.zeros(grid.shape, np.float32),
        "signal_fat_fraction": (0.95 * (mask & (x > 6))).astype(np.float32),
        "labels": mask.astype(np.uint8),
        "vein": vein,
        "vein_diameter": 2.0 * vein.astype(np.float32),
        "oef": (0.3 + 0.002 * z).astype(np.float32) * vein,
        "swi": np.exp(-5 * np.maximum(chi, 0)).astype(np.float32) * mask,
        "orientations": tuple(
            Orientation(oracles.free_space_field(chi, grid.voxel_size, b) * mask, mask, replace(grid, b0_dir=b))
            for b in (grid.b0_dir, (0.0, 0.6, 0.8), (-0.48, 0.0, 0.877268))
        ),
    }
    return {
        "phase": np.angle(signal).astype(np.float32),
        "magnitude": np.abs(signal).astype(np.float32),
        "mask": mask,
        "unwrapped": unwrapped,
        "total_field": total.astype(np.float32),
        "field_noise": (0.002 * (1 + (x / 20) ** 2) * mask).astype(np.float32),
        "local_field": local.astype(np.float32),
        "chi": chi,
        "grid": grid,
        "te": te,
        "b0": b0,
        **rest,
    }


def run(method, inputs):
    """The products by name."""
    try:
        result = method(*(inputs[n] for n in method.consumes))
    except NotApplicable as reason:
        pytest.fail(f"{method.name} cannot run on a plain multi-echo scan: {reason}")
    result = result if isinstance(result, tuple) else (result,)
    assert len(result) == len(method.produces)
    return dict(zip(method.produces, result, strict=True))


def test_every_stage_has_methods():
    stages = {registry.find(n).source.parent.name for n in METHODS}
    assert {"unwrap", "field", "background", "inversion"} <= stages


@pytest.mark.parametrize("name", METHODS)
def test_method_is_documented(name):
    method = registry.find(name)
    assert method.name == name == method.source.stem
    assert method.summary.endswith(".")
    assert method.reference == "control" or re.search(r"doi:10\.\d{4,}/\S+", method.reference)
    texts = method.parameter_texts
    assert list(texts) == [*method.consumes, *method.settings]
    for name, text in (texts | method.product_texts).items():
        assert text, f"{name} is not described"


@pytest.mark.parametrize("name", METHODS)
def test_method_describes_what_the_glossary_does_not(name):
    """Every entry of its docstring names a parameter or a product, and differs from the glossary."""
    method = registry.find(name)
    sections = {"Args": (*method.consumes, *method.settings), "Returns": method.produces}
    for section, names in sections.items():
        for entry, text in entries(inspect.getdoc(method.function), section).items():
            assert entry in names
            assert text != glossary_text(entry), f"{entry} repeats the glossary"


def test_a_wrapping_method_describes_what_the_inner_one_does():
    texts = registry.find("l2+lcurve").parameter_texts
    assert texts["penalty"] == registry.find("l2").parameter_texts["penalty"] == "identity, gradient or laplacian"
    assert texts["pad"] == "zeros around the bounding box of the mask, mm along each axis"
    assert texts["choose"] == "the setting to choose"
    assert texts["local_field"].startswith("(nx, ny, nz) ppm: ")


@pytest.mark.parametrize("name", METHODS)
def test_method_returns_finite_volumes_of_the_right_shape(name, inputs):
    method = registry.find(name)
    grid, te = inputs["grid"], inputs["te"]
    products = run(method, inputs)
    mask = products.get("mask", inputs["mask"])
    for product, volume in products.items():
        artifact = ARTIFACTS[product]
        assert volume.shape == ((*grid.shape, te.size) if artifact.echoes else grid.shape)
        assert volume.dtype == artifact.dtype
        assert np.isfinite(volume).all()
        if product not in ("phase", "magnitude"):
            assert not volume[~mask].any(), f"{product} is not zero outside the mask"


@pytest.mark.parametrize("name", METHODS)
def test_method_leaves_its_inputs_alone(name, inputs):
    method = registry.find(name)
    volumes = {n: inputs[n] for n in method.consumes if isinstance(inputs[n], np.ndarray)}
    before = {n: v.copy() for n, v in volumes.items()}
    run(method, inputs)
    for n, volume in volumes.items():
        np.testing.assert_array_equal(volume, before[n])


@pytest.mark.parametrize("name", METHODS)
def test_method_takes_read_only_inputs(name, inputs):
    method = registry.find(name)
    frozen = {n: v.copy() if isinstance(v, np.ndarray) else v for n, v in inputs.items()}
    for value in frozen.values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    run(method, frozen)


@pytest.mark.parametrize("name", METHODS)
def test_method_runs_on_one_echo_or_says_why_not(name, inputs):
    method = registry.find(name)
    single = inputs | {n: inputs[n][..., :1] for n in ("phase", "magnitude", "unwrapped")} | {"te": inputs["te"][:1]}
    try:
        result = method(*(single[n] for n in method.consumes))
    except NotApplicable as reason:
        assert str(reason)
        return
    for volume in result if isinstance(result, tuple) else (result,):
        assert np.isfinite(volume).all()


@pytest.mark.parametrize("name", METHODS)
def test_method_does_not_mind_the_order_in_memory(name, inputs):
    """Volumes read from NIfTI files lie with x fastest."""
    method = registry.find(name)
    turned = {n: np.asfortranarray(v) if isinstance(v, np.ndarray) else v for n, v in inputs.items()}
    plain = run(method, inputs)
    for product, volume in run(method, turned).items():
        np.testing.assert_allclose(volume, plain[product], atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_method_gives_the_same_on_any_number_of_threads(name, inputs, monkeypatch):
    method = registry.find(name)
    results = []
    for threads in ("1", "2", "3"):
        monkeypatch.setenv("QSMBENCH_THREADS", threads)
        results.append(run(method, inputs))
    for other in results[1:]:
        for product, volume in results[0].items():
            np.testing.assert_array_equal(other[product], volume)
