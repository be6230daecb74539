"""Build the sdist and the wheel twice, from copies in two folders, and compare them byte for byte.

``python scripts/reproducible.py`` prints the SHA-256 of each file, and leaves the files in dist/; the exit code is 1 if two builds
differ. It needs hatchling, and no network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]


def built(folder: Path, mtime: int) -> dict[str, str]:
    """The names and hashes of the files that a copy of the repository in this folder builds, whose files have this time."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
            os.utime(folder / name, (mtime, mtime))
    environment = {**os.environ, "TZ": f"UTC{mtime % 12}"}
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build"], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
    )
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted((folder / "dist").iterdir())}


def main() -> int:
    """Build twice; 1 if the files differ."""
    with tempfile.TemporaryDirectory() as scratch:
        first, second = (built(Path(scratch) / name, mtime) for name, mtime in (("a", 10**9), ("b/c", 10**9 + 86_405)))
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        shutil.copytree(Path(scratch) / "a" / "dist", ROOT / "dist")
    sys.stdout.writelines(f"{digest}  {name}\n" for name, digest in first.items())
    if first == second:
        return 0
    sys.stdout.writelines(
        f"differs: {name}\n" for name in sorted(first.keys() | second.keys()) if first.get(name) != second.get(name)
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
