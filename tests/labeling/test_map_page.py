"""The parts of the page's map that need no browser, run by Node.js: the format, the lasso, the colors."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import distil
from distil.labeling.map import PoolMap, map_bytes
from distil.labeling.model import Snapshot

PAGE = Path(distil.__file__).parent / "labeling" / "page"


@pytest.fixture(scope="module")
def run():
    """``run(module, script, given)``: what a script returns, in which ``it`` is a module of the page and ``given`` is JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node.js")

    def call(module, script, given):
        source = base64.b64encode((PAGE / module).read_bytes()).decode()
        code = f"""
const it = await import("data:text/javascript;base64,{source}");
let text = "";
for await (const part of process.stdin) text += part;
const given = JSON.parse(text);
console.log(JSON.stringify(await (async () => {{ {script} }})()));
"""
        ended = subprocess.run(
            [node, "--input-type=module", "-e", code],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(ended.stdout)

    return call


def test_the_page_reads_the_bytes_of_the_map(run):
    xy = np.linspace(0, 1, 10, dtype=np.float32).reshape(5, 2)
    xy[3] = np.nan
    known = Snapshot(
        1,
        2,
        ["b", "é"],
        np.array([1, 0, -1, 0, 1], np.int32),
        np.full(5, 0.2, np.float32),
        np.full(5, -1, np.int32),
        xy[0],
        xy[0],
        [],
        "x",
    )
    labels, gone = np.array([-1, 1, -1, -1, -1]), np.array([0, 0, 1, 0, 0], bool)
    body = map_bytes(PoolMap(7, "tsne", xy, "x"), known, ["é", "b"], labels, labels >= 0, gone)
    script = """
const bytes = Uint8Array.from(atob(given), (letter) => letter.charCodeAt(0));
const map = it.parse(bytes.buffer);
const { plain, labeled } = it.layers(map);
const arrays = ["xy", "label", "guess", "p", "state"].map((name) => [name, [...map[name]]]);
return { ...map, ...Object.fromEntries(arrays), plain: [...plain], labeled: [...labeled] };
"""
    found = run("map-data.js", script, base64.b64encode(body).decode())
    assert found == {
        "n": 5,
        "method": "tsne",
        "version": 7,
        "classes": ["é", "b"],
        "xy": np.nan_to_num(xy).ravel().tolist(),
        "label": [-1, 1, -1, -1, -1],
        "guess": [0, 1, -1, 1, 0],
        "p": [51, 51, 0, 51, 51],
        "state": [0, 1, 2, 3, 0],
        "plain": [0, 4],
        "labeled": [1],
    }


def turns(outline, points):
    """How often an outline winds around each point: the sum of the angles under which the point sees the edges."""
    rays = outline[None] - points[:, None]
    angles = np.arctan2(rays[..., 1], rays[..., 0])
    steps = np.diff(angles, axis=1, append=angles[:, :1])
    return np.rint(((steps + np.pi) % (2 * np.pi) - np.pi).sum(1) / (2 * np.pi)).astype(int)


def outlines():
    """Outlines that people draw, and some that they do not: stars, loops, eights, scribbles, and lines without an inside."""
    rng = np.random.default_rng(0)
    round_ = np.linspace(0, 2 * np.pi, 300, endpoint=False)
    circle = np.stack([np.cos(round_), np.sin(round_)], 1)
    yield 0.5 + 0.3 * circle
    yield 0.5 + 0.3 * circle[::-1]
    yield 0.5 + (0.25 + 0.15 * np.sin(9 * round_))[:, None] * circle
    yield 0.5 + 0.4 * np.stack([np.sin(round_), np.sin(2 * round_)], 1)
    yield 0.5 + np.linspace(0.1, 0.4, 300)[:, None] * np.stack([np.cos(3 * round_), np.sin(3 * round_)], 1)
    yield np.array([[0.2, 0.2], [0.8, 0.2], [0.8, 0.8], [0.2, 0.8]])
    yield np.array([[0.2, 0.2], [0.2, 0.2], [0.8, 0.2], [0.8, 0.2], [0.5, 0.9], [0.5, 0.9]])
    yield np.array([[-3, -2], [5, 0.5], [-3, 4.0]])
    yield from (rng.random((count, 2)) for count in (3, 10, 300))
    yield 0.5 + 0.05 * rng.normal(size=(400, 2)).cumsum(0)
    yield from (
        np.full((5, 2), 0.5),
        np.array([[0.1, 0.1], [0.9, 0.7]]),
        np.array([[0.1, 0.4], [0.9, 0.4], [0.5, 0.4]]),
    )


def test_the_lasso_holds_the_points_around_which_it_winds(run):
    xy = np.random.default_rng(1).random((3000, 2)).astype(np.float32)
    rows = np.random.default_rng(2).permutation(3000)[:2000]
    given = {
        "xy": xy.ravel().tolist(),
        "rows": rows.tolist(),
        "outlines": [drawn.ravel().tolist() for drawn in outlines()],
    }
    script = """
const xy = Float32Array.from(given.xy);
return given.outlines.map((outline) => [...it.inside(Float64Array.from(outline), xy, given.rows)]);
"""
    found = run("lasso.js", script, given)
    sizes = []
    for drawn, inside in zip(outlines(), found, strict=True):
        expected = rows[turns(drawn, xy[rows].astype(float)) != 0]
        assert inside == expected.tolist()
        sizes.append(len(inside))
    assert min(sizes[:12]) > 100, "the outlines have an inside"
    assert sizes[-3:] == [0, 0, 0]


# G. M. Machado, M. M. Oliveira, L. A. F. Fernandes, A Physiologically-based Model for Simulation of Color Vision Deficiency, 2009:
# severity 1, on linear RGB; B. Ottosson's Oklab from linear RGB.
SIGHTS = [
    np.eye(3),
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
]
CONES = [
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
]
LAB = [
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
]


def linear(colors):
    values = np.array([[int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)] for color in colors])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def test_classes_differ_for_every_kind_of_color_vision():
    source = (PAGE / "palette.js").read_text(encoding="utf-8")
    for theme, background in [("light", "#ffffff"), ("dark", "#1e2125")]:
        (listed,) = re.findall(rf'^  {theme}: \["(#.*)"\],$', source, re.MULTILINE)
        colors = listed.split('", "')
        assert len(colors) == 10
        luminance = linear([background, *colors]) @ [0.2126, 0.7152, 0.0722] + 0.05
        contrast = np.maximum(luminance[1:] / luminance[0], luminance[0] / luminance[1:])
        assert contrast.min() > 2.7
        for sight in SIGHTS:
            seen = np.cbrt((linear(colors) @ np.transpose(sight)).clip(0, 1) @ np.transpose(CONES)) @ np.transpose(LAB)
            apart = np.linalg.norm(seen[:, None] - seen[None], axis=-1) + 9 * np.eye(10)
            assert apart.min() > 0.11, "the eight colors of Okabe and Ito: 0.076"


def test_classes_beyond_ten_have_other_marks(run):
    script = """
const ink = (label) => it.stamps(3, 100)[it.markOf(label)].join();
const marks = [0, 9, 10, 20, 30, 40, 50].map(ink);
return { marks, colors: [0, 10, 13, -1].map((label) => it.colorOf(label, "dark")) };
"""
    found = run("palette.js", script, None)
    assert found["marks"][0] == found["marks"][1] == found["marks"][6]
    assert len(set(found["marks"])) == 5
    assert found["colors"][0] == found["colors"][1]
    assert len(set(found["colors"])) == 3
