"""The notebooks: stored without outputs, and executed from top to bottom."""

import json
import os

import pytest

from qsmbench.paths import data_dir

pytest.importorskip("nbclient")
NOTEBOOKS = sorted((data_dir() / "docs" / "notebooks").glob("*.ipynb"))
pytestmark = pytest.mark.skipif(not NOTEBOOKS, reason="only in a checkout")


def test_there_are_three():
    assert [n.stem for n in NOTEBOOKS] == ["compare-methods", "own-method", "own-scan"]


@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_no_output_is_stored(file):
    cells = json.loads(file.read_text())["cells"]
    assert all(c["outputs"] == [] and c["execution_count"] is None for c in cells if c["cell_type"] == "code")
    assert cells[0]["source"][0].startswith("# ") and sum(c["cell_type"] == "markdown" for c in cells) >= 5


@pytest.mark.filterwarnings("ignore")  # of the kernel's libraries
@pytest.mark.parametrize("file", NOTEBOOKS, ids=lambda f: f.stem)
def test_it_runs_and_shows_pictures(file, monkeypatch):
    import notebook_pages

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(data_dir()), os.environ.get("PYTHONPATH", "")]))
    cells = notebook_pages.executed(file).cells
    outputs = [o for c in cells if c["cell_type"] == "code" for o in c["outputs"]]
    assert sum("image/png" in o.get("data", {}) for o in outputs) >= 3
    assert [o["text"] for o in outputs if o.get("name") == "stderr"] == []
