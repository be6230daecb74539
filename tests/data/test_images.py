"""Image files: pixels keep their meaning or are refused, EXIF rotation is applied, links are followed once."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from PIL import Image

from distil.data.ids import ListedIds
from distil.data.images import open_image
from distil.data.pools import open_pool
from distil.embedding.embed import embed
from distil.errors import InvalidInput

RAMP = np.linspace(0, 1, 64).reshape(8, 8)


def red(path):
    return np.asarray(open_image(path, "name"))[..., 0]


def test_sixteen_bits_of_gray(case, tmp_path):
    for name in ["a.png", "a.tif", "a.pgm"]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(name):
            values = np.round(RAMP * 65535).astype(np.uint16)
            Image.fromarray(values).save(root / name)
            np.testing.assert_array_equal(red(root / name), np.round(values / 257.0))


def test_sixteen_bits_of_either_byte_order(tmp_path):
    values = np.round(RAMP * 65535).astype(">u2")
    Image.frombytes("I;16B", (8, 8), values.tobytes()).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(red(tmp_path / "a.tif"), np.round(values.astype(float) / 257))


def test_floats_from_0_to_1(tmp_path):
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(red(tmp_path / "a.tif"), np.round(RAMP.astype(np.float32).astype(float) * 255))


def test_images_of_many_strips(case, tmp_path, monkeypatch):
    monkeypatch.setattr("distil.data.images._STRIP", 20)
    test_sixteen_bits_of_gray(case, tmp_path)


def test_numbers_whose_range_is_not_known_are_refused(case, tmp_path):
    for values in [RAMP * 255, RAMP - 0.5, np.where(RAMP > 0.5, np.nan, RAMP), np.round(RAMP * 9).astype(np.int32)]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(values):
            Image.fromarray(values.astype(np.int32 if values.dtype == np.int32 else np.float32)).save(root / "a.tif")
            with pytest.raises(InvalidInput, match=r"^name: .*so white is not known; save it with 8 or 16 bits"):
                open_image(root / "a.tif", "name")


# Where the corner that is top left on the screen lies in the file, for each of the eight values of EXIF.
CORNERS = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}


def test_the_rotation_that_a_camera_noted_is_applied(case, tmp_path):
    for orientation in CORNERS:
        root = Path(mkdtemp(dir=tmp_path))
        with case(orientation):
            pixels = np.zeros((4, 6), np.uint8)
            down, right = CORNERS[orientation]
            pixels[down * 3, right * 5] = 255
            exif = Image.Exif()
            exif[0x0112] = orientation
            Image.fromarray(pixels).save(root / "a.png", exif=exif)
            turned = red(root / "a.png")
            assert turned.shape == ((6, 4) if orientation > 4 else (4, 6))
            assert turned[0, 0] == 255


def folder_of(tmp_path, *names):
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (9, 9, 9)).save(tmp_path / name)
    return tmp_path


def test_a_dead_link_is_named_and_can_be_skipped(tmp_path):
    folder = folder_of(tmp_path / "pool", "a.png")
    (folder / "b.png").symlink_to("gone.png")
    pool = open_pool(folder)
    assert pool.names == ["a.png", "b.png"]
    with pytest.raises(InvalidInput, match=r"^b\.png: cannot be read: it links to gone\.png, which does not exist"):
        pool.read(1)
    (tmp_path / "ones.py").write_text("def encode(items): return [[1.0, 2.0] for _ in items]\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        patch.syspath_prepend(str(tmp_path))
        assert list(embed(folder, "ones:encode", out=tmp_path / "e.npy", on_error="skip").skipped) == ["b.png"]


def test_linked_folders_are_followed_once(tmp_path):
    folder_of(tmp_path, "pool/a/1.png", "elsewhere/2.png")
    (tmp_path / "pool/z").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "pool/0").symlink_to(tmp_path / "pool/a")  # found already, under its own path
    (tmp_path / "pool/a/up").symlink_to(tmp_path / "pool")
    (tmp_path / "elsewhere/round").symlink_to(tmp_path / "elsewhere")
    assert open_pool(tmp_path / "pool").names == ["a/1.png", "z/2.png"]


COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "café.png") for form in ("NFC", "NFD"))


def test_names_that_differ_in_how_they_are_written(case, tmp_path):
    for file, given in [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED), (" a.png", "a.png")]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(file, given):
            assert COMPOSED != DECOMPOSED
            pool = open_pool(folder_of(root / "pool", "b.png", file))
            place = pool.names.index(file)
            index = {name: row for row, name in enumerate(pool.names)}
            assert ListedIds((given,), None, "list").rows(index, 2).tolist() == [place]
            both = {**index, given: 7}
            assert ListedIds((given,), None, "list").rows(both, 8).tolist() == [7]  # the exact name comes first
            other = f"  {given.strip()}"
            with pytest.raises(InvalidInput, match="not in the pool"):  # two files match
                ListedIds((other,), None, "list").rows(both, 8)
            with pytest.raises(InvalidInput, match="are one id of the pool"):
                ListedIds((file, given), None, "list").rows(index, 2)


def test_paths_in_a_table_that_are_written_in_another_way(tmp_path):
    folder_of(tmp_path, f"x/{DECOMPOSED}")
    (tmp_path / "t.csv").write_text(f"id,file\n1,x/{COMPOSED}\n", encoding="utf-8")
    assert open_pool(tmp_path / "t.csv").read(0).size == (2, 2)


def test_a_folder_that_cannot_be_opened(tmp_path, monkeypatch):
    folder_of(tmp_path, "a.png")

    def refuses(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuses)
    with pytest.raises(InvalidInput, match="cannot be opened: Permission denied"):
        open_pool(tmp_path)
