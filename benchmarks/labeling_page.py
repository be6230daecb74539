"""From a key to the paint of the next item on the labeling page, in Chromium, with images of three sizes.

``python -m benchmarks labeling_page [ANSWERS]`` labels 100 images of each size by keyboard, one every 150 ms, while the model
trains in the background. The time is that from the event of the key to the first task after the frame that shows the next image;
a miss is an image that was not decoded when its turn came.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import machine

SIDES = (28, 256, 1000)
PACE_MS = 150

MEASURE = """() => {
  window.paints = [];
  const painted = (start, missed) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => window.paints.push([performance.now() - start, missed]);
    channel.port2.postMessage(null);
  });
  addEventListener("keydown", (event) => {
    const frame = document.querySelector(".stage .image");
    if (!frame.classList.contains("waiting")) return painted(event.timeStamp, false);
    const seen = new MutationObserver(() => { seen.disconnect(); painted(event.timeStamp, true); });
    return seen.observe(frame, { attributes: true });
  });
}"""


def main(argv: Sequence[str]) -> int:
    """Measure every size and write the table."""
    answers = int(argv[0]) if argv else 100
    rows = ["| pixels a side | median, ms | 95th percentile, ms | misses |", "|---:|---:|---:|---:|"]
    for side in SIDES:
        with tempfile.TemporaryDirectory() as folder:
            images(Path(folder) / "images", side, answers + 20)
            paints = measured(Path(folder), answers)
        times = sorted(ms for ms, _ in paints)
        high = times[int(0.95 * len(times))]
        missed = sum(miss for _, miss in paints)
        rows.append(f"| {side} | {statistics.median(times):.1f} | {high:.1f} | {missed} of {len(paints)} |")
    load = os.getloadavg()[0]
    machine.write(
        "labeling_page", "\n".join(["# Key to paint", "", *rows, "", f"Load of the machine at the end: {load:.1f}."])
    )
    return 0


def images(folder: Path, side: int, n: int) -> None:
    """Make images with edges and textures, which compress about as well as photographs."""
    folder.mkdir()
    rng = np.random.default_rng(side)
    for number in range(n):
        coarse = rng.integers(0, 255, (max(side // 12, 7), max(side // 12, 7), 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC).save(
            folder / f"{number:03d}.jpg", quality=90
        )


def measured(folder: Path, answers: int) -> list[tuple[float, bool]]:
    """The milliseconds of each answer, and whether the next image was missing."""
    from playwright.sync_api import sync_playwright

    with served(folder) as address, sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(address)
        page.wait_for_selector(".stage .image:not(.waiting)")
        page.wait_for_timeout(1000)
        page.evaluate(MEASURE)
        for number in range(answers):
            page.keyboard.press("12"[number % 2])
            page.wait_for_timeout(PACE_MS)
        paints: list[Any] = page.evaluate("window.paints")
        browser.close()
    return [(float(ms), bool(missed)) for ms, missed in paints]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Start ``distil label`` on the images; gives its address and ends it."""
    log = folder / "server.log"
    command = [sys.executable, "-m", "distil", "label", str(folder / "images"), "--classes", "one,two", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        while (found := re.search(r"http://\S+token=\S+", log.read_text())) is None:
            if process.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.1)
        yield found[0]
    finally:
        process.terminate()
        process.wait(30)
