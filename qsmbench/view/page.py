"""Self-contained HTML pages with embedded pictures."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: Path, **content: Any) -> str:
    """Fill in a Jinja template. Text is escaped; an undefined name is an error."""
    return _templates(template.parent).get_template(template.name).render(content)


@cache
def _templates(folder: Path) -> Environment:
    """Return the templates of a folder, each compiled once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def data_uri(picture: bytes, kind: str) -> str:
    """Return a picture as a data URI; `kind` is its format, such as webp."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
