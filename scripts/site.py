"""Build the site in build/site: the pages of the repository, and the reference of the public names from their docstrings.

``python scripts/site.py`` needs the packages of the extra ``docs`` and no network. Warnings are errors, and so are a page
that would load anything from another machine and a link within the site that leads nowhere.
"""

from __future__ import annotations

import inspect
import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path
from urllib.parse import unquote, urlsplit

import distil
from distil.signals import measured_by
from distil.strategies import STRATEGIES, strategy_named
from distil.strategies.registry import tasks_of

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build"
COPIED = [
    "docs",
    "benchmarks/README.md",
    "benchmarks/protocols",
    "benchmarks/results",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
]

# The contents of the site. A page in docs/ that is in no list comes at the end of the last.
CONTENTS = {
    "Learn": ["docs/tutorials/index"],  # which lists the pages next to it
    "Select": ["docs/guide", "docs/models", "docs/your-data", "docs/scale", "docs/strategies", "docs/gallery"],
    "Label": ["docs/labeling-page", "docs/labeling-tutorial", "docs/labeling", "docs/label-studio"],
    "Compare and decide": [
        "docs/comparing",
        "docs/configuration",
        "docs/forecast",
        "docs/certainty",
        "docs/certainty-tutorial",
    ],
    "Move here": ["docs/moving", "docs/coming-from-distil", "docs/coming-from-deepal"],
    "Reference": [],  # the pages of API
    "Background": [
        "docs/faq",
        "docs/glossary",
        "docs/trust",
        "docs/architecture",
        "docs/performance",
        "benchmarks/README",
    ],
    "The project": ["CHANGELOG", "CONTRIBUTING", "SECURITY"],
}

# The pages that list those in folders of theirs, by patterns.
SUBPAGES = {"docs/tutorials/index": ["*"], "benchmarks/README": ["protocols/README", "results/*"]}

# The pages of the reference: title, the names of `distil` or the modules that they describe, and what they are for.
API = {
    "select": (
        "Select and pools",
        "select select_from pick explain open_pool embed audit Selection LabeledSet Pool Runtime Rng",
        "Which examples to label next, from a model and data, from arrays, or from files.",
    ),
    "learner": (
        "Learner and training",
        "Learner FitConfig FitResult fit fit_dataset LinearHead HeadConfig",
        "Rounds of query, label and fit.",
    ),
    "models": (
        "Models",
        "wrap Network Outputs TorchNetwork Estimator Ensemble",
        "How a model is read: its logits, its embedding and its samples.",
    ),
    "writing-strategies": (
        "Write a strategy",
        "Strategy ScoreStrategy Needs Sets STRATEGIES register strategy_named",
        "The classes that a new strategy derives from and the registry.",
    ),
    "strategies": ("Strategies", "distil.strategies", "The class of every strategy, with its parameters."),
    "signals": ("Signals", "distil.signals", "The quantities that strategies read."),
    "functional": ("Functional", "distil.functional", "The algorithms, from tensors to tensors."),
    "labeling": ("Labeling", "Project", "Projects that people label."),
    "experiments": ("Experiments", "run compare report", "Runs of rounds, and comparisons of strategies."),
    "certainty": (
        "Certainty",
        "forecast evaluate finish Stopping StablePredictions LowUncertainty SmallGain LabelBudget",
        "What more labels bring, when to stop, how accurate a model is, and how to label the rest.",
    ),
    "active-learning-strategies": (
        "The interface of DISTIL",
        "distil.active_learning_strategies distil.utils",
        "The documented classes of DISTIL 0.1, and its utilities.",
    ),
    "deepal": ("The interface of DeepAL", "distil.deepal", "The classes of the DeepAL paper."),
    "errors": (
        "Errors",
        "distil.errors",
        "Every error that distil raises on purpose; those of the tree are also attributes of ``distil``.",
    ),
}
_SPLIT = ("distil.functional", "distil.utils")  # packages whose modules hold the names


def modules(name: str) -> list[str]:
    """The modules that hold the names of a public module: itself, or its modules."""
    if name not in _SPLIT:
        return [name]
    folder = Path(inspect.getfile(getattr(distil, name.removeprefix("distil.")))).parent
    found = [path for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return [f"{name}.{path.stem}" for path in sorted(found) if path.stem != "__init__"]


def reference(title: str, names: list[str], purpose: str) -> str:
    """A page of the reference, in reStructuredText."""
    return "\n".join(
        [title, "=" * len(title), "", purpose, "", *(line for name in names for line in _directives(name))]
    )


def _directives(name: str) -> Iterator[str]:
    if not name.startswith("distil."):
        value = getattr(distil, name)
        error = inspect.isclass(value) and issubclass(value, BaseException)
        kind = (
            "exception" if error else "class" if inspect.isclass(value) else "function" if callable(value) else "data"
        )
        yield from (f".. auto{kind}:: distil.{name}", *(["   :no-value:"] if kind == "data" else []), "")
        return
    for module in modules(name):
        yield from (f"``{module}``", "-" * (len(module) + 4), "", f".. automodule:: {module}")
        if hasattr(import_module(module), "__all__"):
            yield from ("   :imported-members:", f"   :exclude-members: {', '.join(distil.__all__)}")
        yield ""


def table() -> str:
    """The page with a row for every strategy: what it does, what it reads and its tasks."""
    rows = [
        "# All strategies",
        "",
        "Made from the code; [Strategies](../docs/strategies.md) says when to use which.",
        "",
    ]
    rows += ["| name | does | reads | tasks |", "|---|---|---|---|"]
    for name, cls in STRATEGIES.items():
        strategy = strategy_named(name)
        does = (inspect.getdoc(cls) or "").split("\n", 1)[0].replace("``", "`").replace("|", "\\|")
        arguments = dict.fromkeys(signal.argument for signal in measured_by(strategy.needs.pool))
        reads = ", ".join(f"`{name}`" if name else "the model" for name in arguments)
        rows.append(f"| `{name}` | {does} | {reads or 'nothing'} | {', '.join(tasks_of(strategy))} |")
    return "\n".join([*rows, ""])


def contents(pages: list[str]) -> str:
    """The tables of contents that end the first page."""
    lists = {**CONTENTS, "Reference": ["api/all-strategies", *(f"api/{name}" for name in API)]}
    listed = {page for entries in lists.values() for page in entries}
    lists["The project"] = [*lists["The project"], *(page for page in pages if page not in listed)]
    return "\n".join(
        "\n".join(
            ["", "```{toctree}", ":hidden:", f":caption: {caption}", "", *(p for p in entries if p in pages), "```"]
        )
        for caption, entries in lists.items()
    )


def stage(folder: Path) -> None:
    """Lay out the sources of the site as in the repository, so that links between pages work in both."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in COPIED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        copy(ROOT / name, folder / name)
    (folder / "api").mkdir()
    for name, (title, names, purpose) in API.items():
        (folder / "api" / f"{name}.rst").write_text(reference(title, names.split(), purpose), encoding="utf-8")
    (folder / "api" / "all-strategies.md").write_text(table(), encoding="utf-8")
    shutil.copytree(folder / "docs" / "gallery", folder / "extra" / "docs" / "gallery")
    for page, listed in SUBPAGES.items():
        with (folder / page).with_suffix(".md").open("a", encoding="utf-8") as file:
            file.write("\n".join(["", "```{toctree}", ":hidden:", ":glob:", "", *listed, "```", ""]))
    write_notebook = runpy.run_path(str(ROOT / "scripts" / "notebook.py"))["main"]
    for page in sorted((folder / "docs" / "tutorials").glob("*.md")):
        if page.stem != "index":
            write_notebook(str(page), str(page.with_suffix(".ipynb")))
            with page.open("a", encoding="utf-8") as file:
                file.write(f"\n[This page as a notebook]({page.stem}.ipynb)\n")
    shutil.copy2(ROOT / "README.md", folder / "index.md")
    _copy_linked(folder)
    found = [path.relative_to(folder).with_suffix("") for path in folder.rglob("*") if path.suffix in (".md", ".rst")]
    own = [path.as_posix() for path in found if len(path.parts) < 3]  # deeper pages are listed by those of SUBPAGES
    pages = sorted({*own, *SUBPAGES} - {"index"})
    with (folder / "index.md").open("a", encoding="utf-8") as file:
        file.write(f"\n{contents(pages)}\n")


def _copy_linked(folder: Path) -> None:
    """Copy the other files that pages link to, such as sources, which the site offers for download."""
    for page in list(folder.rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:\s]+)", page.read_text(encoding="utf-8")):
            linked = Path(os.path.normpath(page.relative_to(folder).parent / target))
            if (ROOT / linked).is_file() and not (folder / linked).exists():
                (folder / linked).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / linked, folder / linked)


class Elements(HTMLParser):
    """What a page loads when a browser opens it, where its links lead, and the places in it that links may name."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.links: list[str] = []
        self.places: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Sort the attributes of an element; a link to another page loads nothing."""
        values = {key: value for key, value in attrs if value}
        self.places |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a":
            self.links += [values["href"]] if "href" in values else []
        elif tag != "link" or values.get("rel") not in ("canonical", "author"):
            self.loaded += [values[key] for key in ("src", "href", "data", "poster", "srcset") if key in values]


def is_outside(address: str) -> bool:
    """Whether an address names another machine."""
    return re.match(r"(https?:)?//", address) is not None


def faults(site: Path) -> list[str]:
    """What the pages and styles of a site would load from another machine, and links that lead nowhere."""
    pages = {path: Elements(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    loaded = {path: page.loaded for path, page in pages.items()}
    for style in sorted(site.rglob("*.css")):
        loaded[style] = re.findall(r"""(?:url\(|@import)\s*['"]?([^'")]+)""", style.read_text(encoding="utf-8"))
    return [
        *(f"{p.relative_to(site)} loads {url}" for p, urls in loaded.items() for url in urls if is_outside(url)),
        *(f"{p.relative_to(site)} links to {link}" for p, page in pages.items() for link in dead_links(p, page, pages)),
    ]


def dead_links(path: Path, page: Elements, pages: dict[Path, Elements]) -> list[str]:
    """The links of a page to files that do not exist, and to places that are not in their page."""
    dead = []
    for link in page.links + page.loaded:
        address = urlsplit(link)
        target = Path(os.path.normpath(path.parent / unquote(address.path))) if address.path else path
        place = unquote(address.fragment)
        if address.scheme or address.netloc:
            continue
        if not target.is_file() or (place and target in pages and place not in pages[target].places):
            dead.append(link)
    return dead


def build() -> int:
    """Build the site; the exit code."""
    source, site = BUILD / "site-source", BUILD / "site"
    stage(source)
    shutil.rmtree(site, ignore_errors=True)
    options = ["--fail-on-warning", "--keep-going", "--fresh-env", "-q"]
    folders = ["-d", BUILD / "site-cache", "-c", source / "docs", source, site]
    done = subprocess.run([sys.executable, "-m", "sphinx", *options, *folders], check=False)
    found = faults(site)
    sys.stderr.writelines(f"{line}\n" for line in found)
    return done.returncode or bool(found)


if __name__ == "__main__":
    sys.exit(build())
