"""The map as it is kept in a project and as the page reads it."""

import json
import struct

import numpy as np
import pytest

from distil.errors import RunError
from distil.labeling.map import FILE, PoolMap, map_bytes
from distil.labeling.model import Snapshot


def pool_map(n=4, **more):
    xy = np.linspace(0, 1, 2 * n, dtype=np.float32).reshape(n, 2)
    return PoolMap(**({"version": 3, "method": "pca", "xy": xy, "made_of": "abc"} | more))


def snapshot(guesses, p, classes):
    found = np.array(guesses, np.int32)
    none = np.arange(0)
    return Snapshot(1, 2, classes, found, np.array(p, np.float32), found, none, none, [], "pixels")


def parsed(body):
    """The parts of the body, by the description of the format alone."""
    (length,) = struct.unpack_from("<I", body)
    header = json.loads(body[4 : 4 + length])
    assert length % 4 == 0
    n, at, parts = header["n"], 4 + length, {}
    for name, kind, width in [("xy", "f", 2), ("label", "h", 1), ("guess", "h", 1), ("p", "B", 1), ("state", "B", 1)]:
        parts[name] = struct.unpack_from(f"<{n * width}{kind}", body, at)
        at += -(-struct.calcsize(f"<{n * width}{kind}") // 4) * 4
    assert at == len(body)
    return header, parts


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_the_page_reads_what_is_known(n):
    found = pool_map(n)
    labels = np.array([1, -1, -1, 0, -1][:n])
    answered = np.array([True, True, False, True, False][:n])
    body = map_bytes(found, None, ["cat", "dog"], labels, answered, np.zeros(n, bool))
    header, parts = parsed(body)
    assert header == {"n": n, "method": "pca", "version": 3, "classes": ["cat", "dog"]}
    assert parts["xy"] == tuple(found.xy.ravel().tolist())
    assert parts["label"] == tuple(labels)
    assert parts["guess"] == (-1,) * n
    assert parts["p"] == (0,) * n
    assert parts["state"] == tuple(map(int, answered))


def test_guesses_are_those_of_the_classes_that_there_are_now():
    known = snapshot([0, 1, 2, -1], [0.5, 1, 0.25, 0.9], ["old name", "dog", "Bär"])
    body = map_bytes(pool_map(), known, ["Bär", "cat", "dog"], np.full(4, -1), np.zeros(4, bool), np.zeros(4, bool))
    header, parts = parsed(body)
    assert header["classes"] == ["Bär", "cat", "dog"]
    assert parts["guess"] == (-1, 2, 0, -1)
    assert parts["p"] == (0, 255, 64, 0)


def test_items_without_a_place_and_items_that_are_gone():
    found = pool_map()
    found.xy[1] = np.nan
    gone = np.array([True, False, False, False, False, True])
    known = snapshot([0, 0, 0, 0], [1, 1, 1, 1], ["cat"])
    body = map_bytes(found, known, ["cat"], np.array([0, 0, -1, 0, -1, -1]), np.array([1, 1, 0, 1, 0, 0], bool), gone)
    _, parts = parsed(body)
    assert parts["state"] == (2, 3, 0, 1, 3, 2)
    assert parts["xy"][2:4] == (0, 0)
    assert parts["xy"][8:] == (0, 0, 0, 0)
    assert parts["guess"] == (0, 0, 0, 0, -1, -1)


def test_a_map_is_read_as_it_was_written(tmp_path):
    assert PoolMap.load(tmp_path) is None
    written = pool_map()
    written.xy[2] = np.nan
    for version in (1, 2):
        PoolMap(version, "tsne", written.xy, "é").save(tmp_path)
    read = PoolMap.load(tmp_path)
    assert (read.version, read.method, read.made_of) == (2, "tsne", "é")
    assert read.xy.dtype == np.float32
    assert np.array_equal(read.xy, written.xy, equal_nan=True)
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_damaged_maps_are_refused(tmp_path):
    pool_map().save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    for content in (b"", b"junk", whole[:100], whole[: len(whole) // 2]):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(RunError, match="is damaged; delete it"):
            PoolMap.load(tmp_path)
