"""Peak memory of embedding a folder of images that is streamed: 200,000 small ones, or as many as are asked for."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import write
from benchmarks.select_memory import _megabytes

IMAGES, SIDE, A_FOLDER = 200_000, 48, 1_000
LIMIT_MB = 1_500
MODEL = "timm:resnet10t"


def make(folder: Path, images: int) -> None:
    """Images of noise, every other one a JPEG; the same bytes under many names would be cached by the system alike."""
    rng = np.random.default_rng(0)
    for row in range(images):
        path = folder / f"{row // A_FOLDER:03}" / f"{row:06}.{'jpg' if row % 2 else 'png'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)


def measure(folder: Path) -> None:
    """In a process of its own: print seconds, seconds of a second call, and megabytes."""
    from distil.embed import embed

    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        found = embed(folder / "images", MODEL, weights="random", out=folder / "emb.npy")
        seconds.append(time.perf_counter() - begin)
    assert found.made == 0
    print(f"{seconds[0]:.1f} {seconds[1]:.2f} {_megabytes('VmHWM'):.0f}")


def main(argv: list[str]) -> None:
    """Make the images, embed them, and write the table."""
    if len(argv) == 2:
        measure(Path(argv[1]))
        return
    images = int(argv[0]) if argv else IMAGES
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder, "images"), images)
        out = subprocess.run(
            [sys.executable, "-m", "benchmarks", "embed_memory", "measure", folder],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    first, second, megabytes = out.stdout.split()
    table = (
        "| images | peak of the whole process, MB | limit, MB | seconds | seconds of a second call |\n|---|---|---|---|---|\n"
        f"| {images:,} | {megabytes} | {LIMIT_MB} | {first} | {second} |"
    )
    name = "embed_memory" if images == IMAGES else f"embed_memory_{images}"
    text = f"`python -m benchmarks embed_memory`: {SIDE} x {SIDE} JPEG and PNG files through {MODEL}, as on its own 176 x 176."
    write(name, f"# Memory of embedding\n\n{text}\n\n{table}")
