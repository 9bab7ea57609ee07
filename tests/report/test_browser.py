"""The report in a real browser: tables, and the viewer of volumes, from a folder with a space in its name."""

import base64
import io
import re

import numpy as np
import pytest
from browser import opened
from invented_study import CHAINS, scores, write_study
from packed_volumes import BALL, GRID, TRUTH, write_volumes
from PIL import Image

from qsmbench.data.artifacts import ARTIFACTS
from qsmbench.report import build
from qsmbench.run.specs import RUN_FILE, Record, prefixes, write_spec

DATASET = "head_brain-3t_seed-0"
SHOWN = ["romeo.vsharp.tkd", "romeo.pdf.tv"]


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = write_study(tmp_path_factory.mktemp("results") / "quick", scores(CHAINS))
    write_volumes(folder, DATASET, SHOWN)
    return folder


@pytest.fixture(scope="module", params=["folder", "single"])
def report(request, study, tmp_path_factory):
    page = build(study, tmp_path_factory.mktemp("my reports"), single=request.param == "single")
    assert (page.parent / "volumes").is_dir() is (request.param == "folder")
    return page


def pixels(page, panel, plane):
    """The pixels of a panel's plane, (rows, columns, 3)."""
    uri = page.evaluate(
        "([n, plane]) => document.querySelectorAll('.panel')[n].querySelector(`[data-plane=${plane}]`).toDataURL()",
        [panel, plane],
    )
    return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))))[..., :3]


def show(page, second=True):
    """Wait for the volumes of one chain or of two."""
    page.locator(".viewer").scroll_into_view_if_needed()
    page.wait_for_selector(".viewer[data-ready='1']")
    if second:
        page.select_option("[data-part=b]", SHOWN[1])
        page.wait_for_selector(".viewer[data-ready='2']")
    page.wait_for_function("document.querySelector('[data-part=place]').textContent !== ''")


def settled(page):
    """Wait until the planes are drawn."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def readings(page):
    """The values at the crosshair by the panel's name."""
    rows = page.locator("[data-part=values] tr").all()
    read = {r.locator("th").text_content(): r.locator("td").text_content() for r in rows}
    return {name: float(text.split()[0].replace("−", "-")) for name, text in read.items()}


def test_every_panel_shows_its_map_and_follows_one_crosshair(chromium, report):
    with opened(chromium, report) as page:
        show(page)
        a, b = SHOWN
        titles = page.locator(".panel .title").all_text_contents()
        assert titles == ["truth", a, f"{a} − truth", b, f"{b} − truth"]
        page.uncheck("[data-part=outline]")
        settled(page)
        for panel in range(5):
            for plane in ("axial", "coronal", "sagittal"):
                image = pixels(page, panel, plane)
                assert len(np.unique(image.reshape(-1, 3), axis=0)) > 3, (panel, plane)
        box = page.locator(".panel").nth(3).locator("canvas[data-plane=axial]").bounding_box()
        page.mouse.click(box["x"] + 0.32 * box["width"], box["y"] + 0.27 * box["height"])
        page.mouse.move(2, 2)
        settled(page)
        at = page.evaluate("document.querySelector('.viewer').viewer.at")
        shape = page.evaluate("document.querySelector('.viewer').viewer.grid.shape")
        assert at[0] == shape[0] - 1 - int(0.32 * shape[0]) and at[1] == shape[1] - 1 - int(0.27 * shape[1])
        green = np.array([90, 220, 150])
        for panel in range(
            5
        ):  # the vertical line lies where the voxel is, in all panels and both planes with that axis
            for plane, axis in (("axial", 0), ("coronal", 0), ("sagittal", 1)):
                image = pixels(page, panel, plane).astype(int)
                near = (np.abs(image - green).sum(axis=2) < 110).sum(axis=0)
                expected = (shape[axis] - 0.5 - at[axis]) / shape[axis] * image.shape[1]
                assert abs(near.argmax() + 0.5 - expected) <= 1.5, (panel, plane)
                assert near.max() > 0.5 * image.shape[0]


def test_the_values_under_the_crosshair_are_those_of_the_maps(chromium, report):
    with opened(chromium, report) as page:
        show(page)
        page.evaluate("document.querySelector('.viewer').focus()")
        page.keyboard.press("Home")
        for key, count in (("ArrowLeft", 2), ("ArrowUp", 3), ("PageUp", 1)):
            for _ in range(count):
                page.keyboard.press(key)
        settled(page)
        mm = page.evaluate(
            """() => {
              const { at, grid } = document.querySelector(".viewer").viewer;
              return at.map((n, i) => grid.first[i] + n * grid.spacing[i]);
            }"""
        )
        voxel = tuple(np.rint(np.linalg.solve(GRID.affine[:3, :3], mm - GRID.affine[:3, 3])).astype(int))
        assert BALL[voxel]
        a, b = SHOWN
        found, true = readings(page), TRUTH[voxel]
        x, y, _ = (axis.ravel()[i] for axis, i in zip(GRID.axes(), voxel, strict=True))
        expected = {"truth": true, a: true + 0.05 * np.sign(x), f"{a} − truth": 0.05 * np.sign(x)}
        expected |= {b: true + 0.02 * np.sign(y), f"{b} − truth": 0.02 * np.sign(y)}
        assert found == pytest.approx(expected, abs=0.0011)
        assert page.text_content("[data-part=region]") == ("right half" if x > 0 else "left half")
        sides = page.text_content("[data-part=place]")
        assert re.match(rf"crosshair: {'R' if mm[0] > 0 else 'L'} {abs(mm[0]):.1f}", sides)


def test_a_picture_is_chosen_by_dataset_and_chain(chromium, report):
    with opened(chromium, report) as page:
        assert page.locator("#pick-a").is_visible()
        page.select_option("#pick-dataset", "head_brain-3t_seed-1")
        page.select_option("#pick-a", SHOWN[1])
        captions = page.locator("#gallery figure:visible figcaption").all_text_contents()
        assert captions == [f"{SHOWN[1]} · head_brain-3t_seed-1"]


def test_window_planes_wheel_and_blink(chromium, report):
    with opened(chromium, report) as page:
        show(page)
        before = pixels(page, 0, "axial")
        page.locator("[data-part=value-bar] input").nth(1).fill("0.01")
        page.keyboard.press("Tab")
        settled(page)
        assert (pixels(page, 0, "axial") != before).any()
        canvas = page.locator(".panel").nth(0).locator("canvas[data-plane=axial]")
        canvas.click()
        start = page.evaluate("document.querySelector('.viewer').viewer.at[2]")
        page.mouse.wheel(0, -100)
        page.wait_for_function(f"document.querySelector('.viewer').viewer.at[2] === {start + 1}")
        page.keyboard.press("b")
        assert page.locator(".panel .title").all_text_contents()[1] == SHOWN[1]
        page.keyboard.press("3")
        assert page.locator(".panel canvas").count() == 5
        assert {c.get_attribute("data-plane") for c in page.locator(".panel canvas").all()} == {"sagittal"}


def test_the_scale_is_as_wide_as_the_truth_needs(chromium, tmp_path):
    folder = write_study(tmp_path / "trunk", scores(CHAINS))
    write_volumes(folder, DATASET, SHOWN, widening=4)
    with opened(chromium, build(folder, tmp_path / "out")) as page:
        show(page, second=False)
        settled(page)
        ends = [
            [float(i.input_value()) for i in page.locator(f"[data-part={kind}-bar] input").all()]
            for kind in ("value", "error")
        ]
    scale = ARTIFACTS["chi"].scale
    assert ends == [[pytest.approx(4 * v) for v in scale.values], [pytest.approx(s * 4 * scale.error) for s in (-1, 1)]]


def test_volumes_that_are_gone_are_named_and_the_pictures_stay(chromium, study, tmp_path):
    page_file = build(study, tmp_path / "out")
    next((page_file.parent / "volumes").glob("*truth*")).unlink()
    context = chromium.new_context()
    page = context.new_page()
    page.goto(page_file.as_uri())
    page.locator(".viewer").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('[data-part=status]').textContent.includes('keep the folder')")
    page.locator("#gallery figure:not([hidden]) img").scroll_into_view_if_needed()
    page.wait_for_function("document.querySelector('#gallery figure:not([hidden]) img').naturalWidth > 100")
    context.close()


def test_a_browser_that_cannot_unpack_says_so(chromium, study, tmp_path):
    with opened(chromium, build(study, tmp_path / "out"), before="delete globalThis.DecompressionStream") as page:
        page.locator(".viewer").scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('[data-part=status]').textContent.includes('cannot unpack')")


def test_sorting_filtering_and_columns(chromium, report):
    with opened(chromium, report) as page:
        rows = page.locator("table.sortable tbody.methods tr")

        def names():
            shown = page.locator("table.sortable tbody.methods tr:not([hidden]) th").all_text_contents()
            return [text.split("\n")[0] for text in shown]

        assert rows.count() == 2
        error = page.locator("table.sortable th[data-metric=nrmse] button")
        error.click()
        assert names() == ["romeo.vsharp.tkd", "romeo.pdf.tv"]
        error.click()
        assert names() == ["romeo.pdf.tv", "romeo.vsharp.tkd"]
        search = (
            page.locator("table.sortable").locator("xpath=../preceding-sibling::div[1]").locator("input[type=search]")
        )
        search.fill("romeo -vsharp")
        assert names() == ["romeo.pdf.tv"]
        search.fill("")
        assert len(names()) == 2
        head = page.locator("table.sortable th[data-metric=peak_memory]")
        assert head.is_hidden() and page.locator("table.sortable th[data-metric=nrmse]").is_visible()
        page.locator("details.columns summary").click()
        page.locator("details.columns input[data-metric=peak_memory]").check()
        assert head.is_visible()


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (2560, "light")])
def test_nothing_is_wider_than_the_window(chromium, report, width, scheme):
    with opened(chromium, report, width=width, color_scheme=scheme) as page:
        show(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("document.querySelector('.panels').getBoundingClientRect().right") <= width
        bar = page.evaluate("(d => d.scrollHeight - d.clientHeight)(document.querySelector('nav.bar > div'))")
        assert bar <= 0 and page.get_by_label("common voxels").is_visible()


def test_a_viewer_that_shows_nothing_is_not_printed(chromium, report):
    with opened(chromium, report) as page:
        page.emulate_media(media="print")
        empty = page.locator(".panel").count() == 0
        assert page.locator("#volumes-section").is_visible() is not empty
        page.emulate_media(media="screen")
        show(page, second=False)
        page.emulate_media(media="print")
        assert page.locator(".panel canvas").first.is_visible()


def test_without_webgl_the_planes_are_drawn_and_niivue_is_not_offered(chromium, report):
    with opened(chromium, report) as page:
        show(page)
        assert page.evaluate("document.createElement('canvas').getContext('webgl2')") is None
        niivue = page.locator("[data-part=engine] option").nth(1)
        assert niivue.count() == (report.parent / "volumes").is_dir()
        assert not niivue.count() or niivue.is_disabled()
        assert page.locator(".panel canvas").count() == 15


@pytest.fixture(scope="module")
def with_methods(tmp_path_factory):
    """The report of a study whose steps have records; its methods have pages."""
    folder = write_study(tmp_path_factory.mktemp("results") / "quick", scores(CHAINS))
    meaning = "smallest |D| that is divided by, which has a meaning that takes some words to explain"
    declared = {"takes": {"local_field": "(nx, ny, nz) ppm"}, "gives": {"chi": "ppm"}}
    declared |= {"settings": {"a_setting_with_a_long_name": [0.19, meaning]}}
    for chain in (p for c in SHOWN for p in prefixes(c)):
        details = {"method": chain.rpartition(".")[2], "used": {"a_setting_with_a_long_name": 0.2}, "settings": {}}
        details |= {"summary": "Do a step", "reference": "Shmueli 2009, doi:10.1002/mrm.22135", "declared": declared}
        place = folder / DATASET / "chains" / chain / RUN_FILE
        write_spec(place, Record(chain, "ok", seconds=1.0, peak_memory=100.0, details=details))
    return build(folder, tmp_path_factory.mktemp("my reports"))


def test_a_chain_leads_to_the_pages_of_its_methods_and_back(chromium, with_methods):
    with opened(chromium, with_methods) as page:
        search = page.locator("#overview-1 .study input[type=search]")
        search.fill("tkd")  # of a chain whose steps are links
        rows = page.locator("#overview-1 .study tbody tr:not([hidden]) th")
        assert rows.all_text_contents() == ["romeo.vsharp.tkd"]
        rows.get_by_text("vsharp", exact=True).click()
        assert page.url.endswith("/method_vsharp.html") and page.text_content("h1") == "vsharp"
        picture = page.locator("#picture img")
        picture.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('#picture img').naturalWidth > 100")
        shown = page.locator("#standing table:visible td[data-value] span")
        on_study_mask = shown.all_text_contents()
        page.get_by_label("common voxels").check()
        assert shown.count() == 1 and shown.all_text_contents() != on_study_mask
        page.get_by_role("link", name="All methods").click()
        page.wait_for_selector("#method-vsharp")
        assert page.url.endswith("/index.html#methods")


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (2560, "light")])
def test_the_page_of_a_method_is_no_wider_than_the_window(chromium, with_methods, width, scheme):
    with opened(chromium, with_methods.parent / "method_tkd.html", width=width, color_scheme=scheme) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        defaults = "document.querySelectorAll('#settings thead th')[2].getBoundingClientRect().right"
        assert page.text_content("#settings thead th:nth-child(3)") == "default" and page.evaluate(defaults) <= width
        labels = "#settings th, #cost th"
        cut = f"[...document.querySelectorAll('{labels}')].filter(e => e.scrollWidth > e.clientWidth + 1).length"
        assert page.evaluate(cut) == 0


def colours(png):
    return np.array(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)


def test_niivue_shows_the_same_values_at_one_crosshair(chromium_gl, study, tmp_path):
    page_file = build(study, tmp_path / "my report")
    with opened(chromium_gl, page_file, width=1000) as page:
        show(page, second=False)
        page.select_option("[data-part=engine]", "niivue")
        page.wait_for_function("document.querySelector('.viewer').viewer.gl?.views.length === 3", timeout=60000)
        page.wait_for_timeout(300)
        for canvas in page.locator(".panel canvas").all():
            assert len(np.unique(colours(canvas.screenshot()), axis=0)) > 20
        before = page.evaluate("document.querySelector('.viewer').viewer.at")
        box = page.locator(".panel canvas").nth(1).bounding_box()
        page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.3 * box["height"])
        page.wait_for_function(
            """before => {
              const { at, gl } = document.querySelector(".viewer").viewer;
              const there = v => String(v.frac2vox(v.scene.crosshairPos).map(Math.round)) === String(at);
              return String(at) !== String(before) && gl.views.every(there);
            }""",
            arg=before,
        )
        at, own, theirs, places = page.evaluate(
            """() => {
              const viewer = document.querySelector(".viewer").viewer, { at, gl, panels } = viewer;
              const places = gl.views.map(v => v.frac2vox(v.scene.crosshairPos).map(Math.round));
              const own = panels.map(p => p.value(viewer.index(at)));
              return [at, own, gl.views.map(v => v.volumes[0].getValue(...at)), places];
            }"""
        )
        assert at != before
        assert [list(p) for p in places] == [at] * 3
        assert theirs == pytest.approx(own, abs=1e-6)
