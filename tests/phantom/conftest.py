"""Objects that the phantom's tests share: a coarse head, rendered once."""

from __future__ import annotations

import pytest

from qsmbench.phantom.base import Phantom
from qsmbench.phantom.load import load
from qsmbench.phantom.properties import Properties


@pytest.fixture(scope="session")
def head() -> Phantom:
    """The head in 2 mm voxels."""
    return load("head", {"voxel_size": 2, "supersampling": 1})


@pytest.fixture(scope="session")
def rendered(head: Phantom) -> Properties:
    """Its properties at 3 T."""
    return head.render(head.grid(), 3.0)
