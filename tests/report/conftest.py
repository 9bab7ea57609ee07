"""A study with two seeds, a chain that failed and one that failed on one seed."""

import pytest
from invented_study import CHAINS, scores, write_study


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    failed = [
        ("romeo.vsharp.star", None, "docker image star:1.2 is not there"),
        ("romeo.pdf.tv", 1, "diverged at iteration 12"),
    ]
    return write_study(tmp_path_factory.mktemp("results") / "quick", scores(CHAINS, failed=failed))
