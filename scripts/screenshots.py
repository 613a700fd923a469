"""Take the pictures of README.md and docs/: a report, and the dashboard of a run, in Chromium.

nasgtn search --run results/demo    # any run that has ended
python scripts/screenshots.py results/reports/fashion_mnist.html results/demo
"""

import io
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from plotly.graph_objects import Figure
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.expected_conditions import (
    presence_of_element_located,
    text_to_be_present_in_element,
)
from selenium.webdriver.support.wait import WebDriverWait

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SIZE = "1200,1000"
BROWSER = 140
"""Pixels of the height that the browser keeps for itself."""
STUDY = "//a[contains(@href, '/studies/') and contains(., 'proxy')]"


@contextmanager
def browsing(size: str = SIZE) -> Iterator[webdriver.Chrome]:
    """Open a window of that width and height, in pixels."""
    options = webdriver.ChromeOptions()
    for argument in ("headless=new", "no-sandbox", "hide-scrollbars", f"window-size={size}"):
        options.add_argument(f"--{argument}")
    service = Service(shutil.which("chromedriver"))
    with webdriver.Chrome(options=options, service=service) as browser:
        yield browser


def main(report: Path, run: Path) -> None:
    """Write `report.png`, `agreement.png` and `dashboard.png`."""
    with browsing() as browser:
        wait = WebDriverWait(browser, 60)
        browser.get(report.resolve().as_uri())
        save(browser, "report.png")
        browser.execute_script("document.getElementById('trust').scrollIntoView()")
        save(browser, "agreement.png")
        command = [sys.executable, "-u", "-m", "nasgtn", "dashboard", str(run)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as served:
            assert served.stdout is not None
            browser.get(served.stdout.readline().split()[0])
            study = wait.until(presence_of_element_located(("xpath", STUDY)))
            browser.get(f"{study.get_attribute('href')}/note")
            wait.until(text_to_be_present_in_element(("tag name", "body"), "Winner:"))
            save(browser, "dashboard.png")
            served.terminate()


def picture(figure: Figure, name: str, *, width: int, height: int) -> None:
    """Draw a figure of that size in pixels, and write its picture."""
    figure.update_layout(width=width, height=height)
    size = f"{width},{height + BROWSER}"
    with tempfile.TemporaryDirectory() as folder, browsing(size) as browser:
        page = Path(folder) / "figure.html"
        figure.write_html(page, include_plotlyjs=True, config={"displayModeBar": False})
        browser.get(page.as_uri())
        save(browser, name)


def save(browser: webdriver.Chrome, name: str) -> None:
    """Write what the browser shows in 128 colours, which makes a small file."""
    image = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
    IMAGES.mkdir(exist_ok=True)
    image.quantize(128).save(IMAGES / name, optimize=True)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
