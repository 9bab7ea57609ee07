"""Maps as BIDS derivatives: names, units and tables; the maps are those of the reconstruction."""

import json

import nibabel as nib
import numpy as np
import pytest

from qsmbench.data import folders
from qsmbench.errors import QsmbenchError
from qsmbench.export.bids import export
from qsmbench.run.chains import Limits
from qsmbench.study.reconstruct import reconstruct
from qsmbench.units import hz_per_ppm


@pytest.fixture
def maps(scan_folder):
    """A reconstruction of the small scan."""
    reconstruct("laplacian.fit.vsharp.tkd", scan_folder / "scan", scan_folder / "maps", limits=Limits(60), note=str)
    return scan_folder / "maps"


def test_a_reconstruction(maps, tmp_path, small):
    (root,) = export(maps, tmp_path / "derivatives", note=pytest.fail)
    assert root.name == "laplacian-fit-vsharp-tkd"
    description = json.loads((root / "dataset_description.json").read_text())
    assert description["DatasetType"] == "derivative" and description["Name"] == "laplacian.fit.vsharp.tkd"
    assert (root / "participants.tsv").read_text() == "participant_id\tdataset\nsub-maps\tmaps\n"
    assert {str(f.relative_to(root / "sub-maps")) for f in root.glob("sub-maps/*/*")} == {
        *("anat/sub-maps_Chimap.nii.gz", "anat/sub-maps_Chimap.json")
    }
    found, expected = (
        nib.load(f).get_fdata() for f in (root / "sub-maps/anat/sub-maps_Chimap.nii.gz", maps / "chimap.nii.gz")
    )
    np.testing.assert_array_equal(found, expected)
    assert json.loads((root / "sub-maps/anat/sub-maps_Chimap.json").read_text()) == {
        "Description": "magnetic susceptibility relative to water (SI)",
        "SpatialReference": "orig",
        "Units": "ppm",
        "SkullStripped": True,
    }


def test_fields_are_in_hz_with_a_magnitude(scan_folder, tmp_path):
    reconstruct("laplacian.fit.vsharp", scan_folder / "scan", scan_folder / "maps", limits=Limits(60), note=str)
    (root,) = export(scan_folder / "maps", tmp_path / "derivatives", note=pytest.fail)
    place = root / "sub-maps" / "fmap"
    assert {f.name for f in place.glob("*.nii.gz")} == {
        *("sub-maps_desc-local_fieldmap.nii.gz", "sub-maps_desc-local_magnitude.nii.gz")
    }
    field = nib.load(place / "sub-maps_desc-local_fieldmap.nii.gz").get_fdata()
    ppm = nib.load(scan_folder / "maps" / "localfield.nii.gz").get_fdata()
    np.testing.assert_allclose(field, ppm * hz_per_ppm(3.0), rtol=1e-6)
    assert json.loads((place / "sub-maps_desc-local_fieldmap.json").read_text())["Units"] == "Hz"


def test_what_has_no_name_is_left_out(scan_folder, tmp_path):
    reconstruct("laplacian", scan_folder / "scan", scan_folder / "maps", limits=Limits(60), note=str)
    said = []
    assert export(scan_folder / "maps", tmp_path / "derivatives", note=said.append) == []
    assert said == ["laplacian: its maps have no BIDS name"]


def test_bad_folders(maps, tmp_path):
    with pytest.raises(QsmbenchError, match="contains no maps; name the folder of a study"):
        export(tmp_path / "scan", tmp_path / "derivatives", note=str)
    folders.make_folder(tmp_path / "derivatives")
    with pytest.raises(QsmbenchError, match="derivatives: already exists and is not overwritten"):
        export(maps, tmp_path / "derivatives", note=str)
