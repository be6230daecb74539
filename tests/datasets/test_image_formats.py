"""The published sets of images other than MNIST and CIFAR-10: small files in the real formats."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
import zlib
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import torch
from scipy.io import loadmat, savemat

from distil.datasets.image_formats import read_svhn
from distil.datasets.load import load
from distil.datasets.matlab import read_matlab
from distil.datasets.transforms import CropFlip, Normalize
from distil.errors import DataNotFound, InvalidInput

IDX_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
MNIST_PIXELS = Normalize((0.1307,), (0.3081,))
IMAGENET_PIXELS = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
RNG = np.random.default_rng(0)


def idx(array) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def packed(folder, files) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return raw.getvalue()


# ------------------------------------------------------------------------------------- fashion-mnist and kmnist


def idx_arrays(seed):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, 10 if len(size) == 1 else 256, size) for size in ((6, 28, 28), (6,), (3, 28, 28), (3,))]


def test_sets_in_the_format_of_mnist(case, tmp_path, write):
    for name, first, folder, augment, classes in [
        ("fmnist", "fmnist", "FashionMNIST/raw", CropFlip(4, True), ("T-shirt/top", "Ankle boot")),
        ("fashion_mnist", "fmnist", "fashion_mnist", CropFlip(4, True), ("T-shirt/top", "Ankle boot")),
        ("kmnist", "kmnist", "KMNIST/raw", None, ("o", "wo")),
        ("kmnist", "kmnist", "kmnist", None, ("o", "wo")),
    ]:
        for suffix in ["", ".gz"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(name, first, folder, augment, classes, suffix):
                arrays = idx_arrays(1)
                for decoy in ("MNIST/raw", "."):  # files of the same names that belong to another set
                    for file, array in zip(IDX_FILES, idx_arrays(2), strict=True):
                        write(root / decoy / file, idx(array))
                for file, array in zip(IDX_FILES, arrays, strict=True):
                    write(root / folder / (file + suffix), gzip.compress(idx(array)) if suffix else idx(array))
                data = load(name, root)
                np.testing.assert_array_equal(data.x_train[:, 0], arrays[0])
                np.testing.assert_array_equal(data.y_train, arrays[1])
                np.testing.assert_array_equal(data.x_test[:, 0], arrays[2])
                np.testing.assert_array_equal(data.y_test, arrays[3])
                assert (data.name, data.num_classes, data.class_names[0], data.class_names[9]) == (first, 10, *classes)
                assert (data.transform, data.augment) == (MNIST_PIXELS, augment)


def test_the_files_of_mnist_are_not_taken_for_another_set(case, tmp_path, write, refuses):
    for name in ["fmnist", "kmnist"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name):
            for folder in ("MNIST/raw", "mnist", "."):
                for file, array in zip(IDX_FILES, idx_arrays(2), strict=True):
                    write(root / folder / file, idx(array))
            with refuses(DataNotFound, repr(name), "download=True"):
                load(name, root)


# ----------------------------------------------------------------------------------------------------- cifar100


def cifar100_files(n=4):
    rng = np.random.default_rng(3)
    return {
        part: {
            "data": rng.integers(0, 256, (n, 3072), dtype=np.uint8),
            "fine_labels": rng.integers(0, 100, n).tolist(),
            "coarse_labels": rng.integers(0, 20, n).tolist(),
            "batch_label": part,
            "filenames": ["a.png"] * n,
        }
        for part in ("train", "test")
    }


def test_cifar100(case, tmp_path, write):
    for form in ["cifar-100-python", "cifar100/cifar-100-python", "archive", "cifar100/archive"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(form):
            files = cifar100_files()
            raw = {part: pickle.dumps(content, protocol=2) for part, content in files.items()}
            if form.endswith("archive"):
                place = (root / form).with_name("cifar-100-python.tar.gz")
                write(place, packed("cifar-100-python", {"meta": b"never read", **raw}))
            else:
                for part, content in raw.items():
                    write(root / form / part, content)
            data = load("cifar100", root)
            np.testing.assert_array_equal(data.x_train, files["train"]["data"].reshape(-1, 3, 32, 32))
            np.testing.assert_array_equal(data.y_train, files["train"]["fine_labels"])
            np.testing.assert_array_equal(data.x_test, files["test"]["data"].reshape(-1, 3, 32, 32))
            np.testing.assert_array_equal(data.y_test, files["test"]["fine_labels"])
            assert (data.num_classes, data.class_names[0], data.class_names[-1]) == (100, "apple", "worm")
            assert list(data.class_names) == sorted(set(data.class_names))
            assert data.augment == CropFlip(4, True)
            assert data.transform == Normalize((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))


def test_cifar100_without_fine_labels(tmp_path, write, refuses):
    for part, content in cifar100_files().items():
        del content["fine_labels"]
        write(tmp_path / "cifar-100-python" / part, pickle.dumps(content, protocol=2))
    with refuses(InvalidInput, "cifar-100-python", "'fine_labels', a list", "coarse_labels"):
        load("cifar100", tmp_path)


def test_an_archive_is_read_no_further_than_needed(tmp_path, write):
    raw = {part: pickle.dumps(content, protocol=2) for part, content in cifar100_files().items()}
    whole = packed("cifar-100-python", {**raw, "more": RNG.bytes(2_000_000)})
    write(tmp_path / "cifar-100-python.tar.gz", whole[: len(whole) // 2])
    assert len(load("cifar100", tmp_path).x_train) == 4


# --------------------------------------------------------------------------------------------------------- svhn


def svhn_arrays(n, seed):
    rng = np.random.default_rng(seed)
    return {
        "X": rng.integers(0, 256, (32, 32, 3, n), dtype=np.uint8),
        "y": rng.integers(1, 11, (n, 1)).astype(np.uint8),
    }


def matlab(content, **options) -> bytes:
    raw = io.BytesIO()
    savemat(raw, content, **options)
    return raw.getvalue()


def test_svhn(case, tmp_path, write):
    for compressed in [True, False]:
        for folder in [".", "svhn", "SVHN"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(compressed, folder):
                train, test = svhn_arrays(12, 0), svhn_arrays(5, 1)
                for part, content in (("train", train), ("test", test)):
                    write(root / folder / f"{part}_32x32.mat", matlab(content, do_compression=compressed))
                data = load("svhn", root)
                for x, y, content in ((data.x_train, data.y_train, train), (data.x_test, data.y_test, test)):
                    assert x.dtype == torch.uint8
                    for row in range(len(x)):
                        np.testing.assert_array_equal(x[row].permute(1, 2, 0), content["X"][:, :, :, row])
                        assert int(y[row]) == (0 if content["y"][row, 0] == 10 else content["y"][row, 0])
                assert (data.num_classes, data.class_names) == (10, tuple("0123456789"))
                assert (data.transform, data.augment) == (IMAGENET_PIXELS, CropFlip(4, False))


def test_files_that_are_not_svhn(case, tmp_path, write, refuses):
    for change, message in [
        ({"X": np.zeros((32, 32, 3, 4))}, ["'X' must be uint8", "float64 (32, 32, 3, 4)"]),
        ({"X": np.zeros((32, 32, 4), np.uint8)}, ["'X' must be uint8 of shape", "(32, 32, 4)"]),
        ({"X": np.zeros((3, 32, 32, 4), np.uint8)}, ["(3, 32, 32, 4)"]),
        ({"y": np.ones((5, 1), np.uint8)}, ["'y' must hold numbers in the shape (4, 1)", "(5, 1)"]),
        ({"y": np.full((4, 1), 11, np.uint8)}, ["1..10", "[11]"]),
        ({"y": np.zeros((4, 1), np.uint8)}, ["1..10", "[0]"]),
        ({"y": np.full((4, 1), 1.5)}, ["1..10", "[1.5]"]),
        ({"y": np.array(["a", "b", "c", "d"], object)[:, None]}, ["y is not an array of real numbers"]),
        ({"X": None}, ["'X' must be uint8", "got no such variable"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(change, message):
            content = {key: value for key, value in {**svhn_arrays(4, 0), **change}.items() if value is not None}
            path = write(root / "a.mat", matlab(content))
            with refuses(InvalidInput, str(path), *message):
                read_svhn(path)


def test_the_matlab_reader_equals_scipys(case):
    for compressed in [True, False]:
        for dtype in [np.uint8, np.int16, np.uint32, np.float32, np.float64, np.int64]:
            with case(compressed, dtype):
                content = {
                    "scalar": np.array([[3]], dtype),
                    "B": RNG.integers(0, 100, (2, 3, 4)).astype(dtype),
                    "a_long_name_that_needs_more": RNG.integers(0, 100, (5, 1)).astype(dtype),
                    "text": "not a number",
                    "empty": np.zeros((0, 3), dtype),
                }
                raw = matlab(content, do_compression=compressed)
                names = [name for name in content if name != "text"]
                ours, theirs = read_matlab(raw, names, "file", 10_000), loadmat(io.BytesIO(raw))
                assert set(ours) == set(names)
                for name in names:
                    np.testing.assert_array_equal(ours[name], theirs[name])
                    assert ours[name].dtype == theirs[name].dtype
                assert list(read_matlab(raw, ["B", "C"], "file", 10_000)) == ["B"]


def test_a_big_endian_file_written_by_hand():
    """Element by element, following the description of the format; a double array stored as bytes."""

    def element(kind, content):
        return struct.pack(">II", kind, len(content)) + content + bytes(-len(content) % 8)

    body = element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">2i", 2, 3))
    body += struct.pack(">HH", 1, 1) + b"Q\0\0\0" + element(2, bytes([1, 2, 3, 4, 5, 6]))
    raw = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x100) + b"MI" + element(14, body)
    expected = [[1, 3, 5], [2, 4, 6]]
    assert read_matlab(raw, ["Q"], "file", 100)["Q"].tolist() == expected
    assert loadmat(io.BytesIO(raw))["Q"].tolist() == expected


def test_files_that_are_not_matlab(case, refuses):
    for damage, message in [
        (lambda raw: b"", "format 5"),
        (lambda raw: b"MATLAB 7.3" + raw[10:], "7.3"),
        (lambda raw: raw[:-9], "not a valid MATLAB file"),
        (lambda raw: raw[:136] + b"\0" * 40 + raw[176:], "not a valid MATLAB file"),
    ]:
        with case(damage, message), refuses(InvalidInput, "file", message):
            read_matlab(damage(matlab(svhn_arrays(2, 0), do_compression=True)), ["X", "y"], "file", 10**6)


def test_a_variable_that_grows_when_it_is_unpacked(refuses):
    bomb = zlib.compress(bytes(10**6))
    raw = (
        b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM" + struct.pack("<II", 15, len(bomb)) + bomb
    )
    with refuses(InvalidInput, "larger than 1000 bytes"):
        read_matlab(raw, ["X"], "file", 1000)


def test_damaged_matlab_files_are_refused():
    rng = np.random.default_rng(0)
    small = {"X": rng.integers(0, 256, (4, 4, 3, 5), dtype=np.uint8), "y": np.ones((5, 1), np.uint8)}
    for compressed in (True, False):
        raw = matlab(small, do_compression=compressed)
        for _ in range(300):
            broken = bytearray(raw[: rng.integers(0, len(raw))] if rng.random() < 0.3 else raw)
            for place in rng.integers(0, len(raw), 3):
                if place < len(broken):
                    broken[place] = rng.integers(0, 256)
            try:
                found = read_matlab(bytes(broken), ["X", "y"], "file", 10**5)
            except InvalidInput:
                continue
            assert all(array.nbytes <= len(raw) + 10**5 for array in found.values())


# -------------------------------------------------------------------------------------------------------- stl10


def stl10_files(sizes):
    """Images (n, 3, 96, 96) and labels from 1, and the files: planes of one color, column after column."""
    rng = np.random.default_rng(4)
    arrays, files = {}, {}
    for part, n in sizes.items():
        x, y = rng.integers(0, 256, (n, 3, 96, 96), dtype=np.uint8), rng.integers(1, 11, n)
        arrays[part] = (x, y - 1)
        columns = [x[row, color, :, column].tobytes() for row in range(n) for color in range(3) for column in range(96)]
        files |= {f"{part}_X.bin": b"".join(columns), f"{part}_y.bin": bytes(y.tolist())}
    return arrays, files


def test_stl10(case, tmp_path, write):
    for form in ["folder", "archive"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(form):
            arrays, files = stl10_files({"train": 3, "test": 2})
            if form == "archive":
                write(root / "stl10_binary.tar.gz", packed("stl10_binary", {**files, "unlabeled_X.bin": b"?"}))
            else:
                for name, content in files.items():
                    write(root / "stl10_binary" / name, content)
            data = load("stl10", root)
            np.testing.assert_array_equal(data.x_train, arrays["train"][0])
            np.testing.assert_array_equal(data.y_train, arrays["train"][1])
            np.testing.assert_array_equal(data.x_test, arrays["test"][0])
            np.testing.assert_array_equal(data.y_test, arrays["test"][1])
            assert (data.num_classes, data.class_names[1], data.class_names[7]) == (10, "bird", "monkey")
            assert (data.transform, data.augment) == (IMAGENET_PIXELS, CropFlip(4, True))


def test_stl10_damaged(case, tmp_path, write, refuses):
    for name, content, message in [
        ("train_X.bin", b"", ["27648 bytes", "got 0"]),
        ("test_X.bin", bytes(27649), ["27648 bytes", "got 27649"]),
        ("train_y.bin", bytes([1, 0, 3]), ["1..10", "[0 1 3]"]),
        ("test_y.bin", bytes([11, 1]), ["1..10"]),
        ("test_y.bin", bytes([1]), ["y_test must be int64 of shape (2,)"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name, content, message):
            _, files = stl10_files({"train": 3, "test": 2})
            for file, raw in (files | {name: content}).items():
                write(root / "stl10_binary" / file, raw)
            with refuses(InvalidInput, *message):
                load("stl10", root)


# ----------------------------------------------------------------------------------------------------- download


def test_every_set_of_images_is_downloaded_into_its_place(tmp_path, server):
    publish, _, asked = server
    publish("svhn", {f"{part}_32x32.mat": matlab(svhn_arrays(3, 0)) for part in ("train", "test")})
    publish("stl10", {"stl10_binary.tar.gz": packed("stl10_binary", stl10_files({"train": 1, "test": 1})[1])})
    cifar = {part: pickle.dumps(content, protocol=2) for part, content in cifar100_files().items()}
    publish("cifar100", {"cifar-100-python.tar.gz": packed("cifar-100-python", cifar)})
    for name in ("fmnist", "kmnist"):
        files = zip(IDX_FILES, idx_arrays(0), strict=True)
        publish(name, {f"{file}.gz": gzip.compress(idx(array)) for file, array in files})
    for name, size in (("svhn", 3), ("stl10", 1), ("cifar100", 4), ("fmnist", 6), ("kmnist", 6)):
        assert len(load(name, tmp_path, download=True).x_train) == size
        load(name, tmp_path, download=True)
    assert len(asked) == 2 + 1 + 1 + 4 + 4  # once each
    assert (tmp_path / "FashionMNIST/raw" / f"{IDX_FILES[0]}.gz").is_file()
    assert (tmp_path / "KMNIST/raw" / f"{IDX_FILES[0]}.gz").is_file()
