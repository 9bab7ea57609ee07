"""HTML pages that carry their pictures and need no network."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any


def render(template: Path, **content: Any) -> str:
    """Fill in a Jinja template. Text is escaped; a name that the template lacks is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(content)


def data_uri(picture: bytes, kind: str) -> str:
    """Return a picture as a data URI; `kind` is its format, such as webp."""
    return f"data:image/{kind};base64,{base64.b64encode(picture).decode()}"
