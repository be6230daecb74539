"""The map of a labeling project: seconds of CPU, what it shows of the classes, and how fast the page draws it and selects on it.

Run as ``python -m benchmarks labeling_map``, with ``DISTIL_DATA`` for the part on MNIST. The page runs in Chromium, on numbers that
stand in for a server.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

import distil
from benchmarks.machine import write
from distil.datasets.load import load
from distil.labeling.features import principal_components
from distil.labeling.map import PoolMap, map_bytes
from distil.labeling.model import Snapshot
from distil.labeling.placing import first_two, in_unit_square, leading_components, with_neighbors

PAGE = Path(distil.__file__).parent / "labeling" / "page"
ROWS, COLUMNS, CLASSES = 100_000, 384, 10
FRAMES = 60

SHELL = """<!doctype html><link rel=stylesheet href=/static/base.css><link rel=stylesheet href=/static/map.css>
<section id=map></section><p id=live></p><p id=note hidden></p><script type=module src=/static/shell.js></script>"""

SHELL_JS = """import { bytes } from "./api.js";
import { mount } from "./map.js";
const desk = Object.assign(new EventTarget(), { hidden: false });
const app = { tab: "tab", desk, bytes, isShown: () => true, note: console.log, fail: console.error, announce: console.log };
globalThis.map = mount(document.getElementById("map"), app);
map.refresh();"""

MEASURE = """async (frames) => {
  const next = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
  const timed = async (act) => { const from = performance.now(); act(); await next(); return performance.now() - from; };
  const drawn = [];
  for (let n = 0; n < frames; n += 1) drawn.push(await timed(() => map.view.zoom(n % 2 ? 1.25 : 1 / 1.2)));
  const colors = [];
  const by = document.getElementById("map-by");
  for (const value of ["sure", "class", "sure", "class"]) {
    by.value = value;
    colors.push(await timed(() => by.dispatchEvent(new Event("change"))));
  }
  const { inside } = await import("/static/lasso.js");
  const { parse } = await import("/static/map-data.js");
  const { n, xy } = parse(await (await fetch("/api/map")).arrayBuffer());
  const rows = new Int32Array(n).map((_, row) => row);
  const lasso = (radius, turns) => {
    const outline = Float64Array.from({ length: 600 }, (_, at) => {
      const angle = (Math.floor(at / 2) / 300) * 2 * Math.PI;
      return 0.5 + radius(angle) * (at % 2 ? Math.sin : Math.cos)(turns * angle);
    });
    const from = performance.now();
    const found = inside(outline, xy, rows).length;
    return [found, performance.now() - from];
  };
  const hand = lasso((angle) => 0.3 + 0.1 * Math.sin(9 * angle), 1);
  return { drawn, colors, hand, scribble: lasso((angle) => 0.45 * Math.cos(40 * angle), 7) };
}"""


def cpu(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call returns, and its seconds of CPU."""
    start = time.process_time()
    found = call()
    return found, time.process_time() - start


def seconds() -> str:
    """The two maps of 100,000 rows of clustered noise."""
    generator = torch.Generator().manual_seed(0)
    centers = torch.randn(CLASSES, COLUMNS, generator=generator)
    y = torch.randint(0, CLASSES, (ROWS,), generator=generator)
    x = centers[y] / 2 + torch.randn(ROWS, COLUMNS, generator=generator)
    with_neighbors(x[:50])  # loads what it needs
    rows, reading = cpu(lambda: leading_components(x))
    _, two = cpu(lambda: first_two(rows))
    _, tsne = cpu(lambda: with_neighbors(rows))
    return f"""| map of {ROWS:,} x {COLUMNS} | seconds of CPU | bar |
|---|---|---|
| principal components | {reading + two:.1f} | 5 |
| t-SNE of 2,000 rows, and the others between them | {tsne:.1f} | 30 |"""


def accuracy(xy: NDArray[Any], y: NDArray[Any]) -> float:
    """The share of 5,000 random points that their 15 nearest neighbors among the others classify."""
    order = np.random.default_rng(1).permutation(len(xy))
    known, asked = order[5000:], order[:5000]
    return float(KNeighborsClassifier(15).fit(xy[known], y[known]).score(xy[asked], y[asked]))


def quality(root: str) -> str:
    """Both maps of the 60,000 training images of MNIST, from 64 principal components of their pixels."""
    data = load("mnist", root)
    x = torch.from_numpy(np.asarray(data.x_train, np.float32).reshape(len(data.y_train), -1))
    rows = leading_components(principal_components(x))
    y = np.asarray(data.y_train)
    return f"""| MNIST, 60,000 images | accuracy of 15 nearest neighbors on the map |
|---|---|
| principal components | {accuracy(first_two(rows), y):.3f} |
| t-SNE | {accuracy(with_neighbors(rows), y):.3f} |"""


@contextmanager
def browser_page() -> Iterator[Any]:
    """The page's map in Chromium, with 100,000 items."""
    from playwright.sync_api import sync_playwright

    body = _body()

    def answer(route: Any) -> None:
        name = route.request.url.rpartition("/")[2]
        if name == "map":
            route.fulfill(body=body, content_type="application/octet-stream")
        elif name in ("", "shell.js"):
            kind = "text/javascript" if name else "text/html"
            route.fulfill(body=SHELL_JS if name else SHELL, content_type=kind)
        else:
            route.fulfill(path=PAGE / name)

    with sync_playwright() as driver:
        chromium = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        page = chromium.new_page(viewport={"width": 1280, "height": 800})
        page.route("**/*", answer)
        page.goto("http://localhost/")
        page.wait_for_function("globalThis.map && document.querySelectorAll('.map-classes li').length > 10")
        yield page
        chromium.close()


def _body() -> bytes:
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, ROWS)
    xy = in_unit_square((rng.random((CLASSES, 2))[y] + 0.06 * rng.normal(size=(ROWS, 2))).astype(np.float32))
    names = [f"class {c}" for c in range(CLASSES)]
    known = Snapshot(
        1,
        200,
        names,
        y.astype(np.int32),
        rng.random(ROWS).astype(np.float32),
        y.astype(np.int32),
        y[:0],
        y[:0],
        [],
        "pixels",
    )
    labels = np.where(rng.random(ROWS) < 0.002, y, -1)
    return map_bytes(PoolMap(1, "tsne", xy, ""), known, names, labels, labels >= 0, np.zeros(ROWS, bool))


def drawing() -> str:
    """Frames, colors and two lassos on the page."""
    with browser_page() as page:
        found = page.evaluate(MEASURE, FRAMES)
    drawn = np.array(found["drawn"])
    return f"""| page with {ROWS:,} points, 1280 x 800 | milliseconds | bar |
|---|---|---|
| a frame while zooming, until it is on the screen: median | {np.median(drawn):.0f} | 100 |
| 95th percentile | {np.percentile(drawn, 95):.0f} | |
| other colors: median | {np.median(found["colors"]):.0f} | |
| a lasso of 300 vertices ({found["hand"][0]:,} points inside) | {found["hand"][1]:.0f} | 300 |
| a scribble of 300 vertices across the whole map ({found["scribble"][0]:,} points inside) | {found["scribble"][1]:.0f} | |"""


def main(_: list[str]) -> None:
    """Measure, and write the tables."""
    torch.set_num_threads(1)
    load_before = os.getloadavg()[0]
    root = os.environ.get("DISTIL_DATA")
    parts = [seconds(), *([quality(root)] if root else []), drawing()]
    note = f"Load of the machine when it began: {load_before:.1f}."
    write(
        "labeling_map",
        "\n\n".join(["# The map of a labeling project\n\n`python -m benchmarks labeling_map`.", *parts, note]),
    )
