"""Data sets by name, from local files; files are downloaded only on request.

Images: ``mnist``, ``fmnist`` (or ``fashion_mnist``), ``kmnist``, ``cifar10``, ``cifar100``, ``svhn``, ``stl10``.
Tables: ``digits`` (part of scikit-learn), ``satimage``, ``ijcnn1``. Your own files: ``csv``, ``libsvm``, ``npz``, with
``path=``. The folder of all files is :func:`data_root`.

The training images of ``cifar10``, ``cifar100``, ``stl10`` and ``fmnist`` are shifted by up to 4 pixels and mirrored. House
numbers (``svhn``) are shifted, not mirrored; the centered characters of ``mnist`` and ``kmnist`` are neither. (The
handlers of the DISTIL document, ``distil.utils.data_handler``, shift and mirror them all, as documented.) Means and standard
deviations are those of that document: MNIST's for the three sets in its format, ImageNet's for ``svhn`` and ``stl10``.

>>> data = load("digits")
>>> data.x_train.shape, data.num_classes, data.x_test
(torch.Size([1797, 64]), 10, None)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import torch
from torch import Tensor

from distil.data.file_readers import reading
from distil.data.table_files import Quoting
from distil.datasets.class_names import (
    CIFAR100_CLASSES,
    CIFAR_CLASSES,
    DIGITS,
    FMNIST_CLASSES,
    KMNIST_CLASSES,
    SATIMAGE_CLASSES,
    STL10_CLASSES,
)
from distil.datasets.data_set import DataSet, Split
from distil.datasets.image_formats import (
    read_archive,
    read_cifar_batch,
    read_idx,
    read_stl10_images,
    read_stl10_labels,
    read_svhn,
)
from distil.datasets.locations import Places, locate, user_file
from distil.datasets.tables import LabelColumns, Table, encode_for, read_csv, read_libsvm, read_npz, read_statlog
from distil.datasets.transforms import CropFlip, Normalize
from distil.errors import InvalidInput, UnknownName, nearest
from distil.system.files import cache_folder
from distil.tasks import Task, as_task

MNIST_PIXELS: Final = Normalize((0.1307,), (0.3081,))
CIFAR10_PIXELS: Final = Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
CIFAR100_PIXELS: Final = Normalize((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761))
IMAGENET_PIXELS: Final = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CROP_FLIP: Final = CropFlip(4, True)


def data_root(root: str | Path | None = None) -> Path:
    """The folder that data sets are read from and downloaded to; it need not exist.

    It is ``root``, else the environment variable ``DISTIL_DATA``, else the folder of distil in the user's cache.
    """
    if root is not None:
        return Path(os.path.expanduser(root))
    if named := os.environ.get("DISTIL_DATA"):
        return Path(os.path.expanduser(named))
    return cache_folder()


def data_set_names() -> tuple[str, ...]:
    """All names that :func:`load` takes, sorted; ``csv``, ``libsvm`` and ``npz`` need a ``path``."""
    return tuple(sorted([*_PUBLISHED, *_ALIASES, *FILES]))


def load(
    name: str,
    root: str | Path | None = None,
    *,
    download: bool = False,
    path: str | Path | None = None,
    test_path: str | Path | None = None,
    label: LabelColumns | None = None,
    quoting: Quoting | None = None,
    task: Task = "classification",
) -> DataSet:
    """Load a data set by name, or from your own files.

    Args:
        name: One of :func:`data_set_names`.
        root: The folder of the files; see :func:`data_root`.
        download: Whether to download missing files; only sets of images can be downloaded.
        path: For ``csv``, ``libsvm`` and ``npz``: the file, in the working directory or else in ``root``.
        test_path: For ``csv`` and ``libsvm``: the file of the test set. Default: no test split.
        label: For ``csv``: the column of labels, by name or index from 0. Default: the one called ``label``, ``labels``,
            ``class`` or ``target``, else the last.
        quoting: For ``csv``: whether cells may be quoted; see :func:`distil.data.table_files.open_table`.
        task: For ``csv``, ``libsvm`` and ``npz``: what labels are. For ``"regression"`` numbers, in ``csv`` one or several columns;
            for ``"multilabel"`` names separated by semicolons in one column (``cat;dog``), or 0 and 1 in several columns.

    Returns:
        The data set. The classes of ``csv`` and ``libsvm`` files are the distinct labels of both files in sorted order;
        those of ``npz`` files are the labels if they are whole numbers, or sorted texts. Images in an ``npz`` file are
        normalized by the :class:`Normalize` of their training set.

    Raises:
        UnknownName: There is no data set of that name.
        DataNotFound: The files are missing or could not be downloaded; the message lists the folders searched.
        InvalidInput: A file is damaged or malformed, or the set does not take an option.
    """
    options = {
        "path": path,
        "test_path": test_path,
        "label": label,
        "quoting": quoting,
    }
    passed = {key for key, value in options.items() if value is not None}
    passed |= {"task"} if as_task(task) != "classification" else set()
    name = _ALIASES.get(name, name)
    if name in _PUBLISHED:
        _check_options(name, passed, frozenset())
        return _PUBLISHED[name](_Request(data_root(root), download))
    if name not in FILES:
        known = data_set_names()
        raise UnknownName(f"no data set is called {name!r}{nearest(name, known)} (known: {', '.join(known)})")
    reader, allowed = FILES[name]
    _check_options(name, passed, allowed)
    if path is None:
        raise InvalidInput(
            f"data set {name!r} is read from your own file; pass path=... (dataset.path in a configuration file)"
        )
    base = data_root(root)
    paths = tuple(user_file(name, part, base) for part in (path, test_path) if part is not None)
    return reader(_Request(base, download, paths, label, quoting, task))


@dataclass(frozen=True)
class _Request:
    """The checked arguments of :func:`load`; ``paths``: the training file and, if there is one, the test file."""

    root: Path
    download: bool
    paths: tuple[Path, ...] = ()
    label: LabelColumns | None = None
    quoting: Quoting | None = None
    task: Task = "classification"


def _check_options(name: str, passed: set[str], allowed: frozenset[str]) -> None:
    if extra := sorted(passed - allowed):
        takes = f"; it takes {', '.join(sorted(allowed))}" if allowed else ""
        raise InvalidInput(f"data set {name!r} does not take {', '.join(extra)}{takes}")


# -------------------------------------------------------------------------------------- published sets


def _digits(_: _Request) -> DataSet:
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return _assemble("digits", ((x / 16).astype(np.float32), y.astype(np.int64)), None, 10, DIGITS)


def _mnist(request: _Request) -> DataSet:
    # no augmentation: a mirrored digit may be another digit, or none at all
    return _idx_set(request, "mnist", ("MNIST/raw", "mnist", "mnist/raw", "MNIST", "."), DIGITS)


def _fmnist(request: _Request) -> DataSet:
    folders = ("FashionMNIST/raw", "fmnist", "fmnist/raw", "fashion_mnist", "FashionMNIST")
    return _idx_set(request, "fmnist", folders, FMNIST_CLASSES, CROP_FLIP)


def _kmnist(request: _Request) -> DataSet:
    return _idx_set(request, "kmnist", ("KMNIST/raw", "kmnist", "kmnist/raw", "KMNIST"), KMNIST_CLASSES)


def _idx_set(
    request: _Request,
    name: str,
    folders: tuple[str, ...],
    class_names: Sequence[str],
    augment: CropFlip | None = None,
) -> DataSet:
    """MNIST, or a set whose files have the names of MNIST's; only the folder differs."""
    files = [(f"{part}-{kind}-ubyte",) for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]
    _, paths = locate(name, request.root, request.download, Places(folders, tuple(files), ("", ".gz")))
    images, labels = ([read_idx(path, dims) for path in paths[start::2]] for start, dims in ((0, 3), (1, 1)))
    train, test = ((x[:, None], y.astype(np.int64)) for x, y in zip(images, labels, strict=True))
    return _assemble(name, train, test, 10, class_names, MNIST_PIXELS, augment)


def _cifar10(request: _Request) -> DataSet:
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    files = _files_or_archive(request, "cifar10", "cifar-10-batches-py", "cifar-10-python", names)
    batches = [read_cifar_batch(raw, origin) for raw, origin in files]
    x, y = (np.concatenate([batch[part] for batch in batches[:-1]]) for part in (0, 1))
    return _assemble("cifar10", (x, y), batches[-1], 10, CIFAR_CLASSES, CIFAR10_PIXELS, CROP_FLIP)


def _cifar100(request: _Request) -> DataSet:
    files = _files_or_archive(request, "cifar100", "cifar-100-python", "cifar-100-python", ["train", "test"])
    train, test = (read_cifar_batch(raw, origin, "fine_labels") for raw, origin in files)
    return _assemble("cifar100", train, test, 100, CIFAR100_CLASSES, CIFAR100_PIXELS, CROP_FLIP)


def _svhn(request: _Request) -> DataSet:
    places = Places((".", "svhn", "SVHN"), (("train_32x32.mat",), ("test_32x32.mat",)))
    _, paths = locate("svhn", request.root, request.download, places)
    train, test = (read_svhn(path) for path in paths)
    return _assemble("svhn", train, test, 10, DIGITS, IMAGENET_PIXELS, CropFlip(4, False))  # see _mnist


def _stl10(request: _Request) -> DataSet:
    names = [f"{part}_{kind}.bin" for part in ("train", "test") for kind in "Xy"]
    files = _files_or_archive(request, "stl10", "stl10_binary", "stl10_binary", names)
    train, test = ((read_stl10_images(*next(files)), read_stl10_labels(*next(files))) for _ in range(2))
    return _assemble("stl10", train, test, 10, STL10_CLASSES, IMAGENET_PIXELS, CROP_FLIP)


def _files_or_archive(
    request: _Request, name: str, folder: str, archive: str, names: Sequence[str]
) -> Iterator[tuple[bytes, str]]:
    """Yield the content of each file and its origin, from unpacked files or from the published archive."""
    files = Places((folder, f"{name}/{folder}", name, "."), tuple((n,) for n in names))
    packed = Places((".", name), ((f"{archive}.tar.gz", f"{archive}.tar"),))
    kind, paths = locate(name, request.root, request.download, files, packed)
    if kind == 0:
        for path in paths:
            with reading(path) as file:
                raw = file.read()
            yield raw, str(path)
    else:
        content = read_archive(paths[0], folder, names)
        for member in names:
            yield content.pop(member), f"{paths[0]}:{member}"


def _satimage(request: _Request) -> DataSet:
    places = Places(("tabular/satimage", "satimage", "."), (("sat.trn",), ("sat.tst",)))
    _, paths = locate("satimage", request.root, request.download, places)
    codes = tuple(SATIMAGE_CLASSES)
    train, test = (
        (table.x, np.searchsorted(codes, table.labels)) for table in (read_statlog(path, 36, codes) for path in paths)
    )
    return _assemble("satimage", *_standardized(train, test), 6, tuple(SATIMAGE_CLASSES.values()))


def _ijcnn1(request: _Request) -> DataSet:
    files = (("ijcnn1.trn", "ijcnn1", "ijcnn1.tr"), ("ijcnn1.tst", "ijcnn1.t"))
    places = Places(("tabular/ijcnn1", "ijcnn1", "."), files, ("", ".gz", ".bz2"))
    _, paths = locate("ijcnn1", request.root, request.download, places)
    train, test = read_libsvm(paths, features=22)
    for path, table in zip(paths, (train, test), strict=True):
        if not np.isin(table.labels, (-1, 1)).all():
            raise InvalidInput(f"{path}: the labels of ijcnn1 are -1 and 1; got {np.unique(table.labels)[:5]}")
    first, second = ((table.x, (table.labels > 0).astype(np.int64)) for table in (train, test))
    return _assemble("ijcnn1", first, second, 2, ("-1", "1"))


# ------------------------------------------------------------------------------------ users' own files


def _csv(request: _Request) -> DataSet:
    paths = request.paths
    tables = [read_csv(path, request.label, request.quoting) for path in paths]
    if len(tables) == 2 and tables[0].columns and tables[1].columns and tables[0].columns != tables[1].columns:
        raise InvalidInput(
            f"{paths[1]} has the columns {', '.join(tables[1].columns[:20])}; expected those of {paths[0]}, "
            f"{', '.join(tables[0].columns[:20])}"
        )
    return replace(_from_tables(request, tables), read=[table.note for table in tables if table.note])


def _libsvm(request: _Request) -> DataSet:
    return _from_tables(request, read_libsvm(request.paths))


def _from_tables(request: _Request, tables: Sequence[Table]) -> DataSet:
    origin = " and ".join(map(str, request.paths))
    labels, names = encode_for(
        request.task, origin, *(table.labels for table in tables), columns=tables[0].label_columns
    )
    splits = [(table.x, y) for table, y in zip(tables, labels, strict=True)]
    train, test = splits[0], splits[1] if len(splits) == 2 else None
    num_classes = len(names) if request.task == "classification" else labels[0].shape[1]
    return _table_set(request, train, test, num_classes, names)


def _npz(request: _Request) -> DataSet:
    path = request.paths[0]
    first, second, names = read_npz(path, request.task)
    tables = [table for table in (first, second) if table is not None]
    if request.task != "classification":
        return _from_tables(request, [replace(table, label_columns=names) for table in tables])
    if all(table.labels.dtype.kind in "iu" for table in tables):
        # whole numbers are classes already, and are not renumbered
        labels = [table.labels.astype(np.int64) for table in tables]
        num_classes = len(names) or max(2, *(int(y.max()) + 1 for y in labels))
    elif all(table.labels.dtype.kind == "U" for table in tables):
        labels, names = encode_for(request.task, str(path), *(table.labels for table in tables))
        num_classes = len(names)
    else:
        types = " and ".join(str(table.labels.dtype) for table in tables)
        raise InvalidInput(f"{path}: labels must be whole numbers from 0, or text; got {types}")
    splits = [(table.x, y) for table, y in zip(tables, labels, strict=True)]
    train, test = splits[0], splits[1] if len(splits) == 2 else None
    return _table_set(request, train, test, num_classes, names)


# -------------------------------------------------------------------------------------------- assembly


def _table_set(
    request: _Request, train: Split, test: Split | None, num_classes: int, names: tuple[str, ...]
) -> DataSet:
    name, transform = request.paths[0].name, None
    if train[0].dtype == np.uint8:
        transform = Normalize.fitted(torch.from_numpy(train[0]))
    return _assemble(name, train, test, num_classes, names, transform, task=request.task)


def _standardized(train: Split, test: Split | None) -> tuple[Split, Split | None]:
    """Both splits with every feature scaled to mean 0 and standard deviation 1 over the training set; a constant becomes 0."""
    mean, std = train[0].mean(0, dtype=np.float64), train[0].std(0, dtype=np.float64)
    scale = np.where(std > 1e-12 * np.abs(mean), std, 1.0)  # the std of a constant is rounding error
    parts = [((x - mean) / scale).astype(np.float32) for x, _ in (train, test or train)]
    return (parts[0], train[1]), None if test is None else (parts[1], test[1])


def _assemble(
    name: str,
    train: Split,
    test: Split | None,
    num_classes: int,
    class_names: Sequence[str],
    transform: Callable[[Tensor], Tensor] | None = None,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    task: Task = "classification",
) -> DataSet:
    x, y = (torch.from_numpy(part) for part in train)
    x_test, y_test = (None, None) if test is None else (torch.from_numpy(part) for part in test)
    return DataSet(name, x, y, x_test, y_test, num_classes, tuple(class_names), transform, augment, task=task)


_PUBLISHED: Final[dict[str, Callable[[_Request], DataSet]]] = {
    "digits": _digits,
    "mnist": _mnist,
    "fmnist": _fmnist,
    "kmnist": _kmnist,
    "cifar10": _cifar10,
    "cifar100": _cifar100,
    "svhn": _svhn,
    "stl10": _stl10,
    "satimage": _satimage,
    "ijcnn1": _ijcnn1,
}
_ALIASES: Final = {"fashion_mnist": "fmnist"}
FILES: Final[
    dict[str, tuple[Callable[[_Request], DataSet], frozenset[str]]]
] = {  # name -> reader, and the options that it takes
    "csv": (_csv, frozenset({"path", "test_path", "label", "quoting", "task"})),
    "libsvm": (_libsvm, frozenset({"path", "test_path", "task"})),
    "npz": (_npz, frozenset({"path", "task"})),
}
