"""Image files: pixels keep their meaning or are refused, EXIF rotation is applied, links are followed once."""

from __future__ import annotations

import os
import struct
import unicodedata
import zlib
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from PIL import Image

from distil.data.ids import ListedIds
from distil.data.images import open_image
from distil.data.items import items_of
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


def test_faint_grays_are_lifted_for_people_only(tmp_path, monkeypatch):
    """By the power of two that fits below white, from 16 on; models read them as they are."""
    monkeypatch.setattr("distil.data.images._STRIP", 20)
    for peak, times in [(4095, 16), (4096, 1), (2047, 32), (255, 256), (1, 32768), (0, 1), (65535, 1)]:
        values = np.round(RAMP * peak)
        Image.fromarray(values.astype(np.uint16)).save(tmp_path / "a.tif")
        seen = np.asarray(open_image(tmp_path / "a.tif", "name", lift=True))[..., 0]
        np.testing.assert_array_equal(seen, np.round(values * times / 257))
        np.testing.assert_array_equal(red(tmp_path / "a.tif"), np.round(values / 257))
    faint = (RAMP * 0.06).astype(np.float32)
    Image.fromarray(faint).save(tmp_path / "f.tif")
    seen = np.asarray(open_image(tmp_path / "f.tif", "name", lift=True))[..., 0]
    np.testing.assert_array_equal(seen, np.round(faint.astype(float) * 16 * 255))


def test_floats_from_0_to_1(tmp_path):
    Image.fromarray(RAMP.astype(np.float32)).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(red(tmp_path / "a.tif"), np.round(RAMP.astype(np.float32).astype(float) * 255))


def test_images_of_many_strips(case, tmp_path, monkeypatch):
    monkeypatch.setattr("distil.data.images._STRIP", 20)
    test_sixteen_bits_of_gray(case, tmp_path)


def test_numbers_whose_range_is_not_known_are_refused(case, tmp_path):
    for values in [RAMP * 255, RAMP - 0.5, np.where(RAMP > 0.5, np.nan, RAMP)]:
        root = Path(mkdtemp(dir=tmp_path))
        with case(values):
            Image.fromarray(values.astype(np.float32)).save(root / "a.tif")
            with pytest.raises(InvalidInput, match=r"^name: .*so white is not known; save it with 8 or 16 bits"):
                open_image(root / "a.tif", "name")


def test_signed_and_wide_whole_numbers_are_refused_with_the_line_that_converts_them(tmp_path):
    values = np.round((RAMP - 0.5) * 2000).astype(int)
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "a.tif")
    write_tiff(tmp_path / "b.tif", values.astype("<i2"), 16, 1, 2)
    for name in ("a.tif", "b.tif"):
        with pytest.raises(InvalidInput, match="signed or 32-bit whole numbers, so white is not known") as error:
            open_image(tmp_path / name, name)
    line = str(error.value).partition("value: ")[2]
    converted = eval(line, {"numpy": np, "x": values.astype(float), "darkest": -1000, "lightest": 1000})
    Image.fromarray(converted).save(tmp_path / "c.tif")
    np.testing.assert_allclose(red(tmp_path / "c.tif"), RAMP * 255, atol=1)


def write_tiff(path, values, bits, ink, kind=1):
    """An uncompressed gray TIFF, written by hand: Pillow writes neither packed values nor those whose 0 is white."""
    data = values if isinstance(values, bytes) else values.tobytes()
    tags = [
        (256, 8),
        (257, 8),
        (258, bits),
        (259, 1),
        (262, ink),
        (273, 8),
        (277, 1),
        (278, 8),
        (279, len(data)),
        (339, kind),
    ]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(data))
    path.write_bytes(head + data + struct.pack("<H", len(tags)) + entries + bytes(4))


def test_grays_whose_zero_is_white(tmp_path):
    """X-ray images often are: equal lightness must give equal pixels, whatever the number of bits."""
    right = np.round(255 - np.round(RAMP * 65535) / 257)
    write_tiff(tmp_path / "a.tif", np.round(RAMP * 65535).astype("<u2"), 16, 0)
    write_tiff(tmp_path / "b.tif", np.round(RAMP * 255).astype("u1"), 8, 0)
    write_tiff(tmp_path / "c.tif", RAMP.astype("<f4"), 32, 0, 3)
    np.testing.assert_array_equal(red(tmp_path / "a.tif"), right)
    for name in ("b.tif", "c.tif"):
        np.testing.assert_allclose(red(tmp_path / name), right, atol=1)


def test_twelve_bits_have_a_white_of_their_own(tmp_path):
    values = np.round(RAMP * 4095).astype(int)
    bits = "".join(f"{value:012b}" for value in values.ravel())
    write_tiff(tmp_path / "a.tif", int(bits, 2).to_bytes(len(bits) // 8, "big"), 12, 1)
    np.testing.assert_array_equal(red(tmp_path / "a.tif"), np.round(values * 255 / 4095))


def test_one_scale_for_all_images(tmp_path):
    """A dark image stays darker than a light one: values are scaled by the range of their type, not by their own."""
    for name, value in [("dark.png", 1000), ("light.png", 60000)]:
        Image.fromarray(np.full((8, 8), value, np.uint16)).save(tmp_path / name)
        said = set()
        assert np.asarray(open_image(tmp_path / name, name, said)).ravel()[0] == round(value / 257)
        assert "scaled gray values of images from 0..65535 to 0..255" in said


def test_images_of_12_bits_in_files_of_16_are_named(tmp_path):
    """They are not stretched: one rule holds for all images of a pool."""
    for most, dark in ((4095, True), (16, True), (4200, False), (0, False)):
        said = set()
        Image.fromarray(np.full((2, 2), most, np.uint16)).save(tmp_path / "a.png")
        assert np.asarray(open_image(tmp_path / "a.png", "a", said)).max() == round(most / 257)
        assert any("do not reach a sixteenth of white" in sentence for sentence in said) == dark


def test_transparency_is_laid_on_white(case, tmp_path):
    """A black drawing on a transparent ground, whose hidden pixels are black too, is not a black image."""
    drawn = np.full((8, 8), 255, np.uint8)
    drawn[2:4] = 0
    gray = Image.fromarray(np.zeros((8, 8), np.uint8))
    alpha = Image.fromarray(255 - drawn)
    palette = Image.fromarray((drawn == 0).astype(np.uint8), "P")
    palette.putpalette([90, 0, 0, 0, 0, 0])
    images = {
        "rgba.png": Image.merge("RGBA", (gray, gray, gray, alpha)),
        "la.png": Image.merge("LA", (gray, alpha)),
        "palette.png": palette,
        "palette.gif": palette,
    }
    for name, image in images.items():
        with case(name):
            image.save(tmp_path / name, **({"transparency": 0} if image.mode == "P" else {}))
            said = set()
            pixels = np.asarray(open_image(tmp_path / name, name, said))
            np.testing.assert_array_equal(pixels, np.broadcast_to(drawn[..., None], (8, 8, 3)))
            assert said == {"laid transparent pixels of images on white"}
    Image.merge("RGBA", (gray, gray, gray, Image.new("L", (8, 8), 255))).save(tmp_path / "opaque.png")
    said = set()
    assert not np.asarray(open_image(tmp_path / "opaque.png", "opaque", said)).any()
    assert said == set()


def test_the_transparent_color_of_a_png_of_16_bits_is_laid_on_white(tmp_path):
    """Written by hand: Pillow writes neither gray PNG of 16 bits with such a color nor colored ones of 16 bits."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for kind, pixels, expected in [
        (0, [[0], [16000], [32000], [65535]], [[0], [255], [125], [255]]),
        (2, [[0, 0, 0], [16000, 500, 60000], [300, 500, 700], [9, 0, 0]], [[0] * 3, [255] * 3, [1, 1, 2], [0] * 3]),
    ]:
        header = struct.pack(">IIBBBBB", len(pixels), 1, 16, kind, 0, 0, 0)
        data = zlib.compress(b"\0" + np.array(pixels, ">u2").tobytes())
        color = np.array(pixels[1], ">u2").tobytes()
        chunks = [(b"IHDR", header), (b"tRNS", color), (b"IDAT", data), (b"IEND", b"")]
        (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*each) for each in chunks))
        said = set()
        found = np.asarray(open_image(tmp_path / "a.png", "a", said))[0]
        np.testing.assert_array_equal(found, np.broadcast_to(expected, (4, 3)))
        assert "laid transparent pixels of images on white" in said


def test_other_kinds_of_pixels(case, tmp_path):
    """Palettes, CMYK and one bit mean colors; of several frames or pages the first is read, and that is said."""
    palette = Image.new("P", (8, 8), 1)
    palette.putpalette([0, 0, 0, 250, 0, 0])
    red_cmyk = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    singles = {"p.png": palette, "c.jpg": red_cmyk, "c.tif": red_cmyk, "1.png": Image.new("1", (8, 8), 1)}
    for name, image in singles.items():
        with case(name):
            image.save(tmp_path / name)
            assert red(tmp_path / name).min() >= 250
    for name in ["f.gif", "f.tif", "f.png", "f.webp"]:
        with case(name):
            frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
            said = set()
            assert np.asarray(open_image(tmp_path / name, name, said))[0, 0].tolist() == pytest.approx(
                [255, 0, 0], abs=3
            )
            assert said == {"read the first image of files with several (animations, pages)"}


def test_files_that_are_no_images_are_named(case, tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(tmp_path / "whole.jpg")
    whole = (tmp_path / "whole.jpg").read_bytes()
    wide = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    wide += struct.pack(">I", zlib.crc32(wide[12:29])) + b"\0\0\0\0IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
    for content, why in [
        (whole[:-400], "runcated"),
        (b"", "not an image"),
        (wide, "decompression bomb"),
        (whole[:2], ""),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "its content is HEIC; convert images to .png or .jpg"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic", "its content is HEIF; convert"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "its content is JPEG XL; convert"),
        (b"%PDF-1.7\n", "its content is PDF; convert"),
        (b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg"/>', "its content is SVG; convert"),
        (b"\0\0\0\x18ftypisom", "its content is not an image"),
    ]:
        with case(why):
            (tmp_path / "a.jpg").write_bytes(content)
            with pytest.raises(InvalidInput, match=rf"^a: cannot be read as an image: .*{why}"):
                open_image(tmp_path / "a.jpg", "a")


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


def test_what_is_no_image_is_not_in_the_pool(tmp_path):
    """Hidden files, leftovers of zip archives, pipes (reading one would wait forever); links that lead to themselves are named."""
    folder = folder_of(
        tmp_path / "pool", "A.PNG", "b.Jpeg", ".hidden.png", ".git/c.png", "__MACOSX/d.png", "x/__MACOSX/e.png"
    )
    (folder / "notes.txt").write_text("no image")
    (folder / "loop.png").symlink_to("loop.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(folder / "pipe.png")
    pool = open_pool(folder)
    assert pool.names == ["A.PNG", "b.Jpeg", "loop.png"]
    with pytest.raises(InvalidInput, match=r"^loop\.png: cannot be read"):
        pool.read(2)


@pytest.mark.skipif(not Path("/dev/null").is_char_device(), reason="needs /dev/null")
def test_a_device_is_not_read(tmp_path):
    """Some have no end, and reading them would fill the memory."""
    folder = folder_of(tmp_path / "pool", "a.png")
    (folder / "device.png").symlink_to("/dev/null")
    (tmp_path / "paths.csv").write_text("file\npool/a.png\npool/device.png\n")
    for pool in (open_pool(folder), open_pool(tmp_path / "paths.csv")):
        for reading in (pool.read, items_of(pool).content):
            with pytest.raises(InvalidInput, match=r"cannot be read.* is a device or a pipe, and no file"):
                reading(1)


def test_names_that_are_not_utf_8(tmp_path):
    folder = folder_of(tmp_path / "pool", "a.png")
    name = os.fsdecode(b"caf\xe9.png")
    try:
        (folder / "a.png").rename(folder / name)
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    pool = open_pool(folder)
    assert (list(pool.names), pool.read(0).size) == ([name], (2, 2))


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


def test_floats_in_a_portable_float_map_keep_their_range(tmp_path):
    values = np.array([[0, 0.5, 1]], "<f4")
    (tmp_path / "a.pfm").write_bytes(b"Pf\n3 1\n-1.0\n" + values.tobytes())
    assert np.asarray(open_pool(tmp_path).read(0))[0, :, 0].tolist() == [0, 128, 255]


def test_other_endings_of_images(tmp_path):
    for name, kind in [("a.jfif", "JPEG"), ("b.jpe", "JPEG"), ("c.jp2", "JPEG2000"), ("d.pbm", "PPM")]:
        Image.new("L", (8, 8)).save(tmp_path / name, kind)
    pool = open_pool(tmp_path)
    assert [pool.read(row).size for row in range(len(pool))] == [(8, 8)] * 4
