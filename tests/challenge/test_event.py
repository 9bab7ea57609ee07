"""A challenge from new to board on the command line, and its truth against the commitment."""

import gzip
import json
import shutil
from datetime import UTC, datetime

import pytest
from challenge.conftest import configuration

from qsmbench.challenge import make
from qsmbench.challenge.reveal import reveal, verify_commitment
from qsmbench.errors import FailedError, QsmbenchError

NOW = datetime(2027, 1, 1, tzinfo=UTC)


@pytest.fixture
def revealed(made, tmp_path):
    reveal(made.read, tmp_path / "revealed", NOW)
    return tmp_path / "revealed"


def test_what_is_revealed_is_what_was_promised(made, revealed):
    found = verify_commitment(revealed, made.inputs / "commitment.json")
    assert found == json.loads((made.private / "commitment.json").read_text())["sha256"]


def in_volume(file):
    """Change one bit of one voxel."""
    content = bytearray(gzip.decompress(file.read_bytes()))
    content[-100] ^= 1
    file.write_bytes(gzip.compress(bytes(content)))


TAMPERED = {
    "truth": lambda top: in_volume(top / "scans" / "sub-02" / "truth" / "chimap.nii.gz"),
    "scan": lambda top: in_volume(top / "scans" / "sub-02" / "scan" / "phase.nii.gz"),
    "labels": lambda top: (top / "scans" / "sub-01" / "truth" / "dseg.tsv").write_text("index\tname\tgroup\n"),
    "nonce": lambda top: (top / "nonce").write_text("0" * 64),
    "configuration": lambda top: (top / "challenge.yaml").write_text((top / "challenge.yaml").read_text() + "#\n"),
    "code": lambda top: (top / "code.json").write_text('{"qsmbench": "9.9"}'),
    "added": lambda top: (top / "scans" / "sub-01" / "truth" / "more").write_text(""),
    "removed": lambda top: (top / "scans" / "sub-01" / "truth" / "r2star.nii.gz").unlink(),
    "swapped": lambda top: (
        shutil.move(top / "scans" / "sub-01", top / "x"),
        shutil.move(top / "scans" / "sub-02", top / "scans" / "sub-01"),
        shutil.move(top / "x", top / "scans" / "sub-02"),
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampering_is_found(made, revealed, what):
    TAMPERED[what](revealed)
    with pytest.raises(FailedError, match="is not what was promised"):
        verify_commitment(revealed, made.private / "commitment.json")


def test_a_truth_that_was_made_by_hand_is_found_though_it_was_promised(made, revealed):
    """The organiser commits to a truth that the nonce does not give; to simulate again finds it."""
    from qsmbench.challenge.secret import commitment, digests, read_nonce

    in_volume(revealed / "scans" / "sub-02" / "truth" / "chimap.nii.gz")
    parts = read_nonce(revealed / "nonce", private=False), (revealed / "challenge.yaml").read_text()
    code = json.loads((revealed / "code.json").read_text())
    promised = revealed.parent / "promised.json"
    promised.write_text(json.dumps({"sha256": commitment(*parts, code, digests(revealed / "scans"))}))
    verify_commitment(revealed, promised)
    with pytest.raises(FailedError, match=r"sub-02/truth/chimap\.nii\.gz: is not what the nonce gives"):
        verify_commitment(revealed, promised, simulate=True)


def test_nothing_is_revealed_before_the_deadline(event, tmp_path):
    file = event.private / "challenge.yaml"
    file.write_text(file.read_text() + "deadline: 2027-03-01T12:00:00Z\n")
    with pytest.raises(QsmbenchError, match="cannot be taken back"):
        reveal(event.read, tmp_path / "revealed", NOW)


def test_a_deadline_that_has_passed_is_noted(tmp_path, monkeypatch):
    class Stopped(Exception):
        pass

    def stop(*_):
        raise Stopped

    monkeypatch.setattr(make, "simulate_into", stop)
    said = []
    for i, (year, expected) in enumerate(((2020, 1), (2099, 1))):
        file = configuration(tmp_path / f"c{i}", f"deadline: {year}-01-01T00:00:00Z\n")
        with pytest.raises(Stopped):
            make.new(file, tmp_path / f"p{i}", note=said.append)
        assert len(said) == expected
    assert said == ["the deadline 2020-01-01T00:00:00+00:00 has passed: every submission will be late"]


def test_from_new_to_board(made, command, tmp_path):
    private, inputs, received = (tmp_path / n for n in ("private", "inputs", "received"))
    again = ("--nonce", made.private / "nonce")  # so that the maps are of these subjects
    assert command("challenge", "new", configuration(tmp_path / "config"), private, *again)[0] == 0
    code, said, _ = command("challenge", "pack", private, inputs, "--bids")
    assert code == 0 and "3 scans" in said
    made.submit(received, "honest")
    (received / "empty").mkdir()
    code, said, _ = command("challenge", "verify", received / "empty", "--inputs", inputs)
    assert code == 1 and "refused: holds nothing" in said
    assert command("challenge", "verify", received / "honest", "--inputs", inputs)[0] == 0
    code, said, _ = command("challenge", "score", private, received)
    assert code == 4 and "1 of 2 submissions have a score on all 3 scans" in said
    code, said, _ = command("challenge", "score", private, received)
    assert "sub-01, honest: kept" in said
    code, said, _ = command("challenge", "board", private, tmp_path / "board", "--freeze")
    assert code == 0 and "1 ranked" in said and "1 refused" in said
    assert command("challenge", "reveal", private, tmp_path / "revealed")[0] == 0
    promised = inputs / "commitment.json"
    code, said, _ = command("challenge", "verify", tmp_path / "revealed", "--commitment", promised, "--simulate")
    assert code == 0 and "sub-03: is what the nonce gives" in said and "As promised" in said


def test_errors_are_one_line(made, command, tmp_path):
    for arguments, message in (
        (("verify", made.maps), "one of --inputs"),
        (("verify", made.maps, "--inputs", tmp_path), "has no inputs.json"),
        (("score", tmp_path, tmp_path), "private folder of a challenge"),
        (("new", tmp_path / "none.yaml", tmp_path / "out"), "none.yaml"),
    ):
        code, _, error = command("challenge", *arguments)
        assert code == 2 and message in " ".join(error.split()) and len(error.strip().splitlines()) == 1


def test_damaged_inputs_are_refused(made, command, tmp_path):
    shutil.copytree(made.inputs, tmp_path / "inputs")
    in_volume(tmp_path / "inputs" / "sub-01" / "phase.nii.gz")
    code, _, error = command("challenge", "verify", made.maps, "--inputs", tmp_path / "inputs")
    assert code == 2 and "get the inputs again" in error
