"""Reads a page as a browser would, and text that must not become part of it."""

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
