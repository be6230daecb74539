"""The environment of the peers: made from ``peers.txt``, each package installed separately; failures are recorded and reported."""

from __future__ import annotations

import json
import subprocess
import tempfile
import venv
from pathlib import Path

PINS = Path(__file__).with_name("peers.txt")
_CONSTRAINT = "# constraint:"
_REPORT = "peers.json"


def python_of(folder: Path) -> Path:
    """The interpreter of an environment."""
    return folder / "bin" / "python"


def make(folder: Path) -> dict[str, str]:
    """Make the environment, or bring it up to date: each package's version, or why it is missing."""
    if not python_of(folder).exists():
        venv.create(folder, with_pip=True)
    lines = PINS.read_text().splitlines()
    constraints = [line.removeprefix(_CONSTRAINT).strip() for line in lines if line.startswith(_CONSTRAINT)]
    wanted = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("\n".join(constraints))
        file.flush()
        found = {pin.split("==")[0]: _install(folder, pin, file.name) for pin in wanted}
    (folder / _REPORT).write_text(json.dumps(found, indent=1))
    return found


def installed(folder: Path) -> dict[str, str]:
    """The packages of ``peers.txt``: their versions as they are now, or why they are missing."""
    names = [line.split("==")[0] for line in PINS.read_text().splitlines() if "==" in line and not line.startswith("#")]
    report = folder / _REPORT
    failures = json.loads(report.read_text()) if report.exists() else {}
    script = (
        "import importlib.metadata as m, json, sys\n"
        "have = {d.metadata['Name'].lower(): d.version for d in m.distributions()}\n"
        "print(json.dumps({n: have.get(n.lower()) for n in sys.argv[1:]}))"
    )
    out = subprocess.run([python_of(folder), "-c", script, *names], check=True, capture_output=True, text=True)
    versions = json.loads(out.stdout)
    return {name: version or failures.get(name, "not installed") for name, version in versions.items()}


def _install(folder: Path, pin: str, constraints: str) -> str:
    command = [str(python_of(folder)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*command, "-c", constraints, pin], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    return pin.split("==")[1] if done.returncode == 0 else f"failed: {(said or ['pip'])[-1][:200]}"


def main(argv: list[str]) -> int:
    """``python -m benchmarks.speed.environment FOLDER``."""
    for name, state in make(Path(argv[0])).items():
        print(f"{name:20} {state}")
    return 0


if __name__ == "__main__":
    import sys

    sys.exit(main(sys.argv[1:]))
