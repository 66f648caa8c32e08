"""MkDocs hooks: pages of the site that are no Markdown in `docs/`, and links to them.

The pages are written for the repository's web page, where a link to `../README.md` or to a source file works. Here each
file that a page links to outside of `docs/` becomes a page below `repository/`, and so do the files that these link to.
Notebooks become pages as well, with the outputs that `make docs` left in `build/tutorials`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbconvert import MarkdownExporter

ROOT = Path(__file__).parents[2]
EXECUTED = ROOT / "build" / "tutorials"
OUTSIDE = "repository"
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"(?<=\]\()(?!\w+:|[#/])([^)\s#]+)")
PICTURES = (".gif", ".jpg", ".png", ".svg")
UNSEARCHED = "---\nsearch:\n  exclude: true\n---\n\n"
"""Head of a page that the search does not show: a source file."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks, then all that is linked to outside of `docs/`."""
    for path in sorted((ROOT / "docs").rglob("*.ipynb")):
        for name, content in notebook_pages(path).items():
            files.append(File.generated(config, name, content=content))
    waiting = [(page.src_uri, page.content_string) for page in files.documentation_pages()]
    while waiting:
        source, text = waiting.pop()
        for linked in linked_files(source, text):
            if files.get_file_from_path(place_of(linked)) is None:
                content = outside_page(linked)
                files.append(File.generated(config, place_of(linked), content=content))
                if isinstance(content, str):
                    waiting.append((place_of(linked), content))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point each link at the place that its file has in the site."""
    source = page.file.src_uri

    def placed(match: re.Match[str]) -> str:
        target = target_of(source, match[1])
        if not (ROOT / target).is_file():
            return match[1]  # left for MkDocs to warn of
        return posixpath.relpath(place_of(target), posixpath.dirname(source) or ".")

    parts = FENCED.split(markdown)
    return "".join(part if FENCED.match(part) else LINK.sub(placed, part) for part in parts)


def repository_path(source: str) -> str:
    """Path in the repository of a page, from its path in the site."""
    inside = f"{OUTSIDE}/"
    return source.removeprefix(inside) if source.startswith(inside) else f"docs/{source}"


def place_of(path: str) -> str:
    """Path in the site of a file, from its path in the repository; all but pictures become pages."""
    if path.startswith("docs/"):
        return re.sub(r"\.ipynb$", ".md", path.removeprefix("docs/"))
    return f"{OUTSIDE}/{path}" if path.endswith((".md", *PICTURES)) else f"{OUTSIDE}/{path}.md"


def target_of(source: str, link: str) -> str:
    """Path in the repository that a link of a page leads to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(source)), link))


def linked_files(source: str, text: str) -> Iterator[str]:
    """Paths in the repository, outside of `docs/`, of files that a page links to."""
    for part in FENCED.split(text):
        for link in [] if FENCED.match(part) else LINK.findall(part):
            target = target_of(source, link)
            if not target.startswith(("docs/", "../")) and (ROOT / target).is_file():
                yield target


def outside_page(path: str) -> str | bytes:
    """Content of a file outside of `docs/`: Markdown or a picture as it is, other text as a block of code."""
    if path.endswith(PICTURES):
        return (ROOT / path).read_bytes()
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".md"):
        return text
    language = {".py": "python", ".yaml": "yaml", ".cfg": "ini", ".sh": "bash"}.get(PurePosixPath(path).suffix, "text")
    return f"{UNSEARCHED}# `{path}`\n\n~~~~~~{language}\n{text}\n~~~~~~\n"


def notebook_pages(path: Path) -> dict[str, str | bytes]:
    """Page and pictures of a notebook, by their path in the site; with its outputs where it was executed."""
    place = place_of(path.relative_to(ROOT).as_posix())
    executed = EXECUTED / path.name
    notebook = nbformat.read(executed if executed.is_file() else path, as_version=4)
    pictures = f"{path.stem}-outputs"
    markdown, resources = MarkdownExporter().from_notebook_node(notebook, {"output_files_dir": pictures})
    markdown = markdown.replace("```python\n%%bash\n", "```bash\n")
    beside = PurePosixPath(place).parent
    outputs = {str(beside / name): content for name, content in resources.get("outputs", {}).items()}
    return {place: markdown, **outputs}
