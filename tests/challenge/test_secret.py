"""The nonce: random, private, and all that is random in a challenge derives from it."""

import ast
import gzip
import stat
from pathlib import Path

import numpy as np
import pytest
from challenge.conftest import brain, configuration
from pydantic import BaseModel
from scipy import stats

import qsmbench
from qsmbench.challenge.config import Challenge, Entry, Redraw, load_challenge
from qsmbench.challenge.draw import secret_phantom, secret_scan
from qsmbench.challenge.make import new, read_private
from qsmbench.challenge.secret import Secret, commitment, digests, new_secret, read_nonce, write_nonce
from qsmbench.errors import QsmbenchError
from qsmbench.seeds import is_wide
from qsmbench.study.simulate import scans

SECRET = Secret(bytes(range(32)))
HEAD = Entry(phantom="head", set={"voxel_size": 8, "supersampling": 1, "vessels": None})
BUSY = Entry(
    phantom="microbleeds",
    cases=["few", "many"],
    set_protocol={
        "motion": {"poses": 2, "translate": 1, "rotate": 1},
        "breathing": {"field": [0.01], "period": 4},
        "coils": {"count": 2, "radius": 150, "combine": "ideal"},
    },
)


def test_a_nonce_is_random_and_nobody_else_reads_it(tmp_path):
    assert len(new_secret().nonce) == 32 and new_secret().nonce != new_secret().nonce
    write_nonce(tmp_path, SECRET)
    assert stat.S_IMODE((tmp_path / "nonce").stat().st_mode) == 0o600
    assert read_nonce(tmp_path / "nonce") == SECRET
    with pytest.raises(QsmbenchError, match="keeps its nonce"):
        write_nonce(tmp_path, new_secret())
    assert SECRET.nonce.hex() not in repr(SECRET) and str(list(SECRET.nonce)) not in repr(SECRET)


def test_a_nonce_that_others_may_read_is_refused(tmp_path):
    write_nonce(tmp_path, SECRET)
    (tmp_path / "nonce").chmod(0o640)
    with pytest.raises(QsmbenchError, match="mode 640"):
        read_nonce(tmp_path / "nonce")


@pytest.mark.parametrize("text", ["", "12345", "0" * 63, "z" * 64])
def test_other_things_are_no_nonce(tmp_path, text):
    (tmp_path / "nonce").write_text(text)
    (tmp_path / "nonce").chmod(0o600)
    with pytest.raises(QsmbenchError, match="64 hexadecimal"):
        read_nonce(tmp_path / "nonce")


def test_a_commitment_depends_on_all_that_it_is_of():
    given = (SECRET, "challenge: a", {"digest": "1"}, {"sub-01/truth/chimap.nii.gz": "2"})
    others = (Secret(bytes(32)), "challenge: b", {"digest": "3"}, {"sub-01/truth/chimap.nii.gz": "4"})
    changed = [commitment(*given[:i], others[i], *given[i + 1 :]) for i in range(4)]
    assert len({commitment(*given), *changed}) == 5
    assert commitment(*given) == commitment(*given) and len(commitment(*given)) == 64


def test_digests_are_of_what_a_compressed_file_holds(tmp_path):
    for level in (1, 9):
        (tmp_path / f"{level}.gz").write_bytes(gzip.compress(b"the same" * 100, level))
    assert len(set(digests(tmp_path).values())) == 1


def seeds_in(model, found):
    if isinstance(model, BaseModel):
        for name in type(model).model_fields:
            value = getattr(model, name)
            if name in ("seed", "subject") and isinstance(value, int):
                found.append(value)
            seeds_in(value, found)
    elif isinstance(model, tuple | list):
        for part in model:
            seeds_in(part, found)
    elif isinstance(model, dict):
        seeds_in(list(model.values()), found)
    return found


def test_every_seed_of_a_scan_derives_from_the_nonce():
    what = secret_scan(BUSY, SECRET, Redraw())
    found = [what.seed, *seeds_in(what.phantom.description, []), *seeds_in(what.protocol, [])]
    assert len(found) >= 7 and all(map(is_wide, found))
    assert what.phantom.case.name in ("few", "many")


def test_no_other_generator_is_in_reach_of_the_simulator():
    """`seeds.generator` is the only source of random numbers in the code of phantoms and scans."""
    package = Path(qsmbench.__file__).parent
    files = [*package.glob("phantom/**/*.py"), *package.glob("scan/**/*.py")]
    found = []
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [n.name for n in node.names]
                found += [f"{file}: {n}" for n in names if n.split(".")[0] in ("random", "secrets", "uuid", "time")]
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("np.random."):
                found += [f"{file}: {ast.unparse(node)}"] if node.attr != "Generator" else []
    assert len(files) > 40 and not found


def test_nothing_else_is_random(tmp_path, monkeypatch):
    """With NumPy's own generators out of reach, a scan with motion, breathing, coils and noise is simulated."""
    entry = Entry(phantom=str(brain(tmp_path)), set_protocol=BUSY.set_protocol)
    what = secret_scan(entry, SECRET, Redraw())

    def refused(*_, **__):
        raise AssertionError("a generator that does not derive from the nonce")

    for name in ("default_rng", "PCG64", "RandomState", "rand", "randn", "random", "normal"):
        monkeypatch.setattr(np.random, name, refused)
    (simulation,) = scans(what)
    assert np.isfinite(simulation.signal).all()


def test_the_nonce_decides_everything(tmp_path):
    entry = Entry(phantom=str(brain(tmp_path)))
    same, again, other = (next(scans(secret_scan(entry, s, Redraw()))) for s in (SECRET, SECRET, SECRET.of("other")))
    assert np.array_equal(same.signal, again.signal) and np.array_equal(same.truth["chi"], again.truth["chi"])
    assert not np.array_equal(same.truth["chi"], other.truth["chi"])
    people = [secret_phantom(HEAD, s, Redraw()).person for s in (SECRET, SECRET, SECRET.of("other"))]
    assert people[0].age == people[1].age != people[2].age


def test_magnitude_shows_nothing_of_what_is_drawn(tmp_path):
    """Two draws of χ: all that a magnitude image shows is the same, but for rounding of χ+ + χ−."""
    entry = Entry(phantom=str(brain(tmp_path)))
    low, high = (secret_phantom(entry, SECRET, Redraw(share=s)) for s in ((0, 0.1), (0.9, 1)))
    a, b = (p.render(p.grid(), 3.0) for p in (low, high))
    for channel in ("pd", "t1", "r2", "labels", "fat_fraction"):
        assert np.array_equal(getattr(a, channel), getattr(b, channel)), channel
    assert a.r2star == pytest.approx(b.r2star, rel=1e-5)
    assert (b.chi - a.chi)[a.labels > 0].min() > 0.02


def test_shares_are_uniform_and_of_each_tissue_alone(tmp_path):
    """Kolmogorov–Smirnov over 40 subjects; two tissues are not correlated."""
    entry, shares = Entry(phantom=str(brain(tmp_path))), []
    for n in range(40):
        phantom = secret_phantom(entry, SECRET.of(str(n)), Redraw())
        parts = [(t.at("chi_para", 0), t.at("chi_dia", 0)) for t in phantom.tissues_used]
        shares.append([p / (p + d) for p, d in parts])
    values = np.array(shares)
    assert values.shape[1] == 6 and values.min() >= 0.1 and values.max() <= 0.9
    assert stats.kstest(values.ravel(), stats.uniform(0.1, 0.8).cdf).pvalue > 0.01
    assert abs(np.corrcoef(values[:, 0], values[:, 1])[0, 1]) < 0.5


@pytest.mark.parametrize("key", ["subject", "vessels.seed", "texture.seed"])
def test_a_seed_cannot_be_set(key):
    with pytest.raises(ValueError, match="derived from the nonce"):
        Entry(phantom="head", set={key: 3})


def test_a_phantom_whose_chi_cannot_be_drawn_is_refused():
    with pytest.raises(QsmbenchError, match="every secret subject would have the same χ"):
        secret_phantom(Entry(phantom="sphere"), SECRET, Redraw())


def test_unknown_cases_and_metrics_are_refused(tmp_path):
    with pytest.raises(QsmbenchError, match="choose from control"):
        secret_phantom(Entry(phantom="microbleeds", cases=["some"]), SECRET, Redraw())
    path = configuration(tmp_path, "metric: mean")
    with pytest.raises(QsmbenchError, match="no best value"):
        load_challenge(path)
    with pytest.raises(ValueError, match="timezone"):
        Challenge(challenge="a", scenarios=[HEAD], deadline="2027-01-01T00:00:00")


def test_a_challenge_is_made_again_from_its_nonce(made, tmp_path):
    """The same commitment; another nonce has another one."""
    config = made.private / "challenge.yaml"
    promised = (made.private / "commitment.json").read_text()
    found = new(config, tmp_path / "again", nonce=made.private / "nonce", note=lambda _: None)
    assert found in promised
    assert digests(tmp_path / "again" / "scans") == digests(made.private / "scans")


def test_a_private_folder_is_private(made, tmp_path):
    assert stat.S_IMODE(made.private.stat().st_mode) == 0o700
    assert list(read_private(made.private).entries) == ["sub-01", "sub-02", "sub-03"]
    with pytest.raises(QsmbenchError, match="is not empty"):
        new(made.private / "challenge.yaml", made.private, note=lambda _: None)
    with pytest.raises(QsmbenchError, match="private folder of a challenge"):
        read_private(tmp_path)
