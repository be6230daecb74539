"""A directory keeps the hashes of the files that its experiment reads; changed files are refused by name."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distil.errors import RunError
from distil.experiment import outputs, suite
from distil.experiment.config.experiment_config import parse_config
from distil.experiment.directory import open_config
from distil.experiment.outputs import write_results
from distil.experiment.page.report import report_of
from distil.experiment.suite import run_all
from distil.system.executor import Processes

NETWORK = {"architecture": "two_layer_net", "target_classes": 3, "hidden_units_1": 3}
LOOP = {"strategies": ["random_sampling"], "budget": 3, "rounds": 2, "initial_points": 6}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """The current directory, with three classes of points in every format, and an encoder of colors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for name in ("pinned_points", "pinned_colors"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    y = np.arange(60) % 3
    x = np.random.default_rng(0).normal(y[:, None], 1.0, (60, 2)).round(3)
    for name, rows in (("train", slice(0, 45)), ("test", slice(45, 60))):
        lines = [f"{a},{b},{label}" for (a, b), label in zip(x[rows], y[rows], strict=True)]
        Path(f"{name}.csv").write_text("a,b,label\n" + "\n".join(lines) + "\n")
        sparse = [f"{label} 1:{a} 2:{b}" for (a, b), label in zip(x[rows], y[rows], strict=True)]
        Path(f"{name}.svm").write_text("\n".join(sparse) + "\n")
    np.savez("points.npz", x_train=x, y_train=y)
    np.save("emb.npy", x.astype(np.float32))
    Path("labels.csv").write_text("id,label\n" + "".join(f"{row},{label}\n" for row, label in enumerate(y)))
    for row, label in enumerate(y[:45]):
        folder = Path("images", "abc"[label])
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2), (80 * int(label), row, 9)).save(folder / f"{row}.png")
    Path("pinned_colors.py").write_text("def encode(images):\n    return [list(i.getpixel((0, 0))) for i in images]\n")
    Path("pinned_points.py").write_text(
        "import numpy as np, torch\nfrom distil.datasets.data_set import DataSet\n\n\n"
        "def load(file):\n    table = torch.from_numpy(np.genfromtxt(file, delimiter=',', skip_header=1))\n"
        "    return DataSet('points', table[:, :2].float(), table[:, 2].long(), None, None, 3)\n"
    )
    return tmp_path


def made(dataset, output="out"):
    """An experiment on one of the files."""
    model = {} if "embeddings" in dataset or "images" in dataset else {"model": NETWORK}
    train = {"lr": 0.1, "batch_size": 8, "n_epoch": 1} if model else {}
    document = {**model, "train_parameters": train, "active_learning": LOOP, "dataset": {"test_points": 10, **dataset}}
    if "test_path" in dataset:
        del document["dataset"]["test_points"]
    return parse_config({**document, "experiment": {"output": output}})


def edit(path):
    """Change the content of a file, but neither its size nor its date."""
    stat, content = os.stat(path), bytearray(Path(path).read_bytes())
    content[-2] ^= 1
    Path(path).write_bytes(bytes(content))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert os.stat(path).st_size == stat.st_size


def test_every_file_is_pinned_and_refused_by_name(case, here):
    colors = {"images": "images", "encoder": "pinned_colors:encode"}
    for dataset, file, key in [
        ({"name": "csv", "path": "train.csv", "test_path": "test.csv"}, "train.csv", "path"),
        ({"name": "csv", "path": "train.csv", "test_path": "test.csv"}, "test.csv", "test_path"),
        ({"name": "libsvm", "path": "train.svm"}, "train.svm", "path"),
        ({"name": "npz", "path": "points.npz"}, "points.npz", "path"),
        ({"embeddings": "emb.npy", "labels": "labels.csv"}, "emb.npy", "embeddings"),
        ({"embeddings": "emb.npy", "labels": "labels.csv"}, "labels.csv", "labels"),
        (colors, "images/a/3.png", "images"),
    ]:
        with case(dataset, file):
            config, named = made(dataset), dataset[key]
            before = Path(file).read_bytes()
            assert run_all(config)
            hashes = json.loads(Path("out/files.json").read_text())
            if file == named:
                assert hashes[f"dataset.{key}"] == hashlib.sha256(before).hexdigest()
            os.utime(file)  # a date says nothing
            assert run_all(config)
            kept = {path: path.read_bytes() for path in Path("out").rglob("*.json*")}
            edit(file)
            now = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:8] if file == named else r"\w{8}"
            old = hashes[f"dataset.{key}"][:8]
            said = rf"{re.escape(named)} \(dataset\.{key}\) has changed since out was begun: its SHA-256 was {old} and is {now}\."
            with pytest.raises(
                RunError, match=f"^{said} Restore what has changed, or start a new experiment in another"
            ):
                run_all(config)
            with pytest.raises(RunError, match=said):  # as resume
                run_all(open_config(Path("out")))
            assert re.search(said, report_of([open_config(Path("out"))])["experiments"][0]["selections"]["missing"])
            assert {path: path.read_bytes() for path in kept} == kept
            Path(file).write_bytes(before)
            assert run_all(config)
        for path in sorted(Path("out").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()


def test_a_file_that_was_renamed_is_the_same_data(here, case):
    """By its content: the directory then names the new file, and other content under a new name is refused by key and names."""
    Path("moved").mkdir()
    for dataset, key in [
        ({"name": "csv", "path": "train.csv", "test_path": "test.csv"}, "path"),
        ({"embeddings": "emb.npy", "labels": "labels.csv"}, "embeddings"),
        ({"embeddings": "emb.npy", "labels": "labels.csv"}, "labels"),
    ]:
        with case(key):
            output, old = f"out-{key}", dataset[key]
            assert run_all(made(dataset, output))
            runs = {path: path.read_bytes() for path in Path(output).rglob("events.jsonl")}
            Path(old).rename(f"moved/{old}")
            renamed = {**dataset, key: f"moved/{old}"}
            assert run_all(made(renamed, output))
            assert run_all(open_config(Path(output)))
            assert {path: path.read_bytes() for path in runs} == runs
            assert open_config(Path(output)).dataset[key] == f"moved/{old}"
            Path(f"moved/{old}").rename(old)
    Path("moved.csv").write_text(Path("train.csv").read_text().replace("-0.", "-1."))
    with pytest.raises(RunError, match=r"dataset\.path is 'moved/train\.csv' there and 'moved\.csv' here"):
        run_all(made({"name": "csv", "path": "moved.csv", "test_path": "test.csv"}, "out-path"))


@pytest.mark.slow
def test_workers_refuse_data_that_changes_meanwhile(here, monkeypatch):
    """They read it anew."""
    config, claim = made({"name": "csv", "path": "train.csv"}), suite.claim

    def then_edited(*args, **kwargs):
        joined = claim(*args, **kwargs)
        edit("train.csv")
        return joined

    monkeypatch.setattr(suite, "claim", then_edited)
    with pytest.raises(RunError, match=r"train\.csv \(dataset\.path\) has changed since out was begun"):
        run_all(config, executor=Processes(2))


def test_hashes_that_were_altered_are_refused(case, here):
    """Also without their seal: else other data would be taken for that of the directory."""
    config = made({"name": "csv", "path": "train.csv"})
    assert run_all(config)
    path = Path("out/files.json")
    content = path.read_text()
    for changed, message in [
        (
            content.replace('"dataset.path": "', '"dataset.path": "0'),
            "was changed since distil wrote it.* from a backup$",
        ),
        ('{"dataset.path": 5}', "lacks the key 'hash', with which distil writes it; .*, restore it from a backup$"),
        ("[]", "must hold a JSON object; .* restore it from a backup$"),
        (content[:20], "cannot be read as JSON: .* restore it from a backup$"),
    ]:
        with case(changed):
            path.write_text(changed)
            with pytest.raises(RunError, match=rf"^out/files\.json {message}") as error:
                run_all(config)
            assert len(str(error.value).splitlines()) == 1


def test_an_image_that_a_table_names_is_read_too(here):
    rows = [f"{path},{path.parent.name}" for path in sorted(Path("images").rglob("*.png"))]
    Path("paths.csv").write_text("path,class\n" + "\n".join(rows) + "\n")
    config = made({"images": "paths.csv", "encoder": "pinned_colors:encode"})
    assert run_all(config)
    Image.new("RGB", (2, 2), (1, 2, 3)).save("images/a/3.png")
    with pytest.raises(
        RunError, match=r"^the data set paths\.csv has changed since out was begun: its SHA-256 was \w{8} and"
    ):
        run_all(config)


def test_results_are_titled_by_the_name_of_the_file(case, here, monkeypatch):
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")
    Path("some").mkdir()
    for number, (dataset, title) in enumerate(
        [
            ({"name": "csv", "path": "some/table.of.cells.csv"}, "table.of.cells.csv"),
            ({"name": "libsvm", "path": "train.svm"}, "train.svm"),
            ({"name": "npz", "path": str(here / "points.npz")}, "points.npz"),
            ({"name": "pinned_points:load", "file": "train.csv"}, "pinned_points:load"),
            ({"images": "images/../images", "encoder": "pinned_colors:encode"}, "images"),
        ]
    ):
        with case(title):
            Path("some/table.of.cells.csv").write_text(Path("train.csv").read_text())
            config = made(dataset, f"out{number}")
            assert run_all(config)
            write_results(config)
            assert (config.output / "results.md").read_text().startswith(f"# {title}, 1 seed\n")
            report = report_of([open_config(config.output)])
            assert report["title"] == f"{title}: 1 strategy, 1 seed"
            assert report["experiments"][0]["facts"][0][1].startswith(f"{title}, 3 classes")


def test_a_data_set_that_a_callable_reads_is_pinned_by_its_content(here):
    config = made({"name": "pinned_points:load", "file": "train.csv"})
    assert run_all(config)
    text = Path("train.csv").read_text()
    Path("train.csv").write_text(text.replace("\n", "\r\n"))  # the same numbers
    assert run_all(config)
    Path("train.csv").write_text(text.replace(",2\n", ",1\n", 1))
    with pytest.raises(
        RunError, match=r"^the data set pinned_points:load has changed since out was begun: its SHA-256 was"
    ):
        run_all(config)


def test_a_changed_module_of_the_users_is_noted_and_not_refused(here):
    config, said = made({"name": "pinned_points:load", "file": "train.csv"}), []
    assert run_all(config, say=said.append)
    assert said == []
    with Path("pinned_points.py").open("a") as file:
        file.write("# a remark\n")
    assert run_all(config, say=said.append)
    assert said == [
        "the source of the module pinned_points has changed since out was begun; earlier steps used the old one"
    ]


def test_a_damaged_file_of_hashes_is_refused(case, here):
    config = made({"name": "csv", "path": "train.csv"})
    assert run_all(config)
    kept = Path("out/files.json").read_text()
    for content in ["{", "[1]", "\0", kept.replace("0", "1"), kept.replace("1", "0")]:
        with case(content):
            Path("out/files.json").write_text(content)
            with pytest.raises(RunError, match=r"^out/files\.json"):
                run_all(config)
            with pytest.raises(RunError, match=r"^out/files\.json"):  # as resume and report
                open_config(Path("out"))


def test_a_missing_file_of_hashes_is_refused(here):
    """Else other data would be pinned in place of that of the directory."""
    config = made({"name": "csv", "path": "train.csv"})
    assert run_all(config)
    content = Path("out/files.json").read_bytes()
    Path("out/files.json").unlink()
    edit("train.csv")
    for again in (lambda: run_all(config), lambda: open_config(Path("out"))):
        with pytest.raises(RunError, match=r"^out/files\.json is missing, and with it the hashes .* from a backup$"):
            again()
    Path("out/files.json").write_bytes(content)
    edit("train.csv")
    assert run_all(config)
