"""Organs that move during a scan: by breathing, as when the trunk is described in inspiration, and by peristalsis."""

from functools import cache

import numpy as np
import pytest
from objects import layer, write
from scipy import ndimage

from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load
from qsmbench.phantom.warp import Warp
from qsmbench.scan import respiration
from qsmbench.scan.deformation import AtRest, Deformed, in_contraction
from qsmbench.scan.peristalsis import Peristalsis
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.respiration import Respiration
from qsmbench.scan.segments import assemble, times
from qsmbench.scan.simulate import _organ_states, simulate

BALL = {"shape": "ellipsoid", "center": [0, 0, 4], "radii": [6, 6, 6]}
BREATH = {
    "down": {"organ": 1, "wall": 0},
    "reach": 4,
    "blend": 0.5,
    "forward": [[-10, 0], [10, 0]],
    "depths": [-10, 10],
    "source": "assumed",
}
STILL = {"snr": None, "te": [0.004], "shim_order": 0, "phase_offset": []}


def ball(folder, **more):
    """A ball that moves down as a whole, in a box that stays where it is."""
    box = layer({"shape": "ellipsoid", "radii": [15, 15, 15]}, 0, "wall", group="wall")
    content = {"breath": BREATH | more.pop("breath", {}), "supersampling": 1, "voxel_size": 2, **more}
    return write(folder, [box, layer(BALL, 0.5, "liver", group="organ")], **content)


def shift(*by):
    """Return the map of an object that has moved by some mm."""
    return Warp(np.ones((3, 2, 2, 2), np.float32) * -np.array(by, np.float32)[:, None, None, None], np.zeros(3), 10.0)


def test_course_of_a_breath_hold():
    """The diaphragm creeps up during the hold; then it descends and rises with each breath."""
    time = np.arange(0, 24, 0.5)
    found = respiration.position(Respiration(hold=10, creep=0.2, descent=12, period=4), time)
    np.testing.assert_allclose(found[time <= 10], -0.2 * time[time <= 10])
    np.testing.assert_allclose(found[[20, 22, 24, 26, 28]], np.array([0, 6, 12, 6, 0]) - 2, atol=1e-9)
    held = respiration.position(Respiration(), time)
    np.testing.assert_allclose(held, -0.23 * time)  # 5.6 mm in 24 s
    free = respiration.position(Respiration(hold=0), time)
    assert free.min() == pytest.approx(0, abs=1e-9) and free.max() == pytest.approx(15)


def test_states_are_those_of_the_lines():
    """Each line is within half a step of where its tissue is, relative to the centre of k-space."""
    chosen = {**STILL, "duration": 18, "respiration": {"hold": 8, "states": 5}, "peristalsis": {"sd": 2}}
    protocol = load_protocol("abdomen-3t", chosen)
    time = times((4, 24, 12), 0, protocol.kspace, protocol.tr, slices=False)[0]
    time *= 18 / (24 * 12 * protocol.tr)
    of_line, states = _organ_states(protocol, time)
    there = respiration.position(protocol.respiration, time)
    there -= np.median(there[0, 0])
    found = np.array([d for d, _ in states])[of_line]
    assert np.abs(found - there).max() <= np.ptp(there) / 10 + 1e-9
    centre = states[of_line[0, 0, 0]]
    assert centre == (0.0, None)
    waves = {c for _, c in states}
    assert waves == {None, 0, 2}  # contractions of 8.7 s in 18 s; the second measures the centre


def test_tissue_moves_by_whole_voxels(tmp_path):
    phantom = ball(tmp_path)
    grid = phantom.grid()
    rest, moved = (
        phantom.render(grid, 3.0),
        Deformed(AtRest(phantom, 6), [shift(2, 0, 0), shift(0, 0, -4)]).render(grid, 3.0),
    )
    for name in ("chi_para", "water_pd", "t1", "r2star", "labels", "mask"):
        expected = np.roll(getattr(rest, name), (1, -2), axis=(0, 2))[2:-2, :, 3:-3]
        np.testing.assert_allclose(getattr(moved, name)[2:-2, :, 3:-3].astype(float), expected, atol=1e-5, err_msg=name)


def test_a_phantom_is_rendered_once_for_all_states(tmp_path, monkeypatch):
    phantom, rendered = ball(tmp_path), []
    grid, plain = phantom.grid(), type(phantom).render
    monkeypatch.setattr(type(phantom), "render", lambda self, *given: rendered.append(given) or plain(self, *given))
    rest = AtRest(phantom, 4)
    first, second = (Deformed(rest, [phantom.breath.times(d)]).render(grid, 3.0) for d in (2.0, 4.0))
    assert len(rendered) == 1
    assert not np.array_equal(first.chi, second.chi)
    assert np.array_equal(first.chi, Deformed(AtRest(phantom, 2), [phantom.breath.times(2.0)]).render(grid, 3.0).chi)


def test_relaxation_mixes_by_protons(tmp_path):
    """Half a voxel of gas beside tissue leaves the T1 of the tissue."""
    gas = {"shape": {"shape": "half_space", "point": [0, 0, 0], "normal": [1, 0, 0]}, "region": "gas"}
    phantom = write(tmp_path, [gas | {"material": {"chi": 0, "pd": 0, "t1": 0.1, "r2star": 900}}], supersampling=1)
    rest = phantom.render(phantom.grid(), 3.0)
    moved = Deformed(AtRest(phantom, 0.5), [shift(0.5, 0, 0)]).render(phantom.grid(), 3.0)
    tissue = rest.t1.max()
    edge = (moved.water_pd > 0.1) & (moved.water_pd < 0.9 * rest.water_pd.max())
    assert edge.any()
    np.testing.assert_allclose(moved.t1[edge], tissue, rtol=1e-4)


def test_truth_is_that_of_the_centre_and_each_line_that_of_its_state(tmp_path):
    phantom = ball(tmp_path)
    moving = {**STILL, "duration": 8.0, "respiration": {"hold": 0, "descent": 4, "period": 16, "states": 2}}
    rest = simulate(phantom, load_protocol("brain-3t", {**STILL, "readout.axis": "x"}))
    seen = simulate(phantom, load_protocol("brain-3t", {**moving, "readout.axis": "x"}))
    for name, volume in rest.truth.items():
        assert np.array_equal(volume, seen.truth[name]), name
    protocol = load_protocol("brain-3t", {**moving, "readout.axis": "x"})
    time = times(rest.mask.shape, 0, protocol.kspace, protocol.tr, slices=False)[0]
    of_line, states = _organ_states(protocol, time * 8 / (np.prod(rest.mask.shape[1:]) * protocol.tr))
    np.testing.assert_allclose([d for d, _ in states], [-2, 0, 2], atol=0.01)
    held = load_protocol("brain-3t", {**STILL, "readout.axis": "x"})
    part = [simulate(_At(phantom, d), held).signal for d, _ in states]
    np.testing.assert_allclose(seen.signal, assemble(part, of_line, (1, 2)), atol=2e-3 * np.abs(rest.signal).max())
    assert np.abs(seen.signal - rest.signal).max() > 0.05 * np.abs(rest.signal).max()


class _At:
    """A phantom in a position of the diaphragm."""

    def __init__(self, phantom, descent):
        self._phantom, self._moved = phantom, Deformed(AtRest(phantom, abs(descent)), [phantom.breath.times(descent)])

    def __getattr__(self, name):
        return getattr(self._phantom, name)

    def render(self, grid, b0):
        return self._moved.render(grid, b0)


def test_a_perfect_hold_changes_nothing(tmp_path):
    phantom = ball(tmp_path)
    rest = simulate(phantom, load_protocol("brain-3t", STILL))
    held = simulate(phantom, load_protocol("brain-3t", {**STILL, "respiration": {"creep": 0}}))
    np.testing.assert_allclose(held.signal, rest.signal, atol=1e-5 * np.abs(rest.signal).max())


@cache
def trunk(**overrides):
    bare = {"voxel_size": 4.5, "supersampling": 1, "vessels": None, "texture": None}
    return load("abdomen", {**bare, **overrides})


def test_organs_of_a_trunk_move_as_in_the_description():
    """The displaced trunk is the one whose shapes were described with the diaphragm there; walls and spine stay."""
    phantom, descent = trunk(), 10.0
    atlas, grid, warp = phantom.atlas, phantom.grid(), phantom.breath.times(descent)
    down = warp.displacement[2] / descent
    shares = {"liver": 1, "spleen": 0.9, "pancreas": 0.7, "kidney_cortex": 0.65}
    shares |= dict.fromkeys(("muscle", "psoas", "disc", "vertebral_marrow", "subcutaneous_fat"), 0)
    for name, share in shares.items():
        inner = ndimage.binary_erosion(atlas.labels == atlas.label(name), iterations=1 if share else 2)
        assert down[inner].mean() == pytest.approx(share, abs=0.1), name

    described = trunk(breath=descent).outline(grid, most_parts=1).labels
    places = np.moveaxis(np.indices(grid.shape), 0, -1).reshape(-1, 3) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
    moved, rest = (labels_at(p, atlas).reshape(grid.shape) for p in (warp.template(places), places))
    for name, least in {"liver": 0.95, "spleen": 0.9, "kidney_cortex": 0.8}.items():
        here, there = described == atlas.label(name), moved == atlas.label(name)
        assert dice(here, there) > least, name
        assert dice(here, there) > dice(here, rest == atlas.label(name)), name


def labels_at(points, atlas):
    index = np.rint((points - atlas.grid.affine[:3, 3]) / atlas.grid.voxel_size).astype(int)
    return atlas.labels[tuple(np.clip(index, 0, np.array(atlas.labels.shape) - 1).T)]


def dice(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


def test_peristalsis_moves_bowel_alone():
    phantom = trunk()
    chosen = Peristalsis(sd=3, seed=4)
    first, again, other = (in_contraction(chosen, phantom, n) for n in (0, 0, 1))
    assert np.array_equal(first.displacement, again.displacement)
    groups = {i: group for i, _, group in phantom.anatomy}
    bowel = np.isin(phantom.atlas.labels, [i for i, g in groups.items() if g in chosen.groups])
    inside = first.displacement[:, bowel].std()
    assert 0.3 * 3 < inside < 3  # less at edges
    liver = phantom.atlas.labels == phantom.atlas.label("liver")
    assert first.displacement[:, liver].std() < 0.15 * inside
    assert abs(np.corrcoef(first.displacement[:, bowel].ravel(), other.displacement[:, bowel].ravel())[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"respiration": {"hold": -1}}, r"respiration\.hold is -1"),
        ({"respiration": {}, "motion": {"poses": 2, "translate": 1, "rotate": 0}}, "motion and respiration are both"),
        ({"respiration": {}, "coils": {"count": 8, "acceleration": [1, 2, 1]}}, "and there is respiration"),
        ({"peristalsis": {"sd": 1}, "coils": {"count": 8, "acceleration": [1, 2, 1]}}, "and there is peristalsis"),
        ({"duration": 0}, r"duration is 0"),
    ],
)
def test_impossible_protocols(change, message):
    with pytest.raises(QsmbenchError, match=message) as caught:
        load_protocol("abdomen-3t", change)
    assert "\n" not in str(caught.value)


def test_phantoms_that_cannot_move(tmp_path):
    sphere = load("sphere", {"voxel_size": 8})
    with pytest.raises(QsmbenchError, match="respiration needs a phantom that breathes"):
        simulate(sphere, load_protocol("brain-3t", {**STILL, "respiration": {"hold": 0}}))
    with pytest.raises(QsmbenchError, match=r"peristalsis\.groups: no region is in bowel, gas; choose from"):
        simulate(ball(tmp_path), load_protocol("brain-3t", {**STILL, "peristalsis": {"sd": 2}}))
    with pytest.raises(QsmbenchError, match=r"breath\.down: no region or group is called 'livr'"):
        _ = ball(tmp_path, breath={"down": {"livr": 1}}).breath
    with pytest.raises(QsmbenchError, match=r"heights of forward must increase"):
        ball(tmp_path, breath={"forward": [[5, 0], [0, 0]]})
