"""Peak memory of embedding a folder of images, streamed through a ResNet-18: 200,000 small ones, or as many as asked for."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from benchmarks.machine import write
from benchmarks.select_memory import _megabytes

IMAGES, SIDE, A_FOLDER, DISTINCT = 200_000, 32, 1_000, 4_000
LIMIT_MB = 1_500
MODEL = "benchmarks.embed_memory:resnet18"


@functools.cache
def _network() -> nn.Module:
    from distil._compat import import_torchvision

    import_torchvision()
    import timm

    torch.manual_seed(0)
    network: nn.Module = timm.create_model("resnet18", pretrained=False, num_classes=0)
    return network.eval()


def resnet18(images: list[Image.Image]) -> Tensor:
    """Embeddings (B, 512) of images in their own size, which timm's settings would enlarge to 224 x 224; random weights."""
    pixels = np.stack([np.asarray(image.convert("RGB")) for image in images])
    with torch.inference_mode():
        found: Tensor = _network()(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
    return found


def make(folder: Path, images: int) -> None:
    """Images of noise, every other one a JPEG; after the first ones, further names of the same files."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{row // A_FOLDER:03}" / f"{row:06}.{'jpg' if row % 2 else 'png'}" for row in range(images)]
    for row, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if row < DISTINCT:
            Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        else:
            os.link(paths[row % DISTINCT], path)


def measure(folder: Path) -> None:
    """In a process of its own: print seconds, seconds of a second call, and megabytes."""
    from distil.embed import embed

    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        found = embed(folder / "images", MODEL, out=folder / "emb.npy")
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
    text = (
        f"`python -m benchmarks embed_memory`: {SIDE} x {SIDE} JPEG and PNG files, {DISTINCT:,} of them distinct, through a "
        "ResNet-18 of timm with random weights."
    )
    write(name, f"# Memory of embedding\n\n{text}\n\n{table}")
