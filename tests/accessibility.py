"""Asks axe-core, in the browser, what of a page people cannot use."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from selenium import webdriver

RUN = "axe.run().then(arguments[0], error => arguments[0]({error: String(error)}))"
SCHEMES = ("light", "dark")


def violations(browser: webdriver.Chrome, path: Path, scheme: str) -> list[str]:
    """List rule, impact and first element of everything that axe-core finds wrong.

    Args:
        browser: Opens the page.
        path: Of the page.
        scheme: `light` or `dark`.
    """
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(path.as_uri())
    browser.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    found: dict[str, Any] = browser.execute_async_script(RUN)
    assert found.get("error") is None, found["error"]
    assert len(found["passes"]) > 20
    return [
        f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
        for one in found["violations"]
    ]
