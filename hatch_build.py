"""What every build adds: the addresses of the project, its README, and a software bill of materials.

The addresses are those of the repository from which a hosted build runs, so that no fork and no move makes them wrong. With them,
the links and pictures of the README work on PyPI too, where paths lead nowhere. The bill is ``.dist-info/sboms/distil.cdx.json`` in
the wheel, as PEP 770 and CycloneDX 1.6 define it. distil bundles no code of others, so the bill has the package itself and the
dependencies that its metadata declares.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.core import ProjectMetadata
from hatchling.metadata.plugin.interface import MetadataHookInterface


class CustomMetadataHook(MetadataHookInterface):
    """The hook that ``[tool.hatch.metadata.hooks.custom]`` turns on."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the addresses of the project and the README."""
        metadata["urls"] = addresses(os.environ)
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": linked(text, os.environ)}


def addresses(environ: Mapping[str, str]) -> dict[str, str]:
    """The addresses in a hosted build, which names its repository; none in a build elsewhere."""
    server, repository = environ.get("GITHUB_SERVER_URL"), environ.get("GITHUB_REPOSITORY")
    if not server or not repository:
        return {}
    home = f"{server}/{repository}"
    return {
        "Homepage": home,
        "Documentation": f"{home}/tree/main/docs",
        "Changelog": f"{home}/blob/main/CHANGELOG.md",
        "Issues": f"{home}/issues",
    }


def linked(text: str, environ: Mapping[str, str]) -> str:
    """The README, with addresses of the built commit in place of paths; as it is in a build that is not hosted."""
    if not (home := addresses(environ).get("Homepage")):
        return text
    commit = environ["GITHUB_SHA"]
    text = re.sub(r"(!\[[^]]*\]\()(?!https?:)", rf"\g<1>{home}/raw/{commit}/", text)
    return re.sub(r"((?<!!)\[[^]]*\]\()(?!https?:|#)", rf"\g<1>{home}/blob/{commit}/", text)


class CustomBuildHook(BuildHookInterface):
    """The hook that ``[tool.hatch.build.targets.wheel.hooks.custom]`` turns on."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - the interface's
        """Write the bill of materials to the build directory and hand it to the wheel."""
        file = Path(self.directory) / "distil.cdx.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(bill_of_materials(self.metadata), indent=2) + "\n", encoding="utf-8")
        build_data["sbom_files"].append(str(file))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the file: the wheel has it."""
        (Path(self.directory) / "distil.cdx.json").unlink()


def bill_of_materials(metadata: ProjectMetadata) -> dict[str, Any]:
    """The CycloneDX document; equal metadata gives equal bytes, so it has no time and no serial number."""
    core, url = metadata.core, f"pkg:pypi/{metadata.core.name}@{metadata.version}"
    parts = [
        {
            "type": "library",
            "bom-ref": f"pkg:pypi/{name}",
            "name": name,
            "purl": f"pkg:pypi/{name}",
            "properties": [{"name": "distil:requirement", "value": str(requirement)}],
        }
        for name, requirement in sorted((r.name.lower(), r) for r in core.dependencies_complex.values())
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": url,
                "name": core.name,
                "version": metadata.version,
                "description": core.description,
                "licenses": [{"license": {"id": core.license_expression}}],
                "purl": url,
            }
        },
        "components": parts,
        "dependencies": [{"ref": url, "dependsOn": [part["bom-ref"] for part in parts]}],
    }
