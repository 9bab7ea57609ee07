"""What a file of Python says: what counts of it, and that it is parsed once."""

import json

import pytest

from qsmbench import source_code
from qsmbench.source_code import Import, parse, parsed, save

CODE = b"""
import a.b, c as d
from . import e
from ..f import g as h, i
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import never


def double(x):
    import j
    return 2 * x
"""


def test_imports_are_read_wherever_they_stand():
    assert set(parse(CODE).imports) == {
        Import(None, "", ("a.b", "c"), (False, True)),
        Import(1, "", ("e",), (False,)),
        Import(2, "f", ("g", "i"), (True, False)),
        Import(0, "typing", ("TYPE_CHECKING",), (False,)),
        Import(None, "", ("j",), (False,)),
    }


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (b"    return 2", b"    # twice\n    return 2", True),
        (b"    import j", b"    'Double it.'\n    import j", True),
        (b"2 * x", b"(2 *\n x)", True),
        (b"2 * x", b"3 * x", False),
        (b"def double", b"def doubled", False),
    ],
)
def test_meaning_is_that_of_the_code(before, after, same):
    assert (parse(CODE).meaning == parse(CODE.replace(before, after)).meaning) == same


def test_a_name_can_be_left_out():
    one, other = (b"TABLE = %d\nREST = 1\n" % n for n in (1, 2))
    assert parse(one).meaning != parse(other).meaning
    assert parse(one, without="TABLE").meaning == parse(other, without="TABLE").meaning
    assert parse(one, without="REST").meaning != parse(other, without="REST").meaning


def test_what_is_no_python_means_its_bytes():
    assert parse(b"def (").meaning != parse(b"def  (").meaning and parse(b"def (").imports == ()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("QSMBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(source_code, "_new", set())
    yield tmp_path
    source_code._known.cache_clear()


def test_a_content_is_parsed_once(cache, monkeypatch):
    first = parsed(CODE)
    save()
    source_code._known.cache_clear()  # as in another process
    monkeypatch.setattr(source_code, "parse", None)
    assert parsed(CODE) == first == parse(CODE)
    assert [f.suffix for f in cache.iterdir()] == [".json"]


@pytest.mark.parametrize("damage", ["", "[1]", '{"a": 3}', '{"a": [1, 2]}'])
def test_a_damaged_cache_is_made_again(cache, damage):
    parsed(CODE)
    save()
    (file,) = cache.iterdir()
    file.write_text(damage)
    source_code._known.cache_clear()
    assert parsed(CODE) == parse(CODE)
    save()
    assert len(json.loads(file.read_text())) == 1


def test_without_a_cache_all_is_parsed(cache, monkeypatch):
    monkeypatch.setenv("QSMBENCH_CACHE", str(cache / "file" / "cache"))
    (cache / "file").write_text("")
    assert parsed(CODE) == parse(CODE)
    save()
