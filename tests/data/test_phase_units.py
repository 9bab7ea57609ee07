"""The unit of phase: every unit that evidence shows is found, and what is not clear is refused with the keys."""

import numpy as np
import pytest
from measured_scan import bids, edit, files, save_stored, scan, slope

from qsmbench.data.measured import Stated, read_measured
from qsmbench.data.phase_units import Evidence, to_radians
from qsmbench.errors import QsmbenchError
from qsmbench.phantom.load import load
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import simulate

TURN = 2 * np.pi
KEYS = r"state phase_unit \(rad, mrad, siemens, degrees, pi, cycles\) or phase_scale \(rad per stored number\)"


@pytest.fixture
def wrapped():
    """A scan whose phase wraps, in signal and in the noise around."""
    s = scan(background=0.5)
    assert np.abs(s.unwrapped[s.mask]).max() > 1.5 * np.pi
    return s


@pytest.fixture
def weak():
    """A scan whose phase is far from wrapping, with nothing around it."""
    return scan(noise=False)


def read(root, **stated):
    return read_measured(root, Stated(**stated))


CONVERSIONS = {
    "rad": lambda p: p,
    "0…2π": lambda p: np.mod(p, TURN),
    "0…2π, rounded below 0": lambda p: np.mod(p, TURN) - 1e-6,
    "0…4095": lambda p: np.round((p + np.pi) / TURN * 4096).clip(0, 4095).astype(np.int16),
    "−4096…4095": lambda p: np.round(p / np.pi * 4096).clip(-4096, 4095).astype(np.int16),
    "−4096…4094 in steps of 2": lambda p: (2 * np.floor((p + np.pi) / TURN * 4096).clip(0, 4095) - 4096).astype(
        np.int16
    ),
    "−2048…2047": lambda p: np.round(p / np.pi * 2048).clip(-2048, 2047).astype(np.int16),
    "mrad": lambda p: np.round(1000 * p).astype(np.int16),
    "mrad, rounded up": lambda p: np.round(1000.4 * p).astype(np.int16),
    "0…6283": lambda p: np.mod(np.round(1000 * p), 1000 * TURN),
    "degrees": np.rad2deg,
    "0…360": lambda p: np.mod(np.rad2deg(p), 360),
    "π": lambda p: p / np.pi,
    "cycles": lambda p: p / TURN,
    "0…1": lambda p: np.mod(p / TURN, 1),
}


@pytest.mark.parametrize("how", CONVERSIONS)
@pytest.mark.parametrize("units", ["arbitrary", None])
def test_phase_that_wraps_shows_its_unit(wrapped, tmp_path, how, units):
    volumes, params, notes = read(bids(tmp_path, wrapped, phase=CONVERSIONS[how](wrapped.phase), units=units))
    assert slope(volumes, params, wrapped) == pytest.approx(1, abs=0.01)
    assert np.abs(volumes["phase"]).max() <= np.pi * 1.01
    said = [n for n in notes if "radians" in n or "wrapped to" in n]
    assert bool(said) == (how != "rad")


@pytest.mark.parametrize(
    "convert",
    [
        lambda p: p,
        lambda p: p / np.pi,
        lambda p: p / TURN,
        lambda p: np.rad2deg(p),
        lambda p: np.round(1000 * p).astype(np.int16),
        lambda p: np.round(p / np.pi * 4096).astype(np.int16),
        lambda p: np.round(p / np.pi * 2048 + 2048).astype(np.int16),
        lambda p: 0.0011695906 * p,
    ],
)
def test_phase_that_does_not_wrap_and_states_no_unit_is_refused(weak, tmp_path, convert):
    """Among them ±4096 that is never reached, which the range alone takes for milliradians."""
    root = bids(tmp_path, weak, phase=convert(weak.phase), units="arbitrary")
    with pytest.raises(QsmbenchError, match=KEYS) as refused:
        read(root)
    assert "\n" not in str(refused.value)


UNITS = {
    "rad": lambda p: p,
    "mrad": lambda p: 1000 * p,
    "siemens": lambda p: np.round((p + np.pi) / TURN * 4096).astype(np.int16),
    "degrees": np.rad2deg,
    "pi": lambda p: p / np.pi,
    "cycles": lambda p: p / TURN,
}


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("background", [0.0, 0.5])
def test_the_user_states_the_unit(tmp_path, unit, background):
    s = scan(noise=background > 0, background=background)
    root = bids(tmp_path, s, phase=UNITS[unit](s.phase), units="arbitrary")
    volumes, params, _ = read(root, phase_unit=unit)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("units", ["rad", "mrad", "degrees", "cycles", "radians", "deg"])
def test_the_sidecar_states_the_unit(weak, tmp_path, units):
    convert = UNITS[{"radians": "rad", "deg": "degrees"}.get(units, units)]
    volumes, params, _ = read(bids(tmp_path, weak, phase=convert(weak.phase), units=units))
    assert slope(volumes, params, weak) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("unit", ["pi", "cycles", "degrees", "mrad", "siemens"])
def test_a_sidecar_that_the_wraps_contradict_is_refused(wrapped, tmp_path, unit):
    with pytest.raises(QsmbenchError, match=r"Units says rad, but .*state phase_unit"):
        read(bids(tmp_path, wrapped, phase=UNITS[unit](wrapped.phase), units="rad"))


@pytest.mark.parametrize(("unit", "stated"), [("cycles", "rad"), ("rad", "mrad"), ("siemens", "rad"), ("mrad", "rad")])
def test_a_user_whom_the_wraps_contradict_is_told(wrapped, tmp_path, unit, stated):
    root = bids(tmp_path, wrapped, phase=UNITS[unit](wrapped.phase), units="arbitrary")
    with pytest.raises(QsmbenchError, match=f"phase_unit says {stated}, but .*the wraps speak for phase_scale: "):
        read(root, phase_unit=stated)


def test_units_that_are_none_of_phase(weak, tmp_path):
    with pytest.raises(QsmbenchError, match="Units is 'Hz', which is not a unit of phase"):
        read(bids(tmp_path, weak, units="Hz"))


def test_echoes_in_two_units(wrapped, tmp_path):
    root = bids(tmp_path, wrapped, units="arbitrary")
    edit(files(root, "phase")[1].with_name("sub-01_echo-2_part-phase_MEGRE.json"), Units="rad")
    with pytest.raises(
        QsmbenchError, match=r"echo-2_part-phase.*Units is 'rad', but 'arbitrary' in .*echo-1_part-phase"
    ):
        read(root)
    phase = wrapped.phase.copy()
    phase[..., 2] /= TURN
    with pytest.raises(QsmbenchError, match=r"echo 3 wraps within -0.5 … 0.5, .* must be in one unit"):
        read(bids(tmp_path / "other", wrapped, phase=phase))


def test_an_echo_in_another_unit_whose_noise_alone_shows_it(tmp_path):
    """The field is too weak to wrap; the noise around the object fills −π…π in two echoes, ±3142 in one."""
    s = scan()
    phase = s.phase * np.array([1.0, 1000.0, 1.0])
    with pytest.raises(QsmbenchError, match=r"echo 1 wraps within -3.1416 … 3.1416, .* must be in one unit"):
        read(bids(tmp_path, s, phase=phase, units="arbitrary"))


def stale(root, s, slope_, inter=0.0):
    for e, f in enumerate(files(root, "phase")):
        save_stored(f, s.phase[..., e], s.affine, slope_, inter, np.float32)
    return root


@pytest.mark.parametrize("units", ["arbitrary", None])
def test_a_stale_slope_is_not_taken(weak, wrapped, tmp_path, units):
    """The phase is −π…π as stored, and the header keeps a slope from before the conversion."""
    for s, name in ((weak, "weak"), (wrapped, "wrapped")):
        root = stale(bids(tmp_path / name, s, units=units), s, 0.0011695906)
        with pytest.raises(QsmbenchError, match=r"as stored, before slope and intercept.*phase_scale"):
            read(root)
        volumes, params, _ = read(root, phase_scale=1.0)
        assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)


def test_a_stale_slope_and_a_stated_unit(weak, wrapped, tmp_path):
    """Stored −π…π to both ends leaves no doubt; a smaller range may be either."""
    for stated in ({"phase_unit": "rad"}, {}):
        root = stale(bids(tmp_path / f"wrapped{len(stated)}", wrapped), wrapped, 0.0011695906)
        volumes, params, notes = read(root, **stated)
        assert slope(volumes, params, wrapped) == pytest.approx(1, abs=0.01)
        assert any("slope of 0.00116959 in the header" in n and "is ignored" in n for n in notes)
        with pytest.raises(QsmbenchError, match=r"says rad; .* state phase_scale \(1 for the stored numbers"):
            read(stale(bids(tmp_path / f"weak{len(stated)}", weak), weak, 0.0011695906), **stated)


HEADERS = {
    "mrad": (1.535, -3143.0),
    "siemens": (2.0, -4096.0),
    "rad": (TURN / 4096, -np.pi),
    "0…2π": (TURN / 4096, 0.0),
    "cycles": (1 / 4096, -0.5),
    "degrees": (360 / 4096, -180.0),
}


@pytest.mark.parametrize("how", HEADERS)
def test_slope_and_intercept_of_12_bits_show_the_unit(weak, tmp_path, how):
    """Also where the phase does not wrap: what the scanner could have stored tells."""
    root = bids(tmp_path, weak, units="arbitrary")
    for e, f in enumerate(files(root, "phase")):
        numbers = np.floor((weak.phase[..., e] + np.pi) / TURN * 4096).clip(0, 4095)
        save_stored(f, numbers, weak.affine, *HEADERS[how], np.uint16)
    volumes, params, notes = read(root)
    assert slope(volumes, params, weak) == pytest.approx(1, abs=0.01)
    assert how in ("rad", "0…2π") or any("put 0…4095 there" in n for n in notes)


def test_integers_scaled_for_each_file(wrapped, tmp_path):
    """As nibabel writes floats into integers: slopes differ between echoes, and mean nothing."""
    root = bids(tmp_path, wrapped, units="rad", dtype=np.float32)
    for e, f in enumerate(files(root, "phase")):
        values = wrapped.phase[..., e]
        slope_ = (values.max() - values.min()) / 60000 * (1 + e / 7)
        save_stored(f, np.round(values / slope_), wrapped.affine, slope_, 0, np.int16)
    volumes, params, _ = read(root)
    assert slope(volumes, params, wrapped) == pytest.approx(1, abs=0.01)


def test_a_scale_is_stated(wrapped, tmp_path):
    numbers = np.round(wrapped.phase / np.pi * 32767).astype(np.int16)
    root = bids(tmp_path, wrapped, phase=numbers, units="arbitrary")
    with pytest.raises(QsmbenchError, match=r"the wraps speak for phase_scale: 9\.587\d*e-05"):
        read(root)
    volumes, params, _ = read(root, phase_scale=np.pi / 32767)
    assert slope(volumes, params, wrapped) == pytest.approx(1, abs=0.01)
    with pytest.raises(QsmbenchError, match="these wraps speak for phase_scale: "):
        read(root, phase_scale=np.pi / 4096)
    _, _, notes = read(root, phase_scale=1e-6)  # as stated, but not in silence
    assert any("these wraps speak for phase_scale: " in n for n in notes)


@pytest.mark.parametrize("scale", [0.0, -1.0, np.nan, np.inf])
def test_a_scale_is_a_positive_number(scale):
    with pytest.raises(QsmbenchError, match="it must be a positive number"):
        Stated(phase_scale=scale)


def test_one_of_unit_and_scale():
    with pytest.raises(QsmbenchError, match="both given"):
        Stated(phase_unit="rad", phase_scale=1.0)
    with pytest.raises(QsmbenchError, match="phase_unit is 'radian'; choose from rad"):
        Stated(phase_unit="radian")


@pytest.mark.parametrize("unit", ["rad", "mrad", "cycles"])
def test_unwrapped_phase_is_stated_and_wrapped_again(wrapped, tmp_path, unit):
    root = bids(tmp_path, wrapped, phase=UNITS[unit](wrapped.unwrapped), units="rad" if unit == "rad" else "arbitrary")
    with pytest.raises(QsmbenchError, match="state phase_unit"):
        read(root)
    volumes, params, notes = read(root, phase_unit=unit)
    assert slope(volumes, params, wrapped) == pytest.approx(1, abs=0.01)
    assert any("unwrapped phase" in n for n in notes)
    np.testing.assert_allclose(np.angle(np.exp(1j * (volumes["phase"] - wrapped.unwrapped))), 0, atol=1e-3)


def test_what_cannot_be_unwrapped_phase(wrapped, tmp_path):
    root = bids(tmp_path, wrapped, phase=3000 * wrapped.unwrapped, units="arbitrary")
    with pytest.raises(QsmbenchError, match="this is not an unwrapped phase in that unit"):
        read(root, phase_unit="rad")


def test_arrays_are_in_radians_unless_they_cannot_be(wrapped, weak):
    """The convention of a folder of artifacts and of the Python interface."""
    convention = Evidence(by_convention="rad")
    assert np.array_equal(to_radians(weak.phase, "x", convention)[0], weak.phase.astype(np.float32))
    with pytest.raises(QsmbenchError, match="its unit is not clear"):
        to_radians(scan(background=0.5, noise=False).phase / TURN * 0.7, "x", convention)
    values, notes = to_radians(np.round(1000 * wrapped.phase), "x", convention)
    np.testing.assert_allclose(values, wrapped.phase, atol=1e-3)
    assert "milliradians" in notes[0]


@pytest.mark.parametrize("unit", ["pi", "cycles", "degrees"])
def test_noise_around_an_object_shows_the_turn(tmp_path, unit):
    """Where the phase of the object does not wrap; so that `Units` of rad is seen to be wrong, too."""
    s = scan(noise=True)
    volumes, params, _ = read(bids(tmp_path / "a", s, phase=UNITS[unit](s.phase), units="arbitrary"))
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    with pytest.raises(QsmbenchError, match=r"Units says rad, but .*state phase_unit"):
        read(bids(tmp_path / "b", s, phase=UNITS[unit](s.phase), units="rad"))


def test_noise_is_not_a_wrap():
    """Uniform noise spans its range and jumps, but not by all of it."""
    noise = np.random.default_rng(0).uniform(-0.3, 0.3, (20, 20, 20, 1))
    with pytest.raises(QsmbenchError, match="no wraps are seen"):
        to_radians(noise, "x")


@pytest.mark.parametrize("voxel_size", [8, 4])
@pytest.mark.parametrize("protocol", ["brain-3t", "brain-1p5t"])
@pytest.mark.parametrize("stated", [None, "rad"])
def test_sharp_edges_are_no_wraps(voxel_size, protocol, stated):
    """The noise-free phase of a simulated sphere, of which neighbours at the edge differ by all that an echo spans."""
    phantom = load("sphere", {"voxel_size": voxel_size})
    phase = np.angle(simulate(phantom, load_protocol(protocol)).signal).astype(np.float32)
    for echoes in (phase, *np.split(phase, phase.shape[3], axis=3)):
        found, _ = to_radians(echoes, "x", Evidence(sidecar=stated, by_convention=None if stated else "rad"))
        assert np.array_equal(found, echoes)
