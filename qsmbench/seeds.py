"""Random numbers from seeds: small whole numbers as users write them, and wide ones that are derived from a secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

import numpy as np

WIDE = 2**64
"""Seeds from here on are secret: they have too many values to be tried, and results from them are not cached."""


def is_wide(seed: int) -> bool:
    """Return whether a seed is one that `derive` returns."""
    return seed >= WIDE


def derive(secret: bytes, *purpose: str) -> int:
    """Derive a wide seed from a secret: HMAC-SHA-256 (RFC 2104) of what it is for.

    Neither the secret nor any other seed follows from it.

    Args:
        secret: of 32 bytes.
        purpose: what the seed is for; every purpose has its own.
    """
    text = "\0".join(f"{len(p)}:{p}" for p in purpose)
    digest = hmac.digest(secret, text.encode(), "sha256")
    return int.from_bytes(digest, "big") | 1 << 255  # wide, whatever the digest


def generator(seed: int | Sequence[int]) -> np.random.Generator:
    """Return the random generator of a seed, or of several numbers together.

    Small numbers seed NumPy's default generator (PCG64). That one's state is found from its output in practice
    (Bouillaguet 2020, doi:10.46586/tosc.v2020.i3.175-196), and noise is output that a scan shows. So if a number is
    wide, the generator is Philox (Salmon 2011, doi:10.1145/2063384.2063405), which has no such attack; its key and
    counter are the SHA-256 of the numbers.
    """
    numbers = [seed] if isinstance(seed, int) else list(seed)
    if not any(is_wide(n) for n in numbers):
        return np.random.default_rng(numbers)
    digest = hashlib.sha256(",".join(map(str, numbers)).encode()).digest()
    key, start = (int.from_bytes(part, "big") for part in (digest[:16], digest[16:]))
    return np.random.Generator(np.random.Philox(key=key, counter=start << 128))
