"""A page as the standard HTML parser reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser


@dataclass
class Page:
    """An HTML page read by the standard parser: tags with attributes, and text per section."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    sections: dict[str, str] = field(default_factory=dict)

    def all(self, tag: str, css: str | None = None) -> list[dict[str, str]]:
        """The attributes of every such tag, of that class."""
        found = [attributes for name, attributes in self.tags if name == tag]
        return [a for a in found if css is None or css in a.get("class", "").split()]


class _Parser(HTMLParser):
    VOID = frozenset({"meta", "link", "br", "img", "input"})

    def __init__(self) -> None:
        super().__init__()
        self.page = Page()
        self.open: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {k: v or "" for k, v in attrs}
        self.page.tags.append((tag, attributes))
        if tag not in self.VOID:
            section = attributes.get("id") if tag == "section" else None
            self.open.append((tag, section))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.page.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1][0] == tag, f"</{tag}> closes <{self.open[-1][0]}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        inside = [tag for tag, _ in self.open]
        if "style" in inside or "script" in inside:
            return
        data = data.replace("\u00a0", " ")
        self.page.text += data
        for _, section in self.open:
            if section is not None:
                self.page.sections[section] = self.page.sections.get(section, "") + data


def parse_page(html: str) -> Page:
    """Read a page; AssertionError when its tags do not nest."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert not parser.open, f"left open: {parser.open}"
    return parser.page
