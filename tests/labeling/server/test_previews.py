"""Previews: right pixels at the right size, made once."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from distil.errors import InvalidInput
from distil.labeling.items import Item
from distil.labeling.server import previews as module
from distil.labeling.server.previews import Previews


def item(path, digest="d"):
    return Item(path.name, str(path.parent), "images", 0, str(path), None, False, digest)


def test_a_preview_is_made_once_and_again_when_the_file_changes(tmp_path):
    path, previews = tmp_path / "a.png", Previews()
    Image.new("RGB", (2000, 1000), "red").save(path)
    first, kind = previews.image(item(path), "512")
    assert (kind, Image.open(io.BytesIO(first)).size) == ("image/jpeg", (512, 256))
    Image.new("RGB", (2000, 1000), "blue").save(path)
    assert previews.image(item(path), "512") == (first, kind)  # the digest is the same
    again = Image.open(io.BytesIO(previews.image(item(path, "e"), "512")[0]))
    assert np.asarray(again)[0, 0, 2] > 200


def test_memory_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 20_000)
    previews = Previews()
    noise = np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)
    for number in range(5):
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
        previews.image(item(tmp_path / f"{number}.png"), "256")
    assert 0 < previews._bytes <= 20_000
    assert previews._bytes == sum(map(len, previews._kept.values()))


def test_the_size_is_that_of_the_image_as_it_is_shown(tmp_path):
    image, turned = Image.new("L", (30, 20)), Image.Exif()
    turned[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=turned)
    previews = Previews()
    assert previews.size(item(tmp_path / "turned.jpg")) == (20, 30)
    assert Image.open(io.BytesIO(previews.image(item(tmp_path / "turned.jpg"), "full")[0])).size == (20, 30)
    assert previews.size(item(tmp_path / "none.jpg")) is None


def test_images_that_are_too_large_damaged_or_gone(tmp_path, monkeypatch):
    Image.new("L", (100, 100)).save(tmp_path / "large.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "large.png").read_bytes()[:60])
    Image.new("L", (100, 100)).save(tmp_path / "progressive.jpg", progressive=True)
    monkeypatch.setattr(module, "_MOST_PIXELS", 6000)
    for name in ("large.png", "progressive.jpg"):
        with pytest.raises(InvalidInput, match="the image has 100 x 100 pixels, too many to show: expected at most"):
            Previews().image(item(tmp_path / name), "256")
    os.mkfifo(tmp_path / "pipe.png")
    assert Previews().size(item(tmp_path / "pipe.png")) is None
    with pytest.raises(InvalidInput, match=r"pipe\.png is no ordinary file"):
        Previews().image(item(tmp_path / "pipe.png"), "256")
    for name in ("damaged.png", "none.png"):
        with pytest.raises(InvalidInput, match=f"{name}: cannot be read"):
            Previews().image(item(tmp_path / name), "256")


def test_a_large_jpeg_is_decoded_at_a_fraction_of_its_size(tmp_path, monkeypatch):
    """Half of it is red: what is shown is the image, and as large as memory lets it be."""
    image = Image.new("RGB", (200, 100), "blue")
    image.paste("red", (0, 0, 100, 100))
    image.save(tmp_path / "large.jpg", quality=95)
    monkeypatch.setattr(module, "_MOST_PIXELS", 6000)
    monkeypatch.setattr(module, "_MOST_OF_JPEG", 20_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 5000)  # Pillow's own limit counts the pixels of the file
    previews = Previews()
    assert previews.size(item(tmp_path / "large.jpg")) == (200, 100)
    for size in ("256", "full"):
        shown = Image.open(io.BytesIO(previews.image(item(tmp_path / "large.jpg"), size)[0]))
        assert shown.size == (100, 50)
        assert [max(range(3), key=shown.getpixel((x, 25)).__getitem__) for x in (10, 90)] == [0, 2]
    monkeypatch.setattr(module, "_MOST_OF_JPEG", 19_999)
    with pytest.raises(InvalidInput, match="the image has 200 x 100 pixels, too many to show"):
        Previews().image(item(tmp_path / "large.jpg"), "256")


@pytest.mark.parametrize(
    ("sides", "side", "shrink"), [((4000, 3000), 1024, 2), ((4000, 3000), 256, 8), ((500, 300), 512, 1)]
)
def test_no_more_is_decoded_than_is_shown(sides, side, shrink):
    assert module._shrink(module._Header(sides, True), side) == shrink


def test_images_of_12_bits_in_16_are_seen(tmp_path):
    values = np.linspace(0, 4095, 1200).reshape(30, 40)
    Image.fromarray(values.astype(np.uint16)).save(tmp_path / "faint.tif")
    pixels = np.asarray(Image.open(io.BytesIO(Previews().image(item(tmp_path / "faint.tif"), "256")[0])))
    assert np.abs(pixels[..., 0] - values / 4095 * 255).max() <= 1


def test_drawings_on_transparent_ground_are_seen_whatever_their_color(tmp_path):
    """White and black are 100 levels away from the ground of squares around them; opaque pixels are as they were."""
    clear, deep = Image.new("RGBA", (60, 40)), np.full((40, 60), 7, np.uint16)
    deep[:, :20], deep[:, 20:40] = 65535, 0
    clear.paste("white", (0, 0, 20, 40))
    clear.paste("black", (20, 0, 40, 40))
    clear.save(tmp_path / "clear.png")
    Image.fromarray(deep).save(tmp_path / "deep.png", transparency=7)
    for name in ("clear.png", "deep.png"):
        pixels = np.asarray(Image.open(io.BytesIO(Previews().image(item(tmp_path / name), "256")[0]))).astype(int)
        assert (pixels[:, :20] == 255).all()
        assert (pixels[:, 20:40] == 0).all()
        ground = pixels[:, 40:]
        assert len(np.unique(ground)) == 2
        assert ground.min() >= 100
        assert ground.max() <= 160
