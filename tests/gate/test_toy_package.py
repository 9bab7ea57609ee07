"""A package of one's own with the gate in its CI, as docs/ci.md shows it: a good commit and a faulty one."""

import shlex

import pytest
import yaml

from qsmbench.paths import data_dir

PAGE = data_dir() / "docs" / "ci.md"

INVERSION = '''"""Thresholded division."""

import numpy as np
from qsmbench.method import method


@method(produces="chi", reference="Shmueli 2009")
def mine(local_field, mask, grid, *, threshold=0.2):
    """Divide by the dipole kernel, and by the threshold where the kernel is small."""
    k = np.meshgrid(*(np.fft.fftfreq(n, d) for n, d in zip(grid.shape, grid.voxel_size, strict=True)), indexing="ij")
    along = sum(b * f for b, f in zip(grid.b0_dir, k, strict=True))
    squared = sum(f**2 for f in k)
    kernel = 1 / 3 - along**2 / np.where(squared > 0, squared, 1)
    kernel = np.where(np.abs(kernel) < threshold, np.where(kernel < 0, -threshold, threshold), kernel)
    chi = np.fft.ifftn(np.fft.fftn(local_field) / kernel).real
    return np.where(mask, chi - chi[mask].mean(), 0).astype(np.float32)
'''

SUITE = {
    "study": "regression",
    "datasets": [
        {
            "phantom": "sphere",
            "protocol": "brain-3t",
            "set": {"voxel_size": [6, 6, 9]},
        }
    ],
    "chains": ["truth.mine"],
    "methods": {"mine": {"use": "toy/mine.py"}},
}


def ci_script():
    """The commands of the GitLab example, but for the installation."""
    blocks = PAGE.read_text().split("```yaml\n")[1:]
    (job,) = [y for y in (yaml.safe_load(b.split("```")[0]) for b in blocks) if "gate" in y]
    lines = job["gate"]["script"]
    assert lines[0].startswith("pip install") and len(yaml.safe_dump(job).splitlines()) <= 15
    return [shlex.split(line) for line in lines[1:]]


@pytest.mark.skipif(not PAGE.is_file(), reason="only in a checkout")
def test_the_gate_of_a_package(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "toy" / "mine.py"
    file.parent.mkdir()
    (tmp_path / "regression.yaml").write_text(yaml.safe_dump(SUITE))

    def ci():
        for name, *arguments in ci_script():
            assert name == "qsmbench"
            code, out, told = command(*("1" if a == "2" else a for a in arguments))  # on one core
            if code:
                return code, out + told
        return 0, out

    file.write_text(INVERSION)
    code, _, told = command("run", "regression.yaml", "--cores", 1)
    assert code == 0, told
    assert command("baseline", "results/regression", "baseline.parquet")[0] == 0
    code, told = ci()
    assert code == 0 and "identical" in told and "worse" not in told, told
    file.write_text(INVERSION.replace("fftfreq(n, d)", "fftfreq(n)"))  # the voxel size is ignored
    code, told = ci()
    assert code == 1 and "worse" in told, told
    assert "worse" in (tmp_path / "junit.xml").read_text()
