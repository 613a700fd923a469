"""Reads a page as a browser would, and text that must not become part of it."""

import itertools
from html.parser import HTMLParser

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='hacked=1'>\"'&<b>\u202e😀"
)

INLINE = "data:text/csv;charset=utf-8,"
"""Begins the address of a figure's numbers, which are inside of the page."""


class Reader(HTMLParser):
    """Collects the tags of a page, its text, and the content of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        attributes = self.tags[-1][1] if self.tags else {}
        if self.cdata_elem == "script":
            self.scripts.append((attributes.get("type"), data))
        elif self.cdata_elem is None:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check_structure(page: Reader) -> list[str | None]:
    """Headings are in order, table cells have headers, ids are unique; return the ids."""
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all("scope" in tag for tag in page.all("th"))
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))
    return ids
