"""What mkdocs calls while it builds the site: generated pages, the navigation, links."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import command_pages
import method_pages
import metric_pages
import notebook_pages
import phantom_pages
import project_pages
from markdown_text import changed, with_doi_links
from mkdocs.structure.files import File, Files

from qsmbench.paths import data_dir

GENERATED = (project_pages, notebook_pages, method_pages, metric_pages, phantom_pages, command_pages)

NAMES_METHODS = ("index.md", "methods.md", "abdomen.md")
"""Pages on which the name of a method in backticks is a link to its page."""


def generated() -> Iterator[tuple[str, str]]:
    """Yield path and text of every page that is not in docs."""
    for module in GENERATED:
        yield from module.pages()


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and name them in the navigation."""
    paths = []
    for path, text in generated():
        files.append(File.generated(config, path, content=text))
        paths.append(path)
    known = {f.src_uri for f in files.documentation_pages()}
    config.nav = [found for item in config.nav for found in _resolved(item, paths, known)]
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return the text of a page, with links from DOIs and from names of methods."""
    source = Path(page.file.src_uri)
    if source.parent.name == notebook_pages.FOLDER:
        return notebook_pages.text_of(data_dir() / "docs" / source.with_suffix(".ipynb"))
    if page.file.src_uri in NAMES_METHODS:
        markdown = _with_method_links(markdown)
    return with_doi_links(markdown)


def _resolved(item: Any, paths: list[str], known: set[str]) -> Iterator[Any]:
    """Yield what an item of the navigation stands for: generated pages, or nothing if its page is not there yet."""
    if isinstance(item, dict):
        ((title, inside),) = item.items()
        if isinstance(inside, list):
            yield {title: [found for i in inside for found in _resolved(i, paths, known)]}
        else:
            yield item
    elif item.endswith("/*"):
        yield from _tree([p for p in paths if p.startswith(item[:-1])], item.count("/"))
    elif not item.startswith("board-") or item in known:  # written by `make board`
        yield item


def _tree(paths: list[str], depth: int) -> Iterator[Any]:
    """Yield pages, the index first, and a section for each folder."""
    folders: dict[str, list[str]] = {}
    for path in paths:
        parts = path.split("/")
        if len(parts) == depth + 1:
            yield path
        else:
            folders.setdefault(parts[depth], []).append(path)
    for folder, inside in folders.items():
        yield {method_pages.TITLES[folder]: list(_tree(inside, depth + 1))}


def _with_method_links(markdown: str) -> str:
    pages = {m.name: method_pages.path_of(m) for m in method_pages.built_in()}

    def linked(code: str) -> str:
        name = code.strip("`")
        return f"[{code}]({pages[name]})" if code.startswith("`") and name in pages else code

    return changed(markdown, str, linked)
