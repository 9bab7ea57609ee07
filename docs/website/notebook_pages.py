"""The notebooks as pages: executed while the site is built, with their pictures inside the page."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from qsmbench.paths import data_dir

FOLDER = "notebooks"

TIME_LIMIT = 300
"""Of each cell, s."""


def notebooks() -> list[Path]:
    """Return the notebooks."""
    return sorted((data_dir() / "docs" / FOLDER).glob("*.ipynb"))


def pages() -> Iterator[tuple[str, str]]:
    """Yield path and heading of each page; its text is computed when the page is rendered."""
    for file in notebooks():
        (title,) = re.findall(r'"(# .*?)(?:\\n)?"', file.read_text())[:1]
        yield f"{FOLDER}/{file.stem}.md", title


def executed(file: Path):
    """Return the notebook with its outputs, computed in an empty folder.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed.
    """
    import nbformat
    from nbclient import NotebookClient
    from traitlets.config import Config

    notebook = nbformat.read(file, as_version=4)
    with TemporaryDirectory() as folder:
        sockets = Config(KernelManager={"transport": "ipc", "ip": f"{folder}/kernel"})  # in the folder, no port
        at = {"metadata": {"path": folder}}
        NotebookClient(notebook, config=sockets, timeout=TIME_LIMIT, resources=at).execute()
    return notebook


def text_of(file: Path) -> str:
    """Return the executed notebook as Markdown, with its pictures as data."""
    from nbconvert import MarkdownExporter

    text, resources = MarkdownExporter().from_notebook_node(executed(file))
    for name, content in resources["outputs"].items():
        data = f"data:image/png;base64,{base64.b64encode(content).decode()}"
        text = text.replace(f"]({name})", f"]({data})").replace("![png]", "![Output of the cell above]")
    return f"{text}\n\nThis page is the notebook `docs/{FOLDER}/{file.name}`, executed.\n"
