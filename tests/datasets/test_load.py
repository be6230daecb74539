"""Data sets by name: the published image formats, the download."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from distil.datasets import download as download_module
from distil.datasets.download import DOWNLOADS, Download
from distil.datasets.image_formats import read_cifar_batch
from distil.datasets.load import data_root, data_set_names, load
from distil.datasets.transforms import CropFlip, Normalize
from distil.errors import DataNotFound, InvalidInput, UnknownName

PACK = {"": bytes, ".gz": gzip.compress}


# ---------------------------------------------------------------------------------------- names, root, options


def test_names_are_sorted_and_loadable_by_name():
    images = ["cifar10", "cifar100", "fashion_mnist", "fmnist", "kmnist", "mnist", "stl10", "svhn"]
    assert data_set_names() == tuple(sorted([*images, "csv", "digits", "ijcnn1", "libsvm", "npz", "satimage"]))


def test_unknown_name_offers_the_nearest(refuses):
    with refuses(UnknownName, "'satimag'", "did you mean 'satimage'?", "cifar10, cifar100, csv"):
        load("satimag")


def test_data_root_order(monkeypatch, tmp_path):
    monkeypatch.setenv("DISTIL_DATA", str(tmp_path / "env"))
    assert data_root("there") == Path("there")
    assert data_root() == tmp_path / "env"
    monkeypatch.setenv("DISTIL_DATA", "")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() == tmp_path / "cache" / "distil"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")  # ignored, by the XDG standard
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == tmp_path / ".cache" / "distil"
    assert data_root("~/x") == tmp_path / "x"


def test_the_cache_is_the_platforms_or_an_existing_one(monkeypatch, tmp_path):
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, appauthor: f"/Library/Caches/{name}")
    for variable, value in (("HOME", str(tmp_path)), ("XDG_CACHE_HOME", "relative"), ("DISTIL_DATA", "")):
        monkeypatch.setenv(variable, value)
    assert data_root() == Path("/Library/Caches/distil")
    (tmp_path / ".cache" / "distil").mkdir(parents=True)
    assert data_root() == tmp_path / ".cache" / "distil"


def test_options_that_a_set_does_not_take(case, refuses):
    for name, options, parts in [
        ("digits", {"label": 0}, ["does not take label"]),
        ("mnist", {"path": "x", "label": 0}, ["does not take label, path"]),
        ("npz", {"path": "x", "test_path": "y"}, ["does not take test_path", "it takes path"]),
        ("libsvm", {"path": "x", "label": 0}, ["does not take label"]),
        ("csv", {}, ["path=..."]),
    ]:
        with case(name, options, parts), refuses(InvalidInput, repr(name), *parts):
            load(name, **options)


def test_not_found_lists_every_folder_with_advice(case, tmp_path, refuses):
    for name in ["mnist", "cifar10", "satimage", "ijcnn1"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name):
            inside = {
                "mnist": [
                    "MNIST/raw: train-images-idx3-ubyte[.gz], train-labels-idx1-ubyte[.gz]",
                    "/mnist: ",
                    "--download",
                ],
                "cifar10": [
                    "cifar-10-batches-py: data_batch_1",
                    "cifar10/cifar-10-batches-py: ",
                    "cifar-10-python.tar.gz",
                ],
                "satimage": ["tabular/satimage: sat.trn, sat.tst", "/satimage: ", "cannot be downloaded"],
                "ijcnn1": ["tabular/ijcnn1: ijcnn1.trn[.gz|.bz2] or ", "ijcnn1.t[.gz|.bz2]", "cannot be downloaded"],
            }
            with refuses(DataNotFound, repr(name), str(root), "--data", "DISTIL_DATA", *inside[name]):
                load(name, root)


def test_download_of_a_set_that_cannot_be_is_not_found(tmp_path, refuses):
    with refuses(DataNotFound, "cannot be downloaded"):
        load("satimage", tmp_path, download=True)


def test_not_found_names_only_the_missing_half(tmp_path, write):
    write(tmp_path / "satimage/sat.trn", "1 2 3")
    with pytest.raises(DataNotFound) as caught:
        load("satimage", tmp_path)
    assert f"{tmp_path}/satimage: sat.tst\n" in str(caught.value)


def test_a_users_file_may_be_in_the_working_directory_or_the_root(tmp_path, monkeypatch, refuses, write):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with refuses(DataNotFound, "'a.csv'", str(tmp_path / "here" / "a.csv"), str(tmp_path / "root" / "a.csv")):
        load("csv", tmp_path / "root", path="a.csv")
    write(tmp_path / "root/a.csv", "1,0\n2,1\n")
    assert load("csv", tmp_path / "root", path="a.csv").x_train.tolist() == [[1.0], [2.0]]
    write(tmp_path / "here/a.csv", "5,0\n6,1\n")
    assert load("csv", tmp_path / "root", path="a.csv").x_train.tolist() == [[5.0], [6.0]]


# ------------------------------------------------------------------------------------------------------ digits


def test_digits_equal_scikit_learns():
    data, (x, y) = load("digits"), load_digits(return_X_y=True)
    assert data.x_train.dtype == torch.float32
    assert torch.equal(data.x_train.double() * 16, torch.from_numpy(x))
    assert torch.equal(data.y_train, torch.from_numpy(y))
    assert data.x_test is data.y_test is data.transform is data.augment is None
    assert (data.num_classes, data.class_names) == (10, tuple("0123456789"))


# ----------------------------------------------------------------------------------------------- mnist and idx

MNIST_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


def idx(array) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


@pytest.fixture
def digits_small():
    rng = np.random.default_rng(0)
    sizes = ((12, 28, 28), (12,), (5, 28, 28), (5,))
    return [rng.integers(0, 10 if len(size) == 1 else 256, size) for size in sizes]


def test_mnist(case, tmp_path, digits_small, write):
    for suffix in ["", ".gz"]:
        for folder in ["MNIST/raw", "mnist", "mnist/raw", "."]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(suffix, folder):
                for name, array in zip(MNIST_FILES, digits_small, strict=True):
                    write(root / folder / (name + suffix), PACK[suffix](idx(array)))
                data = load("mnist", root)
                np.testing.assert_array_equal(data.x_train[:, 0], digits_small[0])
                np.testing.assert_array_equal(data.y_train, digits_small[1])
                np.testing.assert_array_equal(data.x_test[:, 0], digits_small[2])
                np.testing.assert_array_equal(data.y_test, digits_small[3])
                assert data.x_train.shape == (12, 1, 28, 28)
                assert data.x_train.dtype == torch.uint8
                assert data.augment is None
                assert data.transform == Normalize((0.1307,), (0.3081,))
                assert data.transform(data.x_train[:2]).dtype == torch.float32


def test_mnist_damaged(case, tmp_path, digits_small, refuses, write):
    for which, damage, message in [
        (0, lambda raw: b"\x00\x00\x0d\x03" + raw[4:], ["magic number 00000803", "00000d03"]),
        (1, lambda raw: b"\x00\x00\x08\x03" + raw[4:], ["magic number 00000801", "00000803"]),
        (0, lambda raw: raw[:-1], ["(12, 28, 28), 9408 bytes, but 9407 follow", "truncated"]),
        (0, lambda raw: raw + b"x", ["9409 follow"]),
        (0, lambda raw: raw[:7], ["7 bytes"]),
        (1, lambda raw: b"", ["begin with nothing"]),
        (1, lambda raw: raw[:-1] + b"\x0a", ["0..9", "y_train[11] is 10"]),
        (1, lambda raw: idx(np.zeros(3)), ["y_train must be int64 of shape (12,)", "(3,)"]),
        (2, lambda raw: idx(np.zeros((5, 14, 14))), ["training set are (1, 28, 28)", "test set (1, 14, 14)"]),
    ]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(which, damage, message):
            for place, (name, array) in enumerate(zip(MNIST_FILES, digits_small, strict=True)):
                raw = idx(array)
                write(root / "mnist" / name, damage(raw) if place == which else raw)
            with refuses(InvalidInput, "mnist", *message):
                load("mnist", root)


def test_mnist_damaged_gzip(case, tmp_path, digits_small, refuses, write):
    for damage in [lambda raw: raw[:-20], lambda raw: b"no gzip", lambda raw: raw[:30] + b"\xff" * 40]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(damage):
            for name, array in zip(MNIST_FILES, digits_small, strict=True):
                write(root / "mnist" / f"{name}.gz", damage(gzip.compress(idx(array))))
            with refuses(InvalidInput, "train-images-idx3-ubyte.gz cannot be read", "fetch it again"):
                load("mnist", root)


# ----------------------------------------------------------------------------------------------------- cifar10

CIFAR_FILES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]


def cifar_batches(rows=3):
    rng = np.random.default_rng(0)
    return {
        name: {
            "data": rng.integers(0, 256, (rows, 3072), dtype=np.uint8),
            "labels": rng.integers(0, 10, rows).tolist(),
            "batch_label": name,
            "filenames": ["a.png"] * rows,
        }
        for name in CIFAR_FILES
    }


def as_python2(raw: bytes) -> bytes:
    """The opcodes that Python 2 wrote: byte strings without a codec, and NumPy's module by its old name."""
    return raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def cifar_archive(batches, prefix="cifar-10-batches-py/"):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, batch in batches.items():
            raw = pickle.dumps(batch, protocol=2)
            member = tarfile.TarInfo(prefix + name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return packed.getvalue()


def check_cifar(data, batches):
    x = np.concatenate([batches[name]["data"] for name in CIFAR_FILES[:-1]]).reshape(-1, 3, 32, 32)
    np.testing.assert_array_equal(data.x_train, x)
    np.testing.assert_array_equal(
        data.y_train, [label for name in CIFAR_FILES[:-1] for label in batches[name]["labels"]]
    )
    np.testing.assert_array_equal(data.x_test, batches["test_batch"]["data"].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(data.y_test, batches["test_batch"]["labels"])
    assert (data.num_classes, data.class_names[0], data.class_names[9]) == (10, "airplane", "truck")
    assert data.augment == CropFlip(4, True)
    assert data.transform == Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))


def test_cifar10_from_batches(case, tmp_path, write):
    for protocol in [2, 3, 4]:
        for folder in ["cifar-10-batches-py", "cifar10/cifar-10-batches-py"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(protocol, folder):
                batches = cifar_batches()
                for name, batch in batches.items():
                    raw = pickle.dumps(batch, protocol=protocol)
                    write(root / folder / name, as_python2(raw) if protocol < 4 else raw)
                check_cifar(load("cifar10", root), batches)


def test_cifar10_keys_may_be_bytes_and_arrays_fortran(tmp_path, write):
    batches = cifar_batches()
    for name, batch in batches.items():
        stored = {key.encode(): np.asfortranarray(value) if key == "data" else value for key, value in batch.items()}
        write(tmp_path / "cifar-10-batches-py" / name, pickle.dumps(stored, protocol=4))
    check_cifar(load("cifar10", tmp_path), batches)


def test_a_batch_as_python_2_wrote_it():
    """Hand-assembled, opcode by opcode: protocol 2, byte strings, an array of 1 x 3072."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    pixels = bytes(range(256)) * 12
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + b"K\x00\x85" + text(b"b") + b"\x87R"
        b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\n" + text(b"u1") + b"K\x00K\x01\x87R"
        b"(K\x03" + text(b"|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        b"\x89T" + struct.pack("<i", len(pixels)) + pixels + b"tb"
    )
    raw = b"\x80\x02}(" + text(b"data") + array + text(b"labels") + b"]K\x07a" + b"u."
    reference = pickle.loads(raw.replace(b"numpy.core", b"numpy._core"), encoding="latin1")
    images, labels = read_cifar_batch(raw, "batch")
    np.testing.assert_array_equal(images.reshape(1, -1), reference["data"])
    assert labels.tolist() == reference["labels"] == [7]


def test_cifar10_from_the_archive_which_is_not_unpacked(case, tmp_path, write):
    for folder in [".", "cifar10"]:
        for prefix in ["cifar-10-batches-py/", "./cifar-10-batches-py/"]:
            root = Path(mkdtemp(dir=tmp_path))
            with case(folder, prefix):
                batches = cifar_batches()
                extra = {"../../evil": {}, "readme.html": {}}
                archive = write(
                    root / "root" / folder / "cifar-10-python.tar.gz", cifar_archive(batches | extra, prefix)
                )
                check_cifar(load("cifar10", root / "root"), batches)
                assert [path for path in root.rglob("*") if path.is_file()] == [archive]


def test_cifar10_prefers_batches_to_the_archive(tmp_path, write):
    batches = cifar_batches()
    write(tmp_path / "cifar-10-python.tar.gz", b"never opened")
    for name, batch in batches.items():
        write(tmp_path / "cifar-10-batches-py" / name, pickle.dumps(batch, protocol=4))
    check_cifar(load("cifar10", tmp_path), batches)


def test_cifar10_archive_damaged(tmp_path, refuses, write):
    batches, path = cifar_batches(), tmp_path / "cifar-10-python.tar.gz"
    whole = cifar_archive(batches)
    for raw in (whole[: len(whole) // 2], b"nothing of the kind", gzip.compress(b"no tar" * 200)):
        write(path, raw)
        with refuses(InvalidInput, str(path), "fetch it again"):
            load("cifar10", tmp_path)
    del batches["data_batch_3"]
    write(path, cifar_archive(batches))
    with refuses(InvalidInput, str(path), "lacks cifar-10-batches-py/data_batch_3"):
        load("cifar10", tmp_path)


def test_cifar10_archive_with_a_link_for_a_batch(tmp_path, refuses, write):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in CIFAR_FILES:
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(member)
    write(tmp_path / "cifar-10-python.tar.gz", packed.getvalue())
    with refuses(InvalidInput, "lacks cifar-10-batches-py/data_batch_1"):
        load("cifar10", tmp_path)


class Evil:
    def __init__(self, call, *args):
        self.reduced = (call, args)

    def __reduce__(self):
        return self.reduced


def test_a_malicious_pickle_is_refused_and_not_run(tmp_path, refuses):
    target = tmp_path / "made-by-the-pickle"
    for call, args, name in (
        (os.mkdir, (str(target),), f"{os.mkdir.__module__}.mkdir"),
        (eval, (f"__import__('os').mkdir({str(target)!r})",), "builtins.eval"),
        (np.lib.npyio.DataSource, (), "DataSource"),
        (bytearray, (b"a",), "builtins.bytearray"),
    ):
        for protocol in (2, 4):
            raw = pickle.dumps({"data": Evil(call, *args), "labels": []}, protocol=protocol)
            with refuses(InvalidInput, "batch", name if protocol == 4 else "the pickle asks for"):
                read_cifar_batch(raw, "batch")
    assert not target.exists()


def test_a_malicious_batch_on_disk_is_refused(tmp_path, refuses, write):
    for name in CIFAR_FILES:
        raw = pickle.dumps(Evil(os.mkdir, str(tmp_path / "made")), protocol=2)
        write(tmp_path / "cifar-10-batches-py" / name, raw)
    with refuses(InvalidInput, "data_batch_1", "fetch it again"):
        load("cifar10", tmp_path)
    assert not (tmp_path / "made").exists()


def test_other_codecs_are_refused(refuses):
    raw = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R."
    with refuses(InvalidInput, "rot13"):
        read_cifar_batch(raw, "batch")


GOOD = np.zeros((1, 3072), np.uint8)


def test_pickles_that_are_not_batches(case, refuses):
    for content, message in [
        ([1, 2], ["a pickled dict", "got list"]),
        ({"labels": [1]}, ["'data', an array", "['labels']"]),
        ({"data": GOOD, "labels": (1,)}, ["'labels', a list"]),
        ({"data": [1], "labels": [1]}, ["'data', an array"]),
        ({"data": GOOD, "labels": [1.5]}, ["must be integers"]),
        ({"data": GOOD, "labels": [True]}, ["must be integers"]),
        ({"data": GOOD, "labels": [2**70]}, ["must be integers"]),
        ({"data": GOOD, "labels": [1, 2]}, ["(2, 3072)", "uint8 (1, 3072)"]),
        ({"data": GOOD[:, 1:], "labels": [1]}, ["(1, 3072)", "(1, 3071)"]),
        ({"data": GOOD.astype(np.int64), "labels": [1]}, ["uint8", "got int64"]),
        ({"data": GOOD.astype(object), "labels": [1]}, ["fetch it again"]),
        ({"data": np.array(["a"]), "labels": [1]}, ["not of plain numbers"]),
    ]:
        with case(content, message), refuses(InvalidInput, "batch", *message):
            read_cifar_batch(pickle.dumps(content, protocol=4), "batch")


def test_a_pickle_that_asks_for_much_memory_is_refused(refuses):
    with refuses(InvalidInput, "memory that it does not use"):
        read_cifar_batch(b"\x80\x02]r\xff\xff\xff\x7f.", "batch")  # one list, stored in the memo at 2**31 - 1
    with refuses(InvalidInput, "not a valid pickle"):
        read_cifar_batch(b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"x.", "batch")  # more bytes than the pickle has


def test_damaged_pickles_are_refused():
    raw = pickle.dumps(cifar_batches(1)["test_batch"], protocol=2)
    rng = np.random.default_rng(0)
    for _ in range(300):
        broken = bytearray(raw[: rng.integers(0, 400)] if rng.random() < 0.3 else raw)
        for place in rng.integers(0, 300, 3):
            if place < len(broken):
                broken[place] = rng.integers(0, 256)
        try:
            images, labels = read_cifar_batch(bytes(broken), "batch")
        except InvalidInput:
            continue
        assert images.shape == (len(labels), 3, 32, 32)


def test_an_array_that_claims_more_than_it_has(refuses):
    array = pickle.dumps({"data": GOOD, "labels": [1]}, protocol=4)
    crafted = array.replace(b"K\x01M\x00\x0c\x86", b"K\x02M\x00\x0c\x86")
    assert crafted != array
    with refuses(InvalidInput, "shape does not match its bytes"):
        read_cifar_batch(crafted, "batch")


def test_cifar10_label_out_of_range(tmp_path, refuses, write):
    batches = cifar_batches()
    batches["data_batch_2"]["labels"] = [0, 1, 10]
    for name, batch in batches.items():
        write(tmp_path / "cifar-10-batches-py" / name, pickle.dumps(batch, protocol=4))
    with refuses(InvalidInput, "cifar10: labels must be in 0..9; y_train[5] is 10"):
        load("cifar10", tmp_path)


# ---------------------------------------------------------------------------------------------------- download


def files_under(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def mnist_packed(arrays):
    return {f"{name}.gz": gzip.compress(idx(array)) for name, array in zip(MNIST_FILES, arrays, strict=True)}


def test_the_table_names_the_published_files():
    assert set(DOWNLOADS) == {"mnist", "fmnist", "kmnist", "cifar10", "cifar100", "svhn", "stl10"}
    for name in ("mnist", "fmnist", "kmnist"):
        assert [f"{file}.gz" for file in MNIST_FILES] == list(DOWNLOADS[name].md5)
    assert all(source.base.startswith(("https://", "http://")) for source in DOWNLOADS.values())
    assert all(source.base.endswith("/") for source in DOWNLOADS.values())
    sums = [md5 for source in DOWNLOADS.values() for md5 in source.md5.values()]
    assert len(set(sums)) == len(sums)
    assert all(len(bytes.fromhex(md5)) == 16 for md5 in sums)


def test_download_mnist_once(tmp_path, server, digits_small, capfd):
    publish, _, asked = server
    publish("mnist", mnist_packed(digits_small))
    root = tmp_path / "new" / "root"
    data = load("mnist", root, download=True)
    np.testing.assert_array_equal(data.x_train[:, 0], digits_small[0])
    assert files_under(root) == sorted(f"MNIST/raw/{name}.gz" for name in MNIST_FILES)
    load("mnist", root, download=True)
    assert len(asked) == 4
    assert capfd.readouterr() == ("", "")  # no progress bar without a terminal


def test_download_fetches_only_missing_files(tmp_path, server, digits_small, write):
    publish, _, asked = server
    publish("mnist", mnist_packed(digits_small))
    write(tmp_path / "MNIST/raw" / MNIST_FILES[0], idx(digits_small[0]))  # exists already, unpacked
    load("mnist", tmp_path, download=True)
    assert asked == [f"{name}.gz" for name in MNIST_FILES[1:]]


def test_nothing_is_downloaded_unasked(tmp_path, server, digits_small, refuses):
    publish, _, asked = server
    publish("mnist", mnist_packed(digits_small))
    with refuses(DataNotFound, "download=True", "127.0.0.1"):
        load("mnist", tmp_path)
    assert not asked


def test_download_cifar10(tmp_path, server):
    publish, _, _ = server
    batches = cifar_batches()
    publish("cifar10", {"cifar-10-python.tar.gz": cifar_archive(batches)})
    check_cifar(load("cifar10", tmp_path, download=True), batches)
    assert files_under(tmp_path) == ["cifar-10-python.tar.gz"]


def test_a_broken_download_leaves_nothing(case, tmp_path, server, digits_small, refuses):
    for kind, (break_it, message) in zip(
        ["checksum", "interrupted", "404"],
        [
            (lambda raw: raw[:-1] + b"?", "not the published"),
            (lambda raw: (len(raw), raw[: len(raw) // 2]), "broke off after"),
            (lambda raw: None, "404"),
        ],
        strict=True,
    ):
        root = Path(mkdtemp(dir=tmp_path))
        with case(kind):
            publish, files, _ = server
            publish("mnist", mnist_packed(digits_small))
            third = f"{MNIST_FILES[2]}.gz"
            whole, files[third] = files[third], break_it(files[third])
            if files[third] is None:
                del files[third]
            target = root / "MNIST/raw" / third
            with refuses(DataNotFound, message, f"/pub/{third}", str(target), "md5"):
                load("mnist", root, download=True)
            assert files_under(root) == sorted(f"MNIST/raw/{name}.gz" for name in MNIST_FILES[:2])
            files[third] = whole
            assert len(load("mnist", root, download=True).x_train) == 12  # the next try downloads the missing files


def test_download_without_a_server(tmp_path, monkeypatch, server, refuses):
    closed = Download("http://127.0.0.1:9/", ".", {"cifar-10-python.tar.gz": "0"})
    monkeypatch.setitem(DOWNLOADS, "cifar10", closed)
    with refuses(DataNotFound, "http://127.0.0.1:9/cifar-10-python.tar.gz could not be downloaded", "refused"):
        load("cifar10", tmp_path, download=True)
    assert files_under(tmp_path) == []


def test_download_to_a_root_that_is_a_file(tmp_path, server, digits_small, refuses, write):
    server[0]("mnist", mnist_packed(digits_small))
    root = write(tmp_path / "file", "x")
    with refuses(DataNotFound, "could not be downloaded", str(root)):
        load("mnist", root, download=True)
    assert files_under(tmp_path) == ["file"]


def test_an_interrupted_user_leaves_nothing(tmp_path, server, digits_small, monkeypatch):
    server[0]("mnist", mnist_packed(digits_small))

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(download_module, "_copy", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load("mnist", tmp_path, download=True)
    assert files_under(tmp_path) == []
