"""Install the wheel in dist/ as a stranger does, and use it: ``python scripts/try_wheel.py [EXTRA ...]``.

Without arguments, all extras for users are tried. The wheel must hold the files of the package and nothing else. It is
installed without extras into a fresh environment; there the command, the first example of the README and the typed example must
work, and what an extra is for must end with the line that installs the extra. Then each extra is installed into an environment
of its own, over the one without extras, and what it is for must work. It takes about 2 GB of disk.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]

PREPARE = """
import json, os, subprocess, sys, urllib.request
from importlib.util import find_spec
from pathlib import Path
import numpy as np
from PIL import Image
import distil
from distil.cli import main

Path("photos").mkdir(exist_ok=True)
for n in range(6):
    Image.fromarray(np.full((32, 32, 3), 40 * n, np.uint8)).save(f"photos/{n}.png")
Path("texts.csv").write_text("id,text\\n1,good film\\n2,bad film\\n")
loop = {"strategies": ["random_sampling"], "initial_points": 20, "budget": 20, "rounds": 2}
document = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 16},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 5},
    "active_learning": loop,
    "dataset": {"name": "digits"},
    "experiment": {"seeds": 1},
}
Path("run.json").write_text(json.dumps(document))

def command(*words):
    if code := main(list(words)):
        sys.exit(code)

"""

# Extra -> what it is for.
USES = {
    "plot": 'command("run", "run.json", "--output", "runs/plot"); assert Path("runs/plot/curves.png").is_file()',
    "vision": 'command("embed", "photos", "--model", "timm:resnet10t", "--weights", "random", "--out", "vision.npy")',
    "text": """
Path("words/0").mkdir(parents=True, exist_ok=True)  # a model that counts words, as sentence-transformers saves it
part = {"idx": 0, "name": "0", "path": "0", "type": "sentence_transformers.models.BoW"}
Path("words/modules.json").write_text(json.dumps([part]))
Path("words/0/config.json").write_text(json.dumps({"vocab": ["good", "bad", "film"]}))
command("embed", "texts.csv", "--model", "words", "--out", "text.npy")
""",
    "table": 'command("embed", "photos", "--model", "pixels", "--out", "table.parquet")',
    "excel": """
command("project", "create", "excel", "--classes", "dark,light")
command("project", "add", "excel", "photos")
command("next", "excel", "--n", "3", "--out", "sheet.xlsx")
""",
    "hf": """
Path("pool").mkdir(exist_ok=True)
for name in ("state.json", "dataset_info.json"):
    Path("pool", name).touch()
if find_spec("datasets"):
    import datasets
    datasets.Dataset.from_dict({"text": ["good", "bad"]}).save_to_disk("pool")
assert len(distil.open_pool("pool")) == 2
""",
    "label": """
words = [sys.executable, "-m", "distil", "label", "photos", "--classes", "dark,light", "--port", "0"]
server = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
said = []
try:
    for line in server.stderr:
        said += [line]
        if "http" in line:
            break
    else:
        sys.exit("".join(said))
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    assert b"<html" in browser.open(line.split()[-1]).read()
finally:
    server.terminate()
""",
    "tensorboard": 'command("run", "run.json", "--track", "tensorboard", "--output", "runs/tensorboard")',
    "mlflow": """
os.environ |= {"MLFLOW_TRACKING_URI": Path("tracked").absolute().as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
command("run", "run.json", "--track", "mlflow", "--output", "runs/mlflow")
""",
    "ray": 'command("run", "run.json", "--executor", "ray", "--workers", "2", "--output", "runs/ray")',
}


def only_the_package(wheel: Path) -> None:
    """The wheel holds the files of the package that git knows, and its metadata."""
    listed = subprocess.run(["git", "ls-files", "distil"], cwd=ROOT / "src", capture_output=True, text=True, check=True)
    about = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    names = ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE", "sboms/distil.cdx.json")
    expected = {*listed.stdout.split(), *(f"{about}/{name}" for name in names)}
    if odd := expected ^ {*zipfile.ZipFile(wheel).namelist()}:
        raise SystemExit(f"{wheel.name}: missing, or not of the package: {', '.join(sorted(odd))}")


def installed(folder: Path, wheel: str, below: Path | None = None) -> Path:
    """The Python of a fresh environment with the wheel, which sees the packages of another environment below it."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = next(path for path in (folder / "bin" / "python", folder / "Scripts" / "python.exe") if path.exists())
    if below is not None:
        ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
        places = [subprocess.run([p, "-c", ask], capture_output=True, text=True, check=True) for p in (python, below)]
        own, other = (place.stdout.strip() for place in places)
        Path(own, "below.pth").write_text(f"{other}\n")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", ROOT / "constraints.txt"]
    subprocess.run([*pip, wheel], check=True)
    return python


def tried(python: Path, code: str, folder: Path) -> tuple[bool, str]:
    """Whether code ends well in an environment, and what it printed; it sees no source tree."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [python, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode == 0, done.stdout + done.stderr


def without_extras(python: Path, folder: Path) -> list[str]:
    """What fails without extras."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (first, *_) = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    faults = [
        f"{what}: {printed}"
        for what, code in {
            "--help": f"{PREPARE}command('--help')",
            "--version": f"{PREPARE}command('--version')",
            "README": first,
            "typed example": (ROOT / "examples" / "typed_loop.py").read_text(encoding="utf-8"),
        }.items()
        for well, printed in [tried(python, code, folder)]
        if not well
    ]
    typed = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "--cache-dir", folder / "types"]
    checked = subprocess.run(
        [*typed, ROOT / "examples" / "typed_loop.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    return faults if checked.returncode == 0 else [*faults, f"mypy --strict: {checked.stdout}{checked.stderr}"]


def main(extras: list[str]) -> int:
    """Try the wheel, with these extras or all; 1 if something fails."""
    (wheel,) = (ROOT / "dist").glob("*.whl")
    only_the_package(wheel)
    with tempfile.TemporaryDirectory() as scratch:
        bare, faults = installed(Path(scratch) / "bare", str(wheel)), []
        faults += without_extras(bare, Path(scratch) / "work")
        for extra in extras or USES:
            code, folder = PREPARE + USES[extra], Path(scratch) / "work"
            well, printed = tried(bare, code, folder / f"without-{extra}")
            if well or f'pip install "distil[{extra}]"' not in printed:
                faults.append(f"without {extra}: {printed}")
            python = installed(Path(scratch) / extra, f"{wheel}[{extra}]", below=bare)
            well, printed = tried(python, code, folder / f"with-{extra}")
            faults += [] if well else [f"with {extra}: {printed}"]
            sys.stdout.write(f"{extra}: {'tried' if well else 'FAILED'}\n")
    sys.stdout.writelines(f"{fault}\n" for fault in faults)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
