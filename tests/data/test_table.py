"""The artifact table agrees with what simulations make, and with itself."""

import pytest

from qsmbench.data.artifacts import ARTIFACTS, SCAN_ARTIFACTS, TRUE_ARTIFACTS
from qsmbench.phantom.load import load
from qsmbench.scan.protocol import load_protocol
from qsmbench.scan.simulate import simulate


@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({}, set()),
        ({"sources": [{"source": "calcification", "hu": 100, "at": [0, 0, 0], "radii": [6, 6, 6]}]}, {"ct", "sources"}),
    ],
)
def test_a_simulation_holds_what_the_table_says(settings, more):
    phantom = load("sphere", {"voxel_size": 4, **settings})
    truth = simulate(phantom, load_protocol("brain-3t", {"snr": None})).truth
    assert set(truth) == {*TRUE_ARTIFACTS} | more
    assert more <= {name for name, a in ARTIFACTS.items() if a.truth == "sometimes"}
    for name, volume in truth.items():
        assert volume.dtype == ARTIFACTS[name].dtype


def test_a_scan_is_phase_magnitude_and_mask():
    assert SCAN_ARTIFACTS == ("phase", "magnitude", "mask")


def test_files_and_places_are_taken_once():
    assert len({a.file for a in ARTIFACTS.values()}) == len(ARTIFACTS)
    places = [a.bids.name for a in ARTIFACTS.values() if a.bids]
    assert len(set(places)) == len(places)


def test_what_a_method_starts_from_is_an_artifact():
    assert {a.made_from for a in ARTIFACTS.values()} <= {*ARTIFACTS, None}


def test_chi_and_fields_alone_have_no_zero_of_their_own():
    assert {name for name, a in ARTIFACTS.items() if not a.own_zero} == {"chi", "total_field", "local_field"}
