from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import distil
from distil.data.array_files import read_column
from distil.data.ids import read_ids
from distil.distributed.ray import RayExecutor
from distil.embedding.embed import embed
from distil.errors import ConfigError, MissingPackage
from distil.evaluation.compare import summarize
from distil.evaluation.curves import Curves
from distil.evaluation.plots import plot_curves
from distil.experiment.run import Run
from distil.experiment.trackers import MLflow, TensorBoard
from distil.system.imports import EXTRAS, import_torchvision, named_object, optional


@pytest.mark.slow
@pytest.mark.skipif(find_spec("torchvision") is None, reason='needs torchvision: pip install "distil[vision]"')
def test_torchvision_models_can_be_named_and_asked() -> None:
    network = named_object("torchvision.models:resnet18")(num_classes=5)
    images = torch.randn(8, 3, 32, 32)
    chosen = distil.select("badge", network, images, 3)
    assert len(set(chosen.tolist())) == 3
    seen = distil.TorchNetwork(network)
    with seen.asking(distil.Runtime()):
        outputs = seen.outputs(images)
        torch.testing.assert_close(network.fc(outputs.embedding), outputs.logits)
    assert import_torchvision().__name__ == "torchvision"


def test_a_file_whose_name_is_no_identifier_can_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "01-model.py").write_text("class Nets:\n    def small():\n        return 'small'\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert named_object("01-model:Nets.small")() == "small"


def test_an_error_of_another_kind_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: str) -> None:
        raise RuntimeError("something else")

    monkeypatch.setattr("distil.system.imports.importlib.import_module", fails)
    with pytest.raises(RuntimeError, match="something else"):
        import_torchvision()


# -------------------------------------------------------------------------------------------------- optional packages

ROOT = Path(distil.__file__).parents[2]


@contextmanager
def _without(package: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A context in which a package cannot be imported, as if it were not installed."""
    with monkeypatch.context() as patched:
        for name in [package, *(name for name in sys.modules if name.partition(".")[0] == package)]:
            patched.setitem(sys.modules, name, None)
        patched.delitem(sys.modules, f"torch.utils.{package}", raising=False)  # it keeps what it imported
        yield


def _calls(folder: Path) -> dict[str, list[Callable[[], object]]]:
    """For every optional package, the functions that need it."""
    table, saved, sentences = folder / "x.parquet", folder / "saved", folder / "sentences"
    table.write_bytes(b"PAR1")
    workbook = folder / "x.xlsx"
    workbook.write_bytes(b"PK")
    for made, name in ((saved, "state.json"), (saved, "dataset_info.json"), (sentences, "modules.json")):
        made.mkdir(exist_ok=True)
        (made / name).write_text("{}")
    (folder / "a.txt").write_text("one\ntwo\n")
    run = Run(folder / "run")
    curves = {"random_sampling": Curves(np.array([10, 20]), np.array([[0.5, 0.6], [0.6, 0.7]]))}

    def embedded(model: str, **options: str) -> object:
        out = options.pop("out", "a.npy")
        return embed(folder / options.pop("pool", "a.txt"), model, out=folder / out, **options)

    (folder / "images").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "images" / "a.png")
    images = {"pool": "images", "weights": "random"}
    return {
        "matplotlib": [lambda: plot_curves(summarize(curves, target=None), folder / "a.png")],
        "torchvision": [
            lambda: named_object("torchvision.models:resnet18"),
            lambda: named_object("timm.models:create_model"),
            lambda: embedded("timm:resnet18", **images),
        ],
        "timm": [lambda: named_object("timm:create_model"), lambda: embedded("timm:resnet18", **images)],
        "transformers": [lambda: named_object("transformers:AutoModel")],
        "sentence_transformers": [lambda: embedded(str(sentences))],
        "pyarrow": [
            lambda: read_column(table),
            lambda: read_ids(table),
            lambda: distil.open_pool(table),
            lambda: embedded("builtins:len", out="b.parquet"),
        ],
        "openpyxl": [lambda: distil.open_pool(workbook), lambda: read_ids(workbook)],
        "datasets": [lambda: distil.open_pool(saved)],
        "tensorboard": [lambda: TensorBoard(run)],
        "mlflow": [lambda: MLflow(run, "a", {})],
        "ray": [RayExecutor],
    }


def test_a_missing_package_is_named_with_the_line_that_installs_it(tmp_path: Path, monkeypatch: Any, case: Any) -> None:
    calls = _calls(tmp_path)
    assert calls.keys() == EXTRAS.keys()
    for package, functions in calls.items():
        for number, function in enumerate(functions):
            line = f'needs {package}, which is not installed: pip install "distil[{EXTRAS[package]}]"'
            with case(package, number), _without(package, monkeypatch):
                with pytest.raises((MissingPackage, ConfigError)) as found:
                    function()
                assert line in str(found.value)


def test_every_extra_exists_and_holds_its_package() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        names = [re.split(r"[<>=\[ ]", line)[0] for line in extras[extra]]
        assert package.replace("_", "-") in [name.removesuffix("-skinny") for name in names]


def test_every_optional_package_is_imported_with_the_line_that_installs_it() -> None:
    """Each import of a package that is neither Python's nor required goes through ``optional`` first.

    The server of the labeling page is imported by ``cli/label.py`` alone, which says itself what is missing: ``optional`` is in a
    module that imports torch, and the server does not.
    """
    lines = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    modules = {"scikit-learn": "sklearn", "pillow": "PIL"}
    required = {modules.get(name, name) for name in (re.split("[<>=]", line)[0] for line in lines)}
    known = {*required, *sys.stdlib_module_names, "distil", "markupsafe"}  # jinja2 needs markupsafe
    for path in sorted((ROOT / "src").rglob("*.py")):
        text = path.read_text()
        if set(re.findall(r"^ *(?:import|from) (\w+)", text, re.MULTILINE)) <= known:
            continue  # parsing all files takes long
        nodes = list(ast.walk(ast.parse(text)))
        types = [node for node in nodes if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
        unseen = [inner for node in types for inner in ast.walk(node)]
        for node in (node for node in nodes if isinstance(node, ast.Import | ast.ImportFrom) and node not in unseen):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for package in {name.partition(".")[0] for name in names} - known:
                if "server" in path.parts and package in ("starlette", "uvicorn"):
                    continue
                assert f'optional("{package}' in text, f"{path} imports {package}"


def test_a_package_that_is_broken_is_not_called_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('libarrow.so is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)
    with pytest.raises(
        MissingPackage, match=r"^reading x needs pyarrow, which cannot be imported: libarrow.so is missing$"
    ):
        optional("pyarrow", "reading x")
