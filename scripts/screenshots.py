"""Write docs/report-page.png and docs/audit-page.png: the pages of a comparison and of an audit of digits, in the browser chromium.

``python scripts/screenshots.py`` takes a minute, and needs Playwright's Python client and the browser. The pictures of the labeling
page come from its tests (``DISTIL_PICTURES=docs``), because people have to answer there.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright
from sklearn.datasets import load_digits

import distil

DOCS = Path(__file__).parents[1] / "docs"
SIZE = {"width": 1100, "height": 1000}


def report_page() -> Path:
    """The report of the tutorial that chooses a strategy."""
    tutorial = (DOCS / "tutorials" / "choosing.md").read_text(encoding="utf-8")
    data, configuration, *_ = re.findall(r"^```python\n(.*?)^```", tutorial, re.MULTILINE | re.DOTALL)
    exec(data + configuration, {})
    distil.compare("rehearsal.json", seeds=10, output="runs/rehearsal")
    return Path("runs/rehearsal/report.html")


def audit_page() -> Path:
    """The report on 300 digits, of which six are copies, with 100 labels, of which five are wrong."""
    digits = load_digits()
    rows = [*range(294), *range(6)]
    for place, row in enumerate(rows):
        picture = Image.fromarray((digits.images[row] * 15.9).astype("uint8")).resize((32, 32))
        Path("digits").mkdir(exist_ok=True)
        picture.save(f"digits/{place:03}.png")
    labels = digits.target[:100].copy()
    wrong = np.arange(7, 100, 20)
    labels[wrong] = (labels[wrong] + 3) % 10
    lines = "".join(f"{n:03}.png,{label}\n" for n, label in enumerate(labels))
    Path("labeled.csv").write_text(f"id,label\n{lines}")
    distil.audit("digits", model="pixels", labeled="labeled.csv", out="audit.html")
    return Path("audit.html")


def main() -> None:
    """Make both pages in a temporary folder, and keep a picture of the top of each."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        os.chdir(folder)
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for name, page in (("report-page", report_page()), ("audit-page", audit_page())):
            opened = browser.new_page(viewport=SIZE)
            opened.goto(page.absolute().as_uri())
            opened.wait_for_load_state("load")
            seen = Image.open(io.BytesIO(opened.screenshot())).convert("RGB")
            seen.quantize(64, dither=Image.Dither.NONE).save(DOCS / f"{name}.png", optimize=True)
        browser.close()
        os.chdir(DOCS)


if __name__ == "__main__":
    main()
