"""Peak memory of embedding 200,000 images in a folder and choosing among them, and of fewer through a ResNet-18."""

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

POOLS = (("colors", 200_000), ("resnet18", 20_000))
SIDE, A_FOLDER, DISTINCT = 32, 1_000, 4_000
LIMIT_MB = 1_500


@functools.cache
def _network() -> nn.Module:
    from distil.system.imports import import_torchvision

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
    """Images of noise, every other one a JPEG; all but the first ones are links to the same files."""
    rng = np.random.default_rng(0)
    paths = [folder / f"{row // A_FOLDER:03}" / f"{row:06}.{'jpg' if row % 2 else 'png'}" for row in range(images)]
    for row, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        if row < DISTINCT:
            Image.fromarray(rng.integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)).save(path)
        else:
            os.link(paths[row % DISTINCT], path)


def colors(images: list[Image.Image]) -> Tensor:
    """Embeddings (B, 192): 8 x 8 mean colors."""
    small = [np.asarray(image.convert("RGB").resize((8, 8), Image.Resampling.BOX)) for image in images]
    return torch.from_numpy(np.stack(small)).flatten(1) / 255


def measure(folder: Path, model: str) -> None:
    """In a separate process: embed, choose 100 images, embed again; print the seconds and megabytes."""
    from distil import select_from
    from distil.embedding.embed import embed

    seconds = []
    for _ in range(2):
        begin = time.perf_counter()
        found = embed(folder / "images", f"benchmarks.embed_memory:{model}", out=folder / "emb.npy")
        seconds.append(time.perf_counter() - begin)
    assert found.made == 0
    picks = select_from("core_set", 100, embeddings=np.load(folder / "emb.npy", mmap_mode="r"))
    assert len(set(picks.tolist())) == 100
    print(f"{seconds[0]:.1f} {seconds[1]:.2f} {_megabytes('VmHWM'):.0f}")


def row(model: str, images: int) -> str:
    """The row of one pool in the table."""
    with tempfile.TemporaryDirectory() as folder:
        make(Path(folder, "images"), images)
        command = [sys.executable, "-m", "benchmarks", "embed_memory", "measure", folder, model]
        out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    first, second, megabytes = out.stdout.split()
    return f"| {images:,} | {model} | {megabytes} | {LIMIT_MB} | {first} | {second} |"


def main(argv: list[str]) -> None:
    """Write the images, embed them, choose some, and write the table."""
    if argv:
        measure(Path(argv[1]), argv[2])
        return
    head = "| images | model | peak of the whole process, MB | limit, MB | seconds | seconds of a second call |"
    text = (
        f"`python -m benchmarks embed_memory`: {SIDE} x {SIDE} JPEG and PNG files in folders, {DISTINCT:,} of them distinct, "
        "embedded by mean colors or by a ResNet-18 of timm with random weights; then core-set chooses 100."
    )
    table = "\n".join([head, "|---|---|---|---|---|---|", *(row(*pool) for pool in POOLS)])
    write("embed_memory", f"# Memory of choosing from a folder of images\n\n{text}\n\n{table}")
