"""Which files make up a scan, that they belong together, and what they hold."""

import codecs
import gzip
import json
import shutil

import numpy as np
import pytest
from measured_scan import affine, bids, edit, files, save, scan, slope

from qsmbench.data.measured import Stated, read_measured
from qsmbench.errors import QsmbenchError


def read(root, **stated):
    return read_measured(root, Stated(**stated))


@pytest.fixture
def s():
    return scan()


def sidecar(root, part, echo):
    return files(root, part)[echo - 1].with_name(f"sub-01_echo-{echo}_part-{part}_MEGRE.json")


@pytest.mark.parametrize(
    ("stems", "message", "key", "label"),
    [
        (["sub-01_run-1", "sub-01_run-2"], "holds 2 scans: run-1, run-2; name one with run", "run", "2"),
        (["sub-01_run-01", "sub-01_run-02"], "holds 2 scans: run-01, run-02; name one with run", "run", "1"),
        (["sub-01_acq-hires", "sub-01_acq-lowres"], "acq-hires, acq-lowres; name one with acq", "acq", "lowres"),
        (["sub-01_rec-a", "sub-01"], "one without rec-, rec-a; name one with rec", "rec", "a"),
    ],
)
def test_one_of_several_scans_is_named(s, tmp_path, stems, message, key, label):
    for stem in stems:
        bids(tmp_path, s, stem=stem)
    with pytest.raises(QsmbenchError, match=message):
        read(tmp_path)
    volumes, params, _ = read(tmp_path, **{key: label})
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    with pytest.raises(QsmbenchError, match=f"has no {key}-7; choose from "):
        read(tmp_path, **{key: "7"})


def test_two_entities_at_once(s, tmp_path):
    for acq in ("a", "b"):
        for run in ("1", "2"):
            bids(tmp_path, s, stem=f"sub-01_acq-{acq}_run-{run}")
    with pytest.raises(QsmbenchError, match="name one with acq and run"):
        read(tmp_path)
    with pytest.raises(QsmbenchError, match="name one with run"):
        read(tmp_path, acq="b")
    read(tmp_path, acq="b", run="2")


@pytest.mark.parametrize("entity", ["ce", "dir", "chunk", "foo"])
def test_entities_without_a_key_of_their_own(s, tmp_path, entity):
    for label in ("a", "b"):
        bids(tmp_path, s, stem=f"sub-01_{entity}-{label}")
    with pytest.raises(QsmbenchError, match=f"{entity}-a, {entity}-b; name one with entities, such as {entity}-a"):
        read(tmp_path)
    volumes, params, _ = read(tmp_path, entities=f"{entity}-b")
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    with pytest.raises(QsmbenchError, match=f"has no {entity}-c; choose from {entity}-a, {entity}-b"):
        read(tmp_path, entities=f"{entity}-c")


@pytest.mark.parametrize(
    ("entities", "message"),
    [
        ("AP", "must be labels with their entities, such as ce-gd_dir-AP"),
        ("", "must be labels with their entities"),
        ("run-1", "holds run-1; use the key run"),
        ("sub-01_ce-a", "use the key subject"),
        ("echo-1", "a scan has all of its echoes and parts"),
    ],
)
def test_entities_are_written_as_in_names_of_files(entities, message):
    with pytest.raises(QsmbenchError, match=message):
        Stated(entities=entities)


def test_a_folder_within_a_dataset_is_told_from_one(s, tmp_path):
    bids(tmp_path, s)
    for inner in ("sub-01", "sub-01/anat"):
        with pytest.raises(QsmbenchError, match=rf"it lies in sub-01: name {tmp_path}, with subject"):
            read(tmp_path / inner)


def test_subjects_and_sessions(s, tmp_path):
    for name in ("sub-01", "sub-02"):
        bids(tmp_path, s, stem=name)
    _, _, notes = read(tmp_path)
    assert any("sub-01 is taken, the first of 2; choose another with subject" in n for n in notes)
    for label in ("02", "sub-02", "2"):
        assert not any("is taken" in n for n in read(tmp_path, subject=label)[2])
    with pytest.raises(QsmbenchError, match="has no sub-9; choose from sub-01, sub-02"):
        read(tmp_path, subject="9")


@pytest.mark.parametrize("part", ["mag", "phase"])
def test_a_magnitude_of_another_acquisition(s, tmp_path, part):
    """Phase of one acquisition, magnitude of another: never joined."""
    bids(tmp_path, s, stem="sub-01_acq-a")
    bids(tmp_path, s, stem="sub-01_acq-b")
    for acq, gone in (("a", "mag"), ("b", "phase")):
        for f in files(tmp_path, gone):
            if f"acq-{acq}" in f.name:
                f.unlink()
    with pytest.raises(QsmbenchError, match="the phase is of acq-a, the magnitude of acq-b"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("mag", {"EchoTime": 0.013}, "EchoTime is 0.013, but 0.012 in sub-01_echo-2_part-phase"),
        ("mag", {"MagneticFieldStrength": 7.0}, "MagneticFieldStrength is 7.0, but 3.0 in "),
        ("phase", {"MagneticFieldStrength": 7.0}, "MagneticFieldStrength is 7.0, but 3.0 in "),
        ("phase", {"EchoNumber": 3}, "EchoNumber is 3, but the name says echo-2"),
    ],
)
def test_sidecars_that_differ(s, tmp_path, part, changes, message):
    root = bids(tmp_path, s)
    edit(sidecar(root, part, 2), **changes)
    with pytest.raises(QsmbenchError, match=message) as refused:
        read(root)
    assert f"echo-2_part-{part}_MEGRE" in str(refused.value)


@pytest.mark.parametrize("key", ["FlipAngle", "SliceThickness", "RepetitionTime", "B0_dir"])
def test_keys_that_all_files_share(s, tmp_path, key):
    root = bids(tmp_path, s)
    values = ([0, 0, 1], [0, 1, 0]) if key == "B0_dir" else (10, 15)
    edit(sidecar(root, "phase", 1), **{key: values[0]})
    edit(sidecar(root, "mag", 3), **{key: values[1]})
    with pytest.raises(QsmbenchError, match=f"echo-3_part-mag.*{key} is .*, but .* in sub-01_echo-1_part-phase"):
        read(root)


def test_field_strength_and_imaging_frequency(s, tmp_path):
    root = bids(tmp_path, s)
    edit(sidecar(root, "phase", 1), ImagingFrequency=123.2)
    read(root)
    edit(sidecar(root, "phase", 1), ImagingFrequency=297.2)
    with pytest.raises(QsmbenchError, match=r"MagneticFieldStrength is 3 T, but ImagingFrequency .* 6\.98 T"):
        read(root)


@pytest.mark.parametrize("part", ["mag", "phase"])
def test_a_flipped_file_is_refused_with_the_other(s, tmp_path, part):
    root = bids(tmp_path, s)
    at = s.affine @ np.diag([-1, 1, 1, 1])
    at[:3, 3] = s.affine[:3, 3] + s.affine[:3, 0] * (s.field.shape[0] - 1)
    values = {"mag": s.magnitude, "phase": s.phase}[part][..., 1]
    save(files(root, part)[1], values[::-1], at)
    with pytest.raises(QsmbenchError, match=rf"echo-2_part-{part}.*\(that of sub-01_echo-1_part-phase"):
        read(root)


def test_a_missing_slice(s, tmp_path):
    root = bids(tmp_path, s)
    save(files(root, "mag")[2], s.magnitude[:, :, :-1, 2], s.affine)
    with pytest.raises(QsmbenchError, match=r"echo-3_part-mag.*shape \(24, 22, 19\) differs from the scan's"):
        read(root)


def test_axes_of_one(s, tmp_path):
    root = bids(tmp_path, s, phase=s.phase[..., None, :], magnitude=s.magnitude[..., None, None, :])
    volumes, params, _ = read(root)
    assert volumes["phase"].shape == s.phase.shape
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("part", ["mag", "phase"])
def test_uncombined_coils_are_refused_by_name(s, tmp_path, part):
    root = bids(tmp_path, s)
    values = {"mag": s.magnitude, "phase": s.phase}[part][..., 0]
    save(files(root, part)[0], np.repeat(values[..., None], 4, 3), s.affine)
    with pytest.raises(QsmbenchError, match=rf"echo-1_part-{part}.*has shape \(24, 22, 20, 4\), 4 volumes; .*coils"):
        read(root)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("part", ["mag", "phase"])
def test_nan_outside_the_mask(s, tmp_path, part, bad):
    name = {"mag": "magnitude", "phase": "phase"}[part]
    values = np.where(s.mask[..., None], getattr(s, name), bad)
    root = bids(tmp_path / "ds", s, **{name: values})
    mask = save(tmp_path / "mask.nii.gz", s.mask.astype(np.uint8), s.affine)
    volumes, params, notes = read(root, mask=mask)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    assert all(np.isfinite(v).all() for v in volumes.values())
    count = np.count_nonzero(~s.mask)
    assert any(
        f"echo-2_part-{part}_MEGRE.nii.gz: {count} voxels outside the mask are NaN or infinite" in n for n in notes
    )
    with pytest.raises(QsmbenchError, match="where these lie outside the object, give a mask"):
        read(root)


def test_nan_in_the_mask_is_refused(s, tmp_path):
    phase = s.phase.copy()
    phase[12, 11, 10, 2] = np.nan
    mask = save(tmp_path / "mask.nii.gz", s.mask.astype(np.uint8), s.affine)
    with pytest.raises(QsmbenchError, match=r"echo-3_part-phase.*1 of \d+ voxels are NaN or infinite in the mask"):
        read(bids(tmp_path / "ds", s, phase=phase), mask=mask)


def test_real_and_imaginary_parts(s, tmp_path):
    signal = s.magnitude * np.exp(1j * s.phase)
    root = bids(tmp_path, s, magnitude=signal.real, phase=signal.imag, units=None)
    for part, name in (("mag", "real"), ("phase", "imag")):
        for f in files(root, part):
            for g in (f, f.with_name(f.name.replace(".nii.gz", ".json"))):
                g.rename(g.with_name(g.name.replace(f"part-{part}", f"part-{name}")))
    volumes, params, notes = read(root)
    np.testing.assert_allclose(volumes["magnitude"], s.magnitude, rtol=1e-4)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    assert any("computed from real and imaginary parts" in n for n in notes)
    for e, f in enumerate(files(root, "real")):
        save(f, np.abs(signal.real[..., e]), s.affine)
    with pytest.raises(QsmbenchError, match="has no value below 0, so that it is no real part"):
        read(root)


def test_a_magnitude_without_part(s, tmp_path):
    root = bids(tmp_path, s)
    for f in files(root, "mag"):
        for g in (f, f.with_name(f.name.replace(".nii.gz", ".json"))):
            g.rename(g.with_name(g.name.replace("_part-mag", "")))
    volumes, params, _ = read(root)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)


def test_a_single_echo_of_t2starw(tmp_path):
    s = scan(te=(0.02,))
    root = bids(tmp_path, s, suffix="T2starw")
    for f in list((root / "sub-01/anat").iterdir()):
        f.rename(f.with_name(f.name.replace("_echo-1", "")))
    volumes, params, _ = read(root)
    assert volumes["phase"].shape == (*s.field.shape, 1)
    assert params.te.tolist() == [0.02]


def test_uncompressed_files(s, tmp_path):
    root = bids(tmp_path, s)
    for part in ("mag", "phase"):
        for e, f in enumerate(files(root, part)):
            f.unlink()
            save(f.with_suffix(""), {"mag": s.magnitude, "phase": s.phase}[part][..., e], s.affine)
    volumes, params, _ = read(root)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
def test_a_byte_order_mark_in_a_sidecar(s, tmp_path, mark):
    root = bids(tmp_path, s)
    side = sidecar(root, "phase", 1)
    side.write_bytes(mark + side.read_bytes())
    read(root)
    side.write_bytes(side.read_text("utf-8-sig").encode("utf-16"))
    read(root)


def flat(folder, s, table="echoes.tsv", separator="\t", comma=False):
    folder.mkdir()
    rows = [["echo_time", "field_strength", "phase", "magnitude", "units"]]
    for e in reversed(range(len(s.te))):  # the order of rows does not matter
        save(folder / f"p {e}.nii", s.phase[..., e], s.affine)
        save(folder / f"m{e}.nii.gz", s.magnitude[..., e], s.affine)
        te = str(s.te[e]).replace(".", ",") if comma else str(s.te[e])
        rows.append([te, "3", f"p {e}.nii", f"m{e}.nii.gz", "rad"])
    (folder / table).write_text("\n".join(separator.join(r) for r in rows) + "\n", encoding="utf-8-sig")
    return folder


@pytest.mark.parametrize(
    ("table", "separator", "comma"),
    [
        ("echoes.tsv", "\t", False),
        ("echoes.csv", ";", True),
        ("echoes.csv", ",", False),
        ("echoes.tsv", ";", False),
        ("echoes.tsv", "   ", False),
    ],
)
def test_a_folder_with_a_table_of_echoes(s, tmp_path, table, separator, comma):
    volumes, params, _ = read(flat(tmp_path / "flat", s, table, separator, comma))
    assert params.te.tolist() == list(s.te)
    assert slope(volumes, params, s) == pytest.approx(1, abs=0.01)
    with pytest.raises(QsmbenchError, match="is not a BIDS dataset; run is for these"):
        read(tmp_path / "flat", run="1")


def test_a_table_of_echoes_that_lacks_something(s, tmp_path):
    folder = flat(tmp_path / "flat", s)
    (folder / "m1.nii.gz").unlink()
    with pytest.raises(QsmbenchError, match=r"m1.nii.gz: no such file"):
        read(folder)
    (folder / "echoes.tsv").write_text("te\tphase\tmagnitude\n4\tp 0.nii\tm0.nii.gz\n")
    with pytest.raises(QsmbenchError, match=r"needed are echo_time \[s\]"):
        read(folder)


@pytest.mark.parametrize(
    "content", [b"version https://git-lfs.github.com/spec/v1\n", b"/annex/objects/MD5E-s1--a", None]
)
def test_a_volume_that_has_not_been_fetched(s, tmp_path, content):
    """Datasets are cloned without their large files: text or a dangling link stands in their place."""
    file = next(bids(tmp_path, s).rglob("*echo-1*phase*.nii*"))
    file.unlink()
    if content is None:
        file.symlink_to("../../.git/annex/objects/a/b/MD5E-s1--a.nii.gz")
    else:
        file.write_bytes(content)
    with pytest.raises(QsmbenchError, match=rf"{file.name}: points to a file that is not there; fetch it first"):
        read(tmp_path)


def test_a_table_of_echoes_that_names_a_file_twice(s, tmp_path):
    folder = flat(tmp_path / "flat", s)
    table = (folder / "echoes.tsv").read_text()
    (folder / "echoes.tsv").write_text(table.replace("m1.nii.gz", "m0.nii.gz"))
    with pytest.raises(QsmbenchError, match=r"echoes.tsv: m0.nii.gz is named twice; each echo has two files"):
        read(folder)


def test_a_dataset_without_a_description(s, tmp_path):
    from qsmbench.data.measured import is_measured

    root = bids(tmp_path, s)
    (root / "dataset_description.json").unlink()
    assert is_measured(root)
    shutil.rmtree(root / "sub-01")
    assert not is_measured(root)


def test_a_scan_in_python(s, tmp_path):
    import qsmbench as qb

    root = bids(tmp_path / "ds", s, phase=s.phase / np.pi, units="arbitrary", stem="sub-01_run-2")
    bids(root, s, stem="sub-01_run-1")
    mask = save(tmp_path / "m.nii.gz", s.mask.astype(np.uint8), affine())
    made = qb.load_scan(root, run=2, mask=mask, phase_unit="pi")
    np.testing.assert_allclose(made.phase, s.phase, atol=1e-5)
    assert any("multiples of π" in n for n in made.notes)
    scaled = qb.load_scan(root, run=2, mask=mask, phase_scale=np.pi, phase_sign=-1)
    np.testing.assert_allclose(scaled.phase, -s.phase, atol=1e-5)
    with pytest.raises(QsmbenchError, match="holds 2 scans"):
        qb.load_scan(root)
    made.save(tmp_path / "saved")
    with pytest.raises(QsmbenchError, match=r"is not a BIDS dataset.*; phase_unit is for these"):
        qb.load_scan(tmp_path / "saved", phase_unit="rad")
    arrays = {"te": s.te, "b0": 3, "voxel_size": 2, "mask": s.mask}
    own = qb.Scan(s.phase / np.pi, s.magnitude, phase_unit="pi", **arrays)
    np.testing.assert_allclose(own.phase, s.phase, atol=1e-5)
    nan = qb.Scan(np.where(s.mask[..., None], s.phase, np.nan), s.magnitude, **arrays)
    assert "outside the mask are NaN" in nan.notes[0]


def test_the_folder_of_a_scan_may_hold_nan_and_axes_of_one(small, scan_folder, caplog):
    from qsmbench.data import folders, volumes

    params, mask = small["params"], small["scan"]["mask"]
    phase = np.where(mask[..., None], small["scan"]["phase"], np.nan)[..., None, :]
    volumes.save_volume(scan_folder / "scan" / "phase.nii.gz", phase, params.grid.affine)
    read_back = folders.read_of(scan_folder / "scan", "phase", params)
    assert np.array_equal(read_back[mask], small["scan"]["phase"][mask])
    assert np.isfinite(read_back).all()
    assert "outside the mask are NaN or infinite; set to 0" in caplog.text
    phase[12, 10, 9] = np.nan
    volumes.save_volume(scan_folder / "scan" / "phase.nii.gz", phase, params.grid.affine)
    with pytest.raises(QsmbenchError, match="are NaN or infinite in the mask"):
        folders.read_of(scan_folder / "scan", "phase", params)


def test_notes_are_written_beside_the_scan(s, tmp_path):
    from qsmbench.study.jobs.measure import convert

    notes = convert(bids(tmp_path / "ds", s), tmp_path / "out", Stated())
    assert json.loads((tmp_path / "out" / "notes.json").read_text())["notes"] == notes


def in_bytes(path, place, values):
    """Write into the header of a packed NIfTI file, whatever it means."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    written = np.atleast_1d(values).tobytes()
    content[place : place + len(written)] = written
    path.write_bytes(gzip.compress(bytes(content)))


@pytest.mark.parametrize(
    ("place", "values", "message"),
    [
        (280, np.full(1, np.nan, "<f4"), r"its sform \(code 1\) is not a grid of voxels"),
        (280, np.zeros(12, "<f4"), r"its sform \(code 1\) is not a grid of voxels"),
        (256, np.full(1, np.nan, "<f4"), r"its qform \(code 1\) is not a grid of voxels"),
        (40, np.array([3, 30000, 30000, 30000], "<i2"), "30000, 30000, 30000.* voxels of float32, more than the file"),
        (40, np.array([2, 24, 22, 1], "<i2"), r"has shape \(24, 22\); an echo has x, y, z"),
        (40, np.array([9], "<i2"), "cannot be read as NIfTI"),
        (70, np.array([777], "<i2"), "cannot be read as NIfTI"),
        (123, np.array([5], "u1"), "its unit of length has the code 5"),
        (108, np.array([1e9], "<f4"), "cannot be read as NIfTI"),
    ],
)
def test_a_header_that_is_wrong_is_one_line(s, tmp_path, capsys, place, values, message):
    bids(tmp_path, s)
    for part in ("mag", "phase"):
        for f in files(tmp_path, part):
            in_bytes(f, place, values)
    with pytest.raises(QsmbenchError, match=message):
        read(tmp_path)
    assert capsys.readouterr() == ("", "")


def test_a_unit_of_time_that_nifti_does_not_know_does_not_matter(s, tmp_path):
    in_bytes(files(bids(tmp_path, s), "phase")[0], 123, np.array([2 + 64], "u1"))
    read(tmp_path)


def test_a_table_in_utf16_without_its_mark(s, tmp_path):
    (tmp_path / "echoes.tsv").write_bytes("echo_time\tphase\n".encode("utf-16-le"))
    with pytest.raises(QsmbenchError, match=r"is not text in UTF-8 \(byte 1 is 0x00\)"):
        read(tmp_path)


def test_two_tables_of_echoes(tmp_path):
    for name in ("echoes.tsv", "echoes.csv"):
        (tmp_path / name).write_text("echo_time\n0.01\n")
    with pytest.raises(QsmbenchError, match=r"holds both echoes.tsv and echoes.csv; keep the one that is right"):
        read(tmp_path)


def test_a_sidecar_with_truth_in_place_of_a_number(s, tmp_path):
    bids(tmp_path, s)
    for f in tmp_path.rglob("*_MEGRE.json"):
        edit(f, MagneticFieldStrength=True)
    with pytest.raises(QsmbenchError, match="MagneticFieldStrength is True; it must be a number"):
        read(tmp_path)
