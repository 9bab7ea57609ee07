"""What a measured scan cannot be: echo times, field strengths, slices and echoes that no scanner makes."""

import numpy as np
import pytest
from measured_scan import TE, bids, save, scan

from qsmbench.data.measured import Stated, read_measured
from qsmbench.errors import QsmbenchError


def read(root, s, **stated):
    mask = save(root / "mask.nii.gz", s.mask.astype(np.uint8), s.affine)
    return read_measured(root, Stated(mask=mask, **stated))


def written(root, s, te=None, b0=None, **how):
    """A scan whose sidecars say other echo times [s] and another field strength [T] than it was made with."""
    s.te, s.b0 = te or s.te, b0 or s.b0
    return bids(root, s, **how)


def test_a_good_scan_says_nothing(tmp_path):
    s = scan(background=0.3)
    assert [n for n in read(bids(tmp_path, s), s)[2] if "B0 taken" not in n] == []


@pytest.mark.parametrize(
    ("te", "said", "message"),
    [
        ((0.00012, 0.0004, 0.0007), (0.12, 0.4, 0.7), "the last echo time is 0.7 s; .* looks like ms in place of s"),
        (TE, (5.0, 12.0, 19.0), "these look like milliseconds"),
        (TE, (5e-6, 12e-6, 19e-6), "the last echo time is 1.9e-05 s, too short for a scanner"),
    ],
)
def test_echo_times_in_another_unit(tmp_path, te, said, message):
    s = scan(te=te)
    with pytest.raises(QsmbenchError, match=message):
        read(written(tmp_path, s, said), s)


def test_a_decay_that_no_object_has_is_noted(tmp_path):
    """Ultrashort echo times in ms that a gradient echo could have: the magnitude decays a thousand times too slowly."""
    s = scan(te=(0.00005, 0.0001, 0.00014))
    _, _, notes = read(written(tmp_path, s, (0.05, 0.1, 0.14)), s)
    assert any("the magnitude decays by 0.02 /s" in n and "are the echo times in seconds?" in n for n in notes)


@pytest.mark.parametrize("b0", [3000.0, 30000.0, 123.2, 0.003])
def test_a_field_strength_in_another_unit(tmp_path, b0):
    s = scan()
    with pytest.raises(QsmbenchError, match=r"tesla|scanners have"):
        read(written(tmp_path, s, b0=b0), s)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_every_second_slice_with_the_opposite_sign(tmp_path, axis):
    s = scan(background=0.2)
    shift = np.pi * (np.arange(s.field.shape[axis]) % 2)
    shape = [1, 1, 1, 1]
    shape[axis] = -1
    phase = np.angle(np.exp(1j * (s.phase + shift.reshape(shape))))
    with pytest.raises(QsmbenchError, match=r"jumps by about π between 100 % of neighbouring slices along the "):
        read(bids(tmp_path, s, phase=phase), s)


@pytest.mark.parametrize("axes", [(2,), (1,), (0, 2)])
@pytest.mark.parametrize("masked", [True, False])
def test_a_magnitude_that_is_flipped_though_its_header_is_not(tmp_path, axes, masked):
    """Of an object that is no mirror image of itself; noise or 0 around it."""
    s = scan(background=0.2)
    corner = (np.indices(s.mask.shape) / np.array(s.mask.shape)[:, None, None, None]).sum(0) < 1.2
    s.mask &= corner
    rng = np.random.default_rng(2)
    around = np.zeros(s.phase.shape) if masked else rng.uniform(-np.pi, np.pi, s.phase.shape)
    s.phase = np.where(s.mask[..., None], s.phase, around)
    s.magnitude = np.where(s.mask[..., None], s.magnitude, 15.0)
    read(bids(tmp_path / "right", s), s)
    with pytest.raises(QsmbenchError, match="phase and magnitude are stored in different directions"):
        read(bids(tmp_path / "wrong", s, magnitude=np.flip(s.magnitude, axes)), s)


def test_one_echo_with_the_opposite_sign(tmp_path):
    s = scan(background=0.2)
    phase = s.phase.copy()
    phase[..., 1] *= -1
    with pytest.raises(
        QsmbenchError, match=r"echo 2 changes by -2\.\d times that of echo 1 .* the echo times say 2\.4"
    ):
        read(bids(tmp_path, s, phase=phase), s)


def test_one_echo_twice(tmp_path):
    s = scan(background=0.2)
    phase = s.phase[..., [0, 1, 1]]
    with pytest.raises(QsmbenchError, match="echoes 2 and 3 hold the same phase"):
        read(bids(tmp_path, s, phase=phase), s)


def test_echoes_with_the_echo_times_of_others_are_noted(tmp_path):
    s = scan(background=0.2, te=(0.004, 0.02))
    _, _, notes = read(written(tmp_path, s, (0.004, 0.006)), s)
    assert any("changes by 4.9 times that of echo 1" in n and "the echo times say 1.5" in n for n in notes)


def test_a_phase_that_does_not_grow_is_noted(tmp_path):
    s = scan(background=0.2)
    phase = s.phase.copy()
    phase[..., 1] = np.random.default_rng(1).uniform(-np.pi, np.pi, phase.shape[:3])
    _, _, notes = read(bids(tmp_path, s, phase=phase), s)
    assert any("the phase of echo 2 is noise in most of the mask" in n for n in notes)
    x, y = (np.linspace(-6, 6, n) for n in phase.shape[:2])
    phase[..., 1] = (2 * np.sin(x)[:, None] * np.cos(y))[..., None]  # a field that has nothing to do with the other
    _, _, notes = read(bids(tmp_path / "other", s, phase=phase), s)
    assert any("it does not grow with TE" in n for n in notes)


def test_noise_alone_is_noted(tmp_path):
    s = scan(background=0.2)
    phase = np.random.default_rng(1).uniform(-np.pi, np.pi, s.phase.shape)
    for te in (s.te, s.te[:1]):
        s.te = te
        _, _, notes = read(bids(tmp_path / str(len(te)), s, phase=phase), s)
        assert any("the phase is noise in most of the mask, in all echoes" in n for n in notes)


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_a_phase_that_says_nothing(tmp_path, value):
    s = scan()
    s.te = s.te[:1]
    with pytest.raises(QsmbenchError, match=f"the phase is {value:g} in the whole mask"):
        read(bids(tmp_path, s, phase=np.full_like(s.phase, value)), s)


def test_a_magnitude_below_zero(tmp_path):
    """The real part in its place; an interpolation that goes below 0 by a few per cent is none."""
    s = scan(background=0.2)
    ringing = s.magnitude * np.where(np.indices(s.mask.shape).sum(0) % 7, 1, -0.005)[..., None]
    read(bids(tmp_path / "a", s, magnitude=ringing), s)
    with pytest.raises(QsmbenchError, match=r"the magnitude is below 0 in 100 % of the mask"):
        read(bids(tmp_path / "b", s, magnitude=-s.magnitude), s)


def test_echoes_in_units_that_no_wrap_tells_apart(tmp_path):
    """One of milliradians among radians, in a masked scan that does not wrap."""
    s = scan(noise=False, strength=0.3)
    phase = s.phase * np.array([1.0, 1.0, 1e-3])
    with pytest.raises(QsmbenchError, match=r"the phase of echo 3 changes by 0.0016 times .* in different units"):
        read(bids(tmp_path, s, phase=phase), s)


def test_a_phase_offset_and_echoes_of_both_directions_say_nothing(tmp_path):
    """Smooth phase of the coils, the same in all echoes, and a ramp that alternates."""
    s = scan(background=0.2)
    x = np.linspace(-1, 1, s.field.shape[0])[:, None, None, None]
    ramp = np.array([1, -1, 1]) * 1.5 * x
    phase = np.angle(np.exp(1j * (s.phase + 1.0 * x**2 + 0.7 + ramp)))
    assert [n for n in read(bids(tmp_path, s, phase=phase), s)[2] if "B0 taken" not in n] == []


def test_a_field_too_steep_for_the_field_strength(tmp_path):
    """The phase of ms written with the echo times of µs: a field of a thousand times as many ppm."""
    s = scan(background=0.3)
    te = tuple(t / 100 for t in s.te)
    with pytest.raises(QsmbenchError, match=r"the field differs by .* ppm between neighbouring voxels"):
        read(written(tmp_path, s, te, b0=0.05), s)


def test_scans_of_arrays_and_of_folders_are_looked_at(small, scan_folder, tmp_path):
    import json

    import qsmbench as qb
    from qsmbench.run.chains import Limits
    from qsmbench.study.reconstruct import reconstruct

    with pytest.raises(QsmbenchError, match=r"te: the last echo time is 0.9 s"):
        qb.Scan(small["scan"]["phase"], small["scan"]["magnitude"], te=[0.3, 0.6, 0.9], b0=3, voxel_size=1)
    params = scan_folder / "scan" / "params.json"
    params.write_text(json.dumps({**json.loads(params.read_text()), "TE": [0.3, 0.6, 0.9]}))
    with pytest.raises(QsmbenchError, match=r"params\.json: the last echo time is 0.9 s"):
        reconstruct("zero", scan_folder / "scan", tmp_path / "out", limits=Limits(60), note=print)
