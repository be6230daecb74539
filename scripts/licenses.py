"""List the licenses of everything that distil needs: ``python scripts/licenses.py [EXTRA ...]``.

The packages are those of this environment: the dependencies, those of the named extras, and their own. Each license is the one
that the package declares. The exit code is 1 if a package declares none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement


def needed(extras: Iterable[str]) -> dict[str, Distribution]:
    """The installed packages that distil with these extras needs, by name."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = [("distil", frozenset(extras))]
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            package = distribution(name)
        except PackageNotFoundError:  # of an extra that is not installed
            continue
        found[name] = package
        for text in package.requires or []:
            required = Requirement(text)
            if not required.marker or any(required.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                waiting.append((re.sub(r"[-_.]+", "-", required.name).lower(), frozenset(required.extras)))
    if found.pop("distil", None) is None:
        raise SystemExit("distil is not installed in this environment; pip install -e . first")
    return found


def license_of(package: Distribution) -> str:
    """The license that a package declares: its expression, else its classifiers, else the first line of its free text."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [c.split(" :: ")[-1] for c in metadata.get_all("Classifier") or [] if c.startswith("License :: ")]
    return ", ".join(classifiers) or (metadata.get("License") or "").strip().split("\n", 1)[0]


def main(extras: list[str]) -> int:
    """Print a table; 1 if a package declares no license."""
    packages = needed(extras)
    licenses = {name: license_of(package) for name, package in sorted(packages.items())}
    sys.stdout.writelines(
        f"{name} {packages[name].version}: {text or 'none declared'}\n" for name, text in licenses.items()
    )
    return 0 if all(licenses.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
