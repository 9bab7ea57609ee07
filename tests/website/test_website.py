"""The documentation as a site: its generated pages, its navigation, and in a browser."""

import re
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from qsmbench import metrics
from qsmbench.method import STAGES
from qsmbench.paths import data_dir
from qsmbench.phantom.description.scenario import scenarios
from qsmbench.run import registry
from qsmbench.scan.protocol import protocols

ROOT = data_dir()
pytestmark = pytest.mark.skipif(not (ROOT / "mkdocs.yml").is_file(), reason="only in a checkout")
markdown = pytest.importorskip("markdown")
pytest.importorskip("mkdocs")


@pytest.fixture(scope="module")
def site():
    """The navigation and the files of the site, as mkdocs has them before it renders anything."""
    from mkdocs.config import load_config
    from mkdocs.structure.files import get_files
    from mkdocs.structure.nav import get_navigation

    config = load_config(str(ROOT / "mkdocs.yml"))
    files = config.plugins.run_event("files", get_files(config), config=config)
    return get_navigation(files, config), files


@pytest.fixture(scope="module")
def pages(site):
    """Path and text of the generated pages."""
    return {f.src_uri: f.content_string for f in site[1] if f.generated_by}


def html(text):
    return markdown.markdown(
        text,
        extensions=["tables", "pymdownx.betterem"],
        extension_configs={"pymdownx.betterem": {"smart_enable": "all"}},
    )


def shown(text):
    return re.sub(r"<[^>]+>", "", html(text)).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").strip()


@pytest.mark.parametrize("text", ["R2* = R2 + R2*", "a_b and _c_", "x < 3 > 2 [4] `R2* < |x|` ‖D‖²", "doi:10.1/a_b_c"])
def test_plain_text_is_shown_unchanged(text):
    from markdown_text import escaped

    assert shown(escaped(text)) == text.replace("`", "")


def test_a_cell_holds_bars_and_line_breaks():
    from markdown_text import table

    rendered = html(table(("name", "values"), [("axis", "x | y |\nz, `a | b`")]))
    cells = [re.sub(r"<[^>]+>", "", c) for c in re.findall(r"<td>(.*?)</td>", rendered)]
    assert cells == ["axis", "x | y | z, a | b"]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("Liu 2012, doi:10.1016/j.neuroimage.2011.08.082; edges", ["10.1016/j.neuroimage.2011.08.082"]),
        ("(doi:10.1002/mrm.30251).", ["10.1002/mrm.30251"]),
        ("Sato 1998, doi:10.1016/S1361-8415(98)80009-1. The", ["10.1016/S1361-8415(98)80009-1"]),
        ("`doi:10.1/in.code` [doi:10.1/a](https://doi.org/10.1/a)", []),
    ],
)
def test_identifiers_of_publications_become_links(text, links):
    from markdown_text import with_doi_links

    found = re.findall(r"\(<https://doi\.org/(.*?)>\)", with_doi_links(text))
    assert found == links
    assert shown(with_doi_links(text)) == shown(text)


def test_everything_that_is_listed_has_a_page(pages):
    own = [n for n in registry.names() if registry.describe(n).source.parent.name in STAGES]
    named = {PurePosixPath(p).stem for p in pages}
    assert len(own) > 60 and not {*own, *metrics.names(), *scenarios(), *protocols(), "head", "abdomen"} - named


def test_the_page_of_a_method_says_what_its_declaration_says(pages):
    """The facts of LBV: Zhou 2014, multigrid there, one setting of a millimetre; 0.494 s per million voxels."""
    page = pages["reference/methods/background/lbv.md"]
    assert "doi:10.1002/nbm.3064" in page and "multigrid" in page
    assert re.search(r"\| `total_field` \| in \|", page) and re.search(r"\| `local_field` \| out \|", page)
    assert re.search(r"\| `peel` \| 0 \|", page)
    assert page.index("## Settings") < page.index("## Where it differs from the publication") < page.index("## Cost")
    recorded = next(
        line.split(",") for line in (ROOT / "configs/durations.csv").read_text().splitlines() if "step lbv," in line
    )
    assert f"{float(recorded[1]):.2g} s, {float(recorded[2]):.0f} MiB" in page
    assert "[The assumption of LBV](../../../methods.md#the-assumption-of-lbv)" in page


def test_differences_from_the_publication_are_a_section_of_the_docstring():
    for name in ("lbv", "medi", "qsmart", "tfi"):
        method = registry.describe(name)
        assert method.differences
    assert registry.describe("tkd").differences == ""
    assert registry.describe("tv+lcurve").differences == ""


def test_references_are_a_section_of_the_docstring_or_the_one_of_the_declaration():
    assert registry.describe("arlo").references == "Pei 2015, doi:10.1002/mrm.25137; erratum: doi:10.1002/mrm.27807."
    assert registry.describe("tv").references == registry.describe("tv+lcurve").references
    assert registry.describe("no_mask").references == registry.describe("no_mask").reference


def test_the_command_line_reference_has_every_option(pages):
    import command_pages

    text = pages["reference/commands.md"]
    commands = dict(command_pages.commands())
    assert {"qsmbench run", "qsmbench challenge new", "qsmbench export bids"} <= commands.keys()
    for name, command in commands.items():
        (section,) = re.findall(rf"^## {name}$(.*?)(?=^## |\Z)", text, re.M | re.S)
        options = [p.opts[0] for p in command.params if p.param_type_name == "option"]
        assert [o for o in options if o not in section and o != "--help"] == []
        assert f"\n{name} " in section  # an example


def test_the_navigation_has_every_page_once(site):
    navigation, files = site
    listed = [page.file.src_uri for page in navigation.pages]
    assert sorted(listed) == sorted(f.src_uri for f in files.documentation_pages())
    assert len(listed) == len(set(listed))
    titles = [item.title for item in navigation.items]
    assert titles[:6] == [
        "Get started",
        "Compare methods",
        "Guard a package",
        "Run a challenge",
        "Bring your own",
        "Large studies",
    ]


def test_links_between_pages_lead_somewhere(site, pages):
    _, files = site
    known = {f.src_uri for f in files}
    lost = []
    for path, text in pages.items():
        for target in re.findall(r"\]\((?!https?:|#|<)([^)#\s]+)", text):
            joined = PurePosixPath(path).parent / target
            parts = []
            for part in joined.parts:
                parts = parts[:-1] if part == ".." else [*parts, part]
            if "/".join(parts) not in known:
                lost.append((path, target))
    assert lost == []


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    out = tmp_path_factory.mktemp("the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


@pytest.mark.slow
@pytest.mark.parametrize("page", ["index.html", "reference/methods/inversion/medi.html", "reference/python.html"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_pages_fit_the_window_and_ask_for_nothing_else(built, chromium, page, width, scheme):
    from browser import opened

    with opened(chromium, built / page, width=width, color_scheme=scheme) as view:
        view.wait_for_timeout(500)
        assert view.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_the_search_works_from_a_file(built, chromium):
    from browser import opened

    with opened(chromium, built / "reference" / "methods" / "inversion" / "medi.html") as view:
        view.click("[data-md-component=search-query]")
        view.keyboard.type("Tikhonov")
        link = view.locator(".md-search-result__item a").first
        link.wait_for(timeout=10_000)
        assert "inversion/l2.html" in link.get_attribute("href")
