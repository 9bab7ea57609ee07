"""Methods declared portable give the same on every library of arrays, and do not leave it."""

import functools

import array_api_compat
import array_api_strict
import numpy as np
import pytest
from test_contract import inputs  # noqa: F401

from qsmbench.errors import QsmbenchError
from qsmbench.ops.arrays.array import compute, like, to_device, to_numpy, total
from qsmbench.run import registry
from qsmbench.run.call import on_device

PORTABLE = [n for n in registry.names() if registry.find(n).portable]


@functools.cache
def libraries():
    return {"strict": array_api_strict.asarray, "torch": functools.partial(to_device, device="torch:cpu")}


@pytest.fixture(params=["strict", "torch"])
def move(request):
    """A NumPy array to the library of the parameter."""
    if request.param == "torch":
        pytest.importorskip("torch")
    return libraries()[request.param]


def call(method, values):
    result = method(*values)
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("name", PORTABLE)
def test_method_gives_the_same_on_any_array(name, move, inputs):  # noqa: F811
    method = registry.find(name)
    values = [inputs[n] for n in method.consumes]
    expected = call(method, values)
    moved = [
        v if n == "te" or not isinstance(v, np.ndarray) else move(v)
        for n, v in zip(method.consumes, values, strict=True)
    ]
    found = call(method, moved)
    kind = array_api_compat.array_namespace(
        next(v for n, v in zip(method.consumes, moved, strict=True) if n not in ("te", "grid"))
    )
    for product, volume, plain in zip(method.produces, found, expected, strict=True):
        assert array_api_compat.array_namespace(volume) is kind, f"{product} left its library"
        # rounding is relative to what a product is a small difference of, if that is a field
        scale = max(np.linalg.norm(v * 1.0) for v in (plain, *(inputs[n] for n in method.consumes if "_field" in n)))
        assert np.linalg.norm(to_numpy(volume) * 1.0 - plain) <= 2e-3 * scale, product


def test_expressions_are_the_same_on_any_array(move):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 9, 8, 7)).astype(np.float32)

    def both(xp, x, y, *, t):
        return xp.sin(x) * t + y, x - y

    a, b = np.empty_like(x), np.empty_like(x)
    compute(both, x, y, out=(a, b), t=0.3)
    np.testing.assert_allclose(a, np.sin(x) * 0.3 + y, rtol=1e-6)
    np.testing.assert_array_equal(b, x - y)
    c, d = move(a), move(b)
    compute(both, move(x), move(y), out=(c, d), t=0.3)
    np.testing.assert_allclose(to_numpy(c), a, atol=1e-6)
    assert total(lambda xp, x: x * x, move(x)) == pytest.approx(total(lambda xp, x: x * x, x), rel=1e-5)


def test_constants_follow_an_array(move):
    x = move(np.zeros(3, np.float32))
    frozen = np.arange(3, dtype=np.float32)
    frozen.flags.writeable = False
    moved = like(frozen, x)
    assert array_api_compat.array_namespace(moved) is array_api_compat.array_namespace(x)
    moved += 1
    np.testing.assert_array_equal(frozen, [0, 1, 2])


def test_unknown_devices_are_named():
    with pytest.raises(QsmbenchError, match=r"device is 'gpu'; choose from numpy, cupy, torch"):
        to_device(np.zeros(1), "gpu")
    with pytest.raises(QsmbenchError, match="device is 'cupy', but cupy is not installed"):
        to_device(np.zeros(1), "cupy")


def test_only_portable_methods_leave_numpy(inputs):  # noqa: F811
    pytest.importorskip("torch")
    portable, bound = registry.find("tkd"), registry.find("romeo")
    for method, moved in ((portable, True), (bound, False)):
        values = on_device(method, {n: inputs[n] for n in method.consumes}, "torch")
        assert isinstance(values["mask"], np.ndarray) is not moved
        assert isinstance(values.get("te", inputs["te"]), np.ndarray)
