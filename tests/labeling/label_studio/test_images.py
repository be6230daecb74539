"""Images where Label Studio can show them."""

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

from distil.errors import InvalidInput, RunError
from distil.labeling.label_studio.images import as_images
from distil.labeling.label_studio.push import PushSettings, push, remote_of
from distil.labeling.project import Project


@pytest.fixture
def folder(tmp_path):
    """Sixty small images, each of its own gray, among them one TIFF."""
    path = tmp_path / "images"
    path.mkdir()
    for n in range(59):
        Image.new("RGB", (8, 8), (n, n, n)).save(path / f"a ü{n:02}.png")
    Image.new("RGB", (8, 8), (59, 59, 59)).save(path / "z.tiff")
    return path


@pytest.fixture
def photos(tmp_path, folder):
    with Project.create(tmp_path / "photos", classes=["dark", "bright"]) as made:
        made.add(folder)
        yield made


def gray(content):
    image = Image.open(io.BytesIO(content))
    assert image.format == "PNG"
    return image.getpixel((0, 0))[0]


def grays(studio, content_of):
    """Id -> the gray of the image that a browser would show."""
    return {task["data"]["distil_id"]: gray(content_of(task["data"]["image"])) for task in studio.tasks.values()}


def expected(photos):
    return {item.id: Image.open(item.path).getpixel((0, 0))[0] for item in photos.items()}


def test_uploads_in_several_requests(photos, client, studio):
    assert push(photos, remote_of(photos, client), 60, PushSettings()).new == 60
    kept = {f"/data/{each['file']}": each["content"] for each in studio.uploads.values()}
    assert grays(studio, kept.__getitem__) == expected(photos)
    assert sum("commit_to_project=false" in path for _, path, _ in studio.log) == 2


def test_data_uris(photos, client, studio, monkeypatch, folder):
    monkeypatch.setattr("distil.labeling.label_studio.images._MOST_INSIDE", 2000)
    (folder / "a ü00.png").write_bytes((folder / "a ü00.png").read_bytes() + b"\0" * 2000)
    done = push(photos, remote_of(photos, client), 60, PushSettings(images="data-uri"))
    assert (done.new, len(done.left_out)) == (59, 1)
    assert "is too large for a task; use images=upload" in done.notes[0]

    def content_of(address):
        head, _, text = address.partition(",")
        assert head == "data:image/png;base64"
        return base64.b64decode(text)

    assert grays(studio, content_of) == {name: n for name, n in expected(photos).items() if n}


def test_local_files(photos, client, studio, tmp_path, folder):
    remote = remote_of(photos, client)
    with pytest.raises(InvalidInput, match=r"is not below .*document_root"):
        push(photos, remote, 1, PushSettings(images="local-files", root=tmp_path / "other"))
    for _ in range(2):
        push(photos, remote, 2, PushSettings(images="local-files", root=tmp_path))
    assert [(each["path"], each["project"]) for each in studio.storages] == [(str(folder), 2)]
    for task in studio.tasks.values():
        assert task["data"]["image"].startswith("/data/local-files/?d=images/")
        assert " " not in task["data"]["image"]


def test_lost_uploads_and_images_are_not_silent(photos, client, studio, folder):
    remote = remote_of(photos, client)
    take = studio.POST_api_projects_N_import
    studio.POST_api_projects_N_import = lambda *given: (
        {"file_upload_ids": [1]} if given[3] is not None else take(*given)
    )
    with pytest.raises(RunError, match="took 1 of 50 files"):
        push(photos, remote, 60, PushSettings())
    assert photos.leases() == []
    studio.POST_api_projects_N_import = take
    push(photos, remote, 1, PushSettings())  # embeds all images
    for item in photos.items():
        if item.id != next(iter(studio.tasks.values()))["data"]["distil_id"]:
            Path(item.path).unlink()
            photos.queue([item.id])
            break
    done = push(photos, remote, 1, PushSettings())
    assert (done.new, len(done.left_out)) == (0, 1)
    assert "cannot be read" in done.notes[0]


def test_names_of_the_ways():
    assert as_images("data-uri") == "data-uri"
    with pytest.raises(InvalidInput, match=r"images must be one of upload, .*did you mean 'upload'"):
        as_images("uplaod")
