"""Networks: what is normalised, padded and cut comes together again, held against filters known in closed form."""

import sys

import numpy as np
import oracles
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from programs import need_bubblewrap

from qsmbench.errors import NotApplicable, QsmbenchError
from qsmbench.external.patches import Patches
from qsmbench.grid import Grid
from qsmbench.ops.arrays.fft import Window
from qsmbench.run import registry

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402


def save(folder, nodes, weights=None, inputs=("x",), outputs=("y",), shape=(1, "c", "x", "y", "z")):
    """An ONNX model `net.onnx` of some nodes, its volumes of any size."""
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in (*inputs, *outputs)]
    held = [numpy_helper.from_array(np.asarray(w, np.float32), name) for name, w in (weights or {}).items()]
    graph = helper.make_graph(nodes, "net", value[: len(inputs)], value[len(inputs) :], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, folder / "net.onnx")


def network(folder, **description):
    """The method that a YAML beside `net.onnx` describes, by default from the local field to χ."""
    content = {
        "model": "net.onnx",
        "inputs": [{"artifact": "local_field"}],
        "outputs": [{"artifact": "chi"}],
        "reference": "test",
        **description,
    }
    path = folder / "net.yaml"
    path.write_text(yaml.safe_dump(content))
    return registry.find(str(path))


def identity(folder):
    save(folder, [helper.make_node("Identity", ["x"], ["y"])])


def convolution(folder, kernel):
    """A model that convolves with `kernel` (odd shape), zeros around the volume."""
    flipped = kernel[::-1, ::-1, ::-1][None, None]  # a network's convolution is a correlation
    pads = [n // 2 for n in kernel.shape] * 2
    save(folder, [helper.make_node("Conv", ["x", "w"], ["y"], pads=pads)], {"w": flipped})


def test_isolated_it_gives_the_same(tmp_path, volume, mask, kernel):
    need_bubblewrap()
    convolution(tmp_path, kernel)
    outside = network(tmp_path)(local_field=volume, mask=mask)
    inside = registry.find(str(tmp_path / "net.yaml"), container="bubblewrap")(local_field=volume, mask=mask)
    np.testing.assert_array_equal(inside, outside)


@pytest.fixture
def volume():
    return np.random.default_rng(0).standard_normal((21, 18, 13)).astype(np.float32)


@pytest.fixture
def mask(volume):
    mask = np.zeros(volume.shape, bool)
    mask[2:-1, 1:-3, 1:-1] = True
    return mask


@pytest.fixture
def kernel():
    return np.random.default_rng(1).standard_normal((5, 5, 5)).astype(np.float32)


PATCHES = [
    None,
    {"size": [8, 8, 8], "overlap": 4},
    {"size": [8, 9, 7], "overlap": 3, "blend": "crop"},
    {"size": [32, 32, 32]},
    {"size": [5, 6, 13]},
]


@pytest.mark.parametrize("patches", PATCHES)
@pytest.mark.parametrize("multiple", [1, 16, [4, 8, 2]])
def test_nothing_done_changes_nothing(tmp_path, volume, mask, patches, multiple):
    """The identity, whatever the normalisation, the padding and the parts."""
    identity(tmp_path)
    scale = {"mean": 0.3, "sd": 0.05}
    method = network(
        tmp_path,
        inputs=[{"artifact": "local_field", **scale}],
        outputs=[{"artifact": "chi", **scale}],
        patches=patches,
        multiple=multiple,
    )
    (chi,) = method(local_field=volume, mask=mask)
    assert chi.dtype == np.float32
    assert_allclose(chi, np.where(mask, volume, 0), atol=2e-6)


def test_normalisation_is_what_the_network_sees(tmp_path, volume, mask):
    """A network that squares: y = ((x − 1) / 2)², χ = 3 y + 5."""
    save(tmp_path, [helper.make_node("Mul", ["x", "x"], ["y"])])
    method = network(
        tmp_path,
        inputs=[{"artifact": "local_field", "mean": 1, "sd": 2}],
        outputs=[{"artifact": "chi", "mean": 5, "sd": 3}],
    )
    (chi,) = method(local_field=volume, mask=mask)
    assert_allclose(chi, np.where(mask, 3 * ((volume - 1) / 2) ** 2 + 5, 0), rtol=1e-5, atol=1e-6)


def linear(volume, kernel):
    """The convolution with zeros around, as a sum over the kernel's voxels in double precision."""
    half = [n // 2 for n in kernel.shape]
    padded = np.pad(volume.astype(float), [(h, h) for h in half])
    result = np.zeros(volume.shape)
    for index, weight in np.ndenumerate(kernel):
        # a weight at +i from the centre brings the value from −i
        start = [2 * h - i for h, i in zip(half, index, strict=True)]
        result += weight * padded[tuple(slice(s, s + n) for s, n in zip(start, volume.shape, strict=True))]
    return result


@pytest.mark.parametrize(("multiple", "normalised"), [(1, False), (16, False), (16, True)])
def test_a_convolution(tmp_path, volume, mask, kernel, multiple, normalised):
    """Zeros that are padded are zeros of the artifact: to a network of another mean they are not 0."""
    convolution(tmp_path, kernel)
    shift = 0.7 if normalised else 0
    inputs = [{"artifact": "local_field", "mean": shift}]
    (chi,) = network(tmp_path, inputs=inputs, multiple=multiple)(local_field=volume, mask=mask)
    padded = Patches.of(volume.shape, multiple).padded
    around = [((n - m) // 2, n - m - (n - m) // 2) for n, m in zip(padded, volume.shape, strict=True)]
    whole = linear(np.pad(volume, around) - shift, kernel)
    expected = whole[tuple(slice(a, a + n) for (a, _), n in zip(around, volume.shape, strict=True))]
    assert_allclose(chi, np.where(mask, expected, 0), atol=2e-5)


def test_cropped_parts_join_to_the_whole(tmp_path, volume, mask, kernel):
    """If the overlap is twice the reach of the network, the parts know all that they need."""
    convolution(tmp_path, kernel)
    (whole,) = network(tmp_path)(local_field=volume, mask=mask)
    for size in ([9, 8, 7], [21, 7, 6]):
        crop = {"size": size, "overlap": 4, "blend": "crop"}
        (joined,) = network(tmp_path, patches=crop)(local_field=volume, mask=mask)
        assert_allclose(joined, whole, atol=1e-5)
    for too_little in ({"size": [9, 8, 7], "overlap": 2, "blend": "crop"}, {"size": [9, 8, 7], "overlap": 4}):
        (joined,) = network(tmp_path, patches=too_little)(local_field=volume, mask=mask)
        assert oracles.relative(joined, whole) > 0.01


def test_blended_parts_have_no_seam(tmp_path):
    """A network that tells each part's own mean: parts that are 16 apart differ by 16, at once or by and by."""
    save(tmp_path, [helper.make_node("GlobalAveragePool", ["x"], ["m"]), helper.make_node("Sub", ["x", "m"], ["y"])])
    steps = {}
    for overlap, size, n in ((0, 16, 64), (8, 24, 56)):
        x = np.broadcast_to(np.arange(n, dtype=np.float32)[:, None, None], (n, 16, 16))
        patches = {"size": [size, 16, 16], "overlap": overlap}
        (chi,) = network(tmp_path, patches=patches)(local_field=x, mask=np.ones(x.shape, bool))
        steps[overlap] = np.abs(np.diff(chi[:, 4, 4] - x[:, 4, 4])).max()
    assert steps[0] == pytest.approx(16, rel=1e-5)
    assert steps[8] == pytest.approx(16 / 9, rel=1e-5)


@pytest.mark.parametrize("patches", [None, {"size": [40, 30, 30], "overlap": 8}])
def test_a_network_that_is_tkd(tmp_path, patches):
    """TKD is a convolution: a network of one layer, whose weights are its response to a point, does the same."""
    grid = Grid((15, 13, 11), (1.0, 0.94, 1.9), (0.36, -0.48, 0.8))
    x, y, z = grid.axes()
    mask = (x / 7) ** 2 + (y / 5.64) ** 2 + (z / 9.5) ** 2 <= 1.001
    chi = (np.sin(x) * np.cos(y / 2) + np.cos(z)) * mask
    field = (oracles.free_space_field(chi, grid.voxel_size, grid.b0_dir) * mask).astype(np.float32)
    tkd = registry.find("tkd")
    expected = tkd(field, mask, grid, pad=30.0)

    shape = Window.around(mask, grid, 30.0).shape
    assert shape == (45, 45, 27)  # odd, so no Nyquist frequency; and at least 2 n − 1, so nothing wraps around
    k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(shape, grid.voxel_size, strict=True)), indexing="ij")
    square = sum(axis**2 for axis in k)
    square[0, 0, 0] = 1
    dipole = 1 / 3 - sum(b * axis for b, axis in zip(grid.b0_dir, k, strict=True)) ** 2 / square
    inverse = 1 / np.copysign(np.maximum(np.abs(dipole), 0.2), dipole)
    inverse[0, 0, 0] = 0
    response = np.fft.ifftn(inverse).real
    offsets = [np.arange(-(m - 1), m) for m in grid.shape]
    convolution(tmp_path, response[np.ix_(*offsets)].astype(np.float32))
    (made,) = network(tmp_path, patches=patches)(local_field=field, mask=mask)
    made = np.where(mask, made - made[mask].mean(), 0)
    assert oracles.relative(made, expected) < 1e-5


def test_echoes_and_several_inputs_are_channels(tmp_path, volume, mask):
    """y = 2 phase₁ + 3 phase₂ + 5 mask, of one input with three channels."""
    weights = np.array([2, 3, 5], np.float32).reshape(1, 3, 1, 1, 1)
    save(tmp_path, [helper.make_node("Conv", ["x", "w"], ["y"])], {"w": weights})
    phase = np.stack([volume, volume**2], -1)
    inputs = [{"artifact": "phase"}, {"artifact": "mask"}]
    method = network(tmp_path, inputs=inputs, outputs=[{"artifact": "total_field"}])
    assert (method.consumes, method.produces) == (("phase", "mask"), ("total_field",))
    (field,) = method(phase=phase, mask=mask)
    assert_allclose(field, np.where(mask, 2 * volume + 3 * volume**2 + 5, 0), rtol=1e-5, atol=1e-5)


def test_several_inputs_and_outputs_of_the_model(tmp_path, volume, mask):
    nodes = [helper.make_node("Add", ["a", "b"], ["s"]), helper.make_node("Sub", ["a", "b"], ["d"])]
    save(tmp_path, nodes, inputs=("a", "b"), outputs=("s", "d"))
    method = network(
        tmp_path,
        inputs=[{"artifact": "chi"}, {"artifact": "r2prime", "sd": 100}],
        outputs=[{"artifact": "chi_para"}, {"artifact": "chi_dia"}],
    )
    assert method.consumes == ("chi", "r2prime", "mask")
    para, dia = method(chi=volume, r2prime=50 * volume**2, mask=mask)
    assert_allclose(para, np.where(mask, volume + volume**2 / 2, 0), atol=1e-5)
    assert_allclose(dia, np.where(mask, volume - volume**2 / 2, 0), atol=1e-5)


def test_channels_last(tmp_path, volume, mask):
    save(
        tmp_path,
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"w": np.array([[2.0], [3.0]])},
        shape=(1, "x", "y", "z", "c"),
    )
    inputs = [{"artifact": "local_field"}, {"artifact": "mask"}]
    (chi,) = network(tmp_path, inputs=inputs, channels="last")(local_field=volume, mask=mask)
    assert_allclose(chi, np.where(mask, 2 * volume + 3, 0), atol=1e-5)


def test_a_mask_is_where_it_is_more_likely_than_not(tmp_path, volume):
    identity(tmp_path)
    method = network(tmp_path, outputs=[{"artifact": "mask"}])
    assert method.consumes == ("local_field",)
    (found,) = method(local_field=volume)
    assert_array_equal(found, volume > 0.5)


@pytest.mark.parametrize("n", [2, 3])
def test_it_gives_the_same_on_any_number_of_threads(tmp_path, volume, mask, kernel, monkeypatch, n):
    convolution(tmp_path, kernel)
    made = []
    for threads in (1, n):
        monkeypatch.setenv("QSMBENCH_THREADS", str(threads))
        made.append(network(tmp_path)(local_field=volume, mask=mask)[0])
    assert_array_equal(*made)


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ({"model": "other.onnx"}, r"model is 'other\.onnx', but there is no .*other\.onnx"),
        ({"inputs": []}, r"inputs is \[\]"),
        ({"inputs": [{"artifact": "field"}]}, "artifact is 'field': choose from phase, magnitude, mask"),
        ({"inputs": [{"artifact": "chi", "sd": 0}]}, "sd is 0: input should be greater than 0"),
        ({"outputs": [{"artifact": "phase"}]}, "phase has echoes; a network's output must be a volume"),
        ({"patches": {"size": [8, 8, 8], "overlap": 8}}, r"overlap is 8; it must be less than the size \(8, 8, 8\)"),
        ({"patches": {"size": 8}}, "patches.size is 8"),
        ({"normalise": 1}, "unknown key 'normalise'; choose from model, inputs, outputs, reference"),
    ],
)
def test_illegal_descriptions(tmp_path, description, message):
    identity(tmp_path)
    with pytest.raises(QsmbenchError, match=message) as caught:
        network(tmp_path, **description)
    assert "\n" not in str(caught.value)


def test_no_such_description(tmp_path):
    with pytest.raises(QsmbenchError, match=r"net\.yaml: no such file; a method's path must name the YAML"):
        registry.find(str(tmp_path / "net.yaml"))


def test_models_that_are_not_as_described(tmp_path, volume, mask):
    save(tmp_path, [helper.make_node("Add", ["a", "b"], ["y"])], inputs=("a", "b"))
    three = [{"artifact": n} for n in ("local_field", "mask", "chi")]
    with pytest.raises(ValueError, match="the model has 2 inputs; the description lists 3"):
        network(tmp_path, inputs=three)(local_field=volume, chi=volume, mask=mask)
    save(tmp_path, [helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2, 2])])
    with pytest.raises(ValueError, match=r"the model makes \(1, 20, 17, 12\) of \(21, 18, 13\)"):
        network(tmp_path)(local_field=volume, mask=mask)


def test_without_onnxruntime_it_says_so(tmp_path, volume, mask, monkeypatch):
    identity(tmp_path)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(NotApplicable, match="a network needs the package onnxruntime: pip install onnxruntime"):
        network(tmp_path)(local_field=volume, mask=mask)


def test_a_model_that_does_not_fit_is_said_in_its_own_words(tmp_path, volume):
    node = [helper.make_node("Identity", ["x"], ["y"])]
    mask = np.ones(volume.shape, bool)
    save(tmp_path, node, shape=(1, 1, 16, 16, 16))
    with pytest.raises(
        ValueError, match=r"input x is \[1, 1, 16, 16, 16\], the description gives \[1, 1, 21, 18, 13\]"
    ):
        network(tmp_path)(local_field=volume, mask=mask)
    save(tmp_path, node, shape=(1, "x", "y", "z"))
    with pytest.raises(ValueError, match=r"input x is .*; set inputs, channels, multiple or patches to fit"):
        network(tmp_path)(local_field=volume, mask=mask)
    (tmp_path / "net.onnx").write_text("no model")
    with pytest.raises(QsmbenchError, match=r"net.onnx: cannot be read as ONNX"):
        network(tmp_path)(local_field=volume, mask=mask)
