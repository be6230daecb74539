"""Downloads of published data sets: files are checked, synced and renamed; a failed download leaves no file."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from tqdm import tqdm

from distil.errors import DataNotFound
from distil.system.files import replacing

BLOCK: Final = 2**18  # bytes read at a time
PATIENCE: Final = 30.0  # seconds without a byte after which a download fails


@dataclass(frozen=True)
class Download:
    """Addresses and checksums of the files of a data set.

    Attributes:
        base: The address of the folder of all files, ending in a slash.
        folder: The folder for the files, below the data root.
        md5: File name -> published checksum.
    """

    base: str
    folder: str
    md5: dict[str, str]


# The addresses and checksums that torchvision publishes, and the folders that it uses. Some servers use plain http: every
# file is compared with its checksum, and the readers check everything that they read.
DOWNLOADS: Final[dict[str, Download]] = {
    "mnist": Download(
        base="https://ossci-datasets.s3.amazonaws.com/mnist/",
        folder="MNIST/raw",
        md5={
            "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
            "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
            "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
        },
    ),
    "fmnist": Download(
        base="http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        folder="FashionMNIST/raw",
        md5={
            "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
            "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
            "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
        },
    ),
    "kmnist": Download(
        base="http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        folder="KMNIST/raw",
        md5={
            "train-images-idx3-ubyte.gz": "bdb82020997e1d708af4cf47b453dcf7",
            "train-labels-idx1-ubyte.gz": "e144d726b3acfaa3e44228e80efcd344",
            "t10k-images-idx3-ubyte.gz": "5c965bf0a639b31b8f53240b1b52f4d7",
            "t10k-labels-idx1-ubyte.gz": "7320c461ea6c1c855c0b718fb2a4b134",
        },
    ),
    "cifar10": Download(
        base="https://www.cs.toronto.edu/~kriz/",
        folder=".",
        md5={"cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a"},
    ),
    "cifar100": Download(
        base="https://www.cs.toronto.edu/~kriz/",
        folder=".",
        md5={"cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85"},
    ),
    "svhn": Download(
        base="http://ufldl.stanford.edu/housenumbers/",
        folder=".",
        md5={
            "train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373",
            "test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3",
        },
    ),
    "stl10": Download(
        base="http://ai.stanford.edu/~acoates/stl10/",
        folder=".",
        md5={"stl10_binary.tar.gz": "91f7769df0f17e558f3565bffb0c7dfb"},
    ),
}


def fetch(name: str, root: Path) -> None:
    """Download the missing files of a data set to the data root.

    Args:
        name: A key of ``DOWNLOADS``.
        root: The data root; created if it is missing.

    Raises:
        DataNotFound: The server cannot be reached, breaks off or sends other content, or the folder cannot
            be written. Complete files stay, and no others.
    """
    source = DOWNLOADS[name]
    for file, md5 in source.md5.items():
        target = root / source.folder / file
        if not target.is_file() and not target.with_suffix("").is_file():
            _fetch_file(source.base + file, target, md5)


def _fetch_file(url: str, target: Path, md5: str) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            replacing(target) as partial,
            urllib.request.urlopen(url, timeout=PATIENCE) as response,
            partial.open("xb") as file,
        ):
            _copy(response, file, target.name, md5)
    except (OSError, http.client.HTTPException) as error:
        raise DataNotFound(
            f"{url} could not be downloaded: {str(error) or type(error).__name__}; try again later, or get the file another "
            f"way and place it as {target} (md5 {md5})"
        ) from error


def _copy(response: http.client.HTTPResponse, file: BinaryIO, label: str, md5: str) -> None:
    """Copy the body of a response to a file.

    Raises:
        OSError: The body breaks off, or its checksum is not the published one.
    """
    length = response.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else None
    digest, size = hashlib.md5(usedforsecurity=False), 0
    with tqdm(total=total, desc=label, unit="B", unit_scale=True, disable=None) as bar:
        while block := response.read(BLOCK):
            file.write(block)
            digest.update(block)
            size += len(block)
            bar.update(len(block))
    if total is not None and size != total:
        raise OSError(f"the server broke off after {size} of {total} bytes")
    if digest.hexdigest() != md5:
        raise OSError(f"the {size} bytes received have md5 {digest.hexdigest()}, not the published {md5}")
