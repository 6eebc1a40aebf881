"""A template, values, style and script -> one HTML file that loads nothing."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from vampnet_models.text import visible

_HERE = Path(__file__).parent


_AROUND = "vampbench"
"""The class of what stands in a page of others: its style holds below it alone."""


def render_page(template: str, **values: object) -> str:
    """A page with the shared style and script, and a policy that allows no other.

    Whatever a model's file brought along is text in it, its control characters spelled out.
    """
    style, script = _asset("parts.css") + _asset("report.css"), _asset("report.js")
    return _rendered(
        template,
        style=Markup(style),
        script=Markup(script),
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        **values,
    )


def render_part(template: str, **values: object) -> str:
    """A piece for a page of others, as a notebook's: it brings its style, and leaves theirs alone.

    Text as in `render_page`.
    """
    style = _asset("parts.css").replace(":root", "&")
    return _rendered(template, around=_AROUND, style=Markup(f".{_AROUND} {{\n{style}}}"), **values)


def _rendered(template: str, **values: object) -> str:
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(**values)
    # Names come from files: no control character and nothing that turns words around passes.
    return visible(page, keep="\t\n")


def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    """The source expression that lets a browser run this text and nothing else (CSP level 3)."""
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
