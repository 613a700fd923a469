"""What a browser wrote to its console, and asked for, since the last time."""

import json
from typing import Any
from urllib.parse import urlsplit

from selenium import webdriver


def console(browser: webdriver.Chrome) -> list[dict[str, Any]]:
    """Lines of the console since the last call."""
    return _logged(browser, "browser")


def requests(browser: webdriver.Chrome) -> list[str]:
    """URLs that were asked for since the last call, all but the file itself and inline data."""
    messages = [
        json.loads(entry["message"])["message"] for entry in _logged(browser, "performance")
    ]
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if urlsplit(url).scheme not in ("file", "data", "blob")]


def _logged(browser: webdriver.Chrome, kind: str) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return lines
