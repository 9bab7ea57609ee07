"""Seeds: small ones are NumPy's own, wide ones are derived from a secret, and nothing of them is left on disk."""

import hashlib
import hmac

import numpy as np
import pytest

from qsmbench.paths import cache_dir
from qsmbench.phantom.load import load
from qsmbench.scan.breathing import Breathing, depth
from qsmbench.scan.motion import Motion, poses
from qsmbench.seeds import WIDE, derive, generator, is_wide

SECRET = bytes(range(32))
DRAFT = {"voxel_size": 6, "supersampling": 1}


@pytest.mark.parametrize("seed", [0, 7, 2**63, [3, 1], [0, 5, 3], [12, 2**32 - 1]])
def test_small_seeds_give_the_numbers_of_numpy(seed):
    """So that no published subject or noise changes."""
    assert np.array_equal(generator(seed).standard_normal(9), np.random.default_rng(seed).standard_normal(9))


def test_a_derived_seed_is_an_hmac():
    digest = hmac.new(SECRET, b"4:scan\x005:noise", hashlib.sha256).digest()
    assert derive(SECRET, "scan", "noise") == int.from_bytes(digest, "big") | 1 << 255
    assert is_wide(derive(SECRET, "x")) and not is_wide(WIDE - 1)


def test_every_purpose_and_every_bit_of_the_secret_counts():
    purposes = [("a",), ("a", "b"), ("ab",), ("a", "b", ""), ("a\x001:b",)]
    others = [bytes([SECRET[0] ^ 1, *SECRET[1:]]), bytes([*SECRET[:31], SECRET[31] ^ 128])]
    assert len({derive(s, *p) for s in (SECRET, *others) for p in purposes}) == 15


def test_every_bit_of_a_wide_seed_counts():
    seed = derive(SECRET, "noise")
    drawn = {tuple(generator(seed ^ 1 << bit).standard_normal(2)) for bit in range(0, 255, 3)}
    assert len(drawn) == 85
    assert np.array_equal(generator([seed, 1]).random(4), generator([seed, 1]).random(4))
    assert not np.array_equal(generator([seed, 1]).random(4), generator([seed, 2]).random(4))


def test_protocols_take_wide_seeds():
    seed = derive(SECRET, "scan")
    moving = [Motion(poses=2, translate=1, rotate=1, seed=s) for s in (0, seed)]
    assert not np.allclose(*(poses(m, (0, 0, 0), 1)[0] for m in moving))
    time = np.arange(0, 4, 0.1)
    assert (
        depth(Breathing(field=[0.1], period=4, seed=seed), time) != depth(Breathing(field=[0.1], period=4), time)
    ).any()


@pytest.mark.slow
def test_nothing_of_a_secret_subject_is_left_in_the_cache(tmp_path, monkeypatch):
    """The cache keeps what results were made of beside them, and an ordinary subject's labels and veins are there."""
    monkeypatch.setenv("QSMBENCH_CACHE", str(tmp_path))
    seed = derive(SECRET, "subject")

    def look(subject):
        phantom = load("head", {**DRAFT, "subject": subject})
        assert len(phantom.vessels) > 20 and phantom.atlas.labels.any()
        return {f.relative_to(tmp_path) for f in cache_dir().rglob("*") if "layers" in str(f) or "_compute" in str(f)}

    template = look(0)
    assert look(seed) == template and look(5) > template
    texts = [f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()]
    assert not [t for t in texts if str(seed).encode() in t or f"{seed:x}".encode() in t]
