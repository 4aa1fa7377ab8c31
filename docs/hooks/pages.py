"""What the build adds to the pages of this folder: generated ones, files of the repository, a look at the result."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))

from cards import method_pages
from listed import api_pages, components_page, errors_page

ROOT = Path(__file__).resolve().parents[2]
BROUGHT = {
    "README.md": "index.md",
    "registry/README.md": "registry.md",
    "benchmarks/README.md": "benchmarks.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
}
"""Files of the repository that are pages of the site, and where."""

_LINK = re.compile(r"(?P<text>\[[^\]]*\])\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_NAMED = re.compile(r"`(?P<path>[\w./-]+\.md)`")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*?\ssrc=["']?(?P<src>(?:https?:)?//[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\srel=["']?(?:stylesheet|icon|preload|preconnect|prefetch|dns-prefetch|modulepreload))"""
    r"""[^>]*?\shref=["']?(?P<href>(?:https?:)?//[^"'\s>]+)"""
    r"""|(?:url\(|@import\s+)["']?(?P<css>(?:https?:)?//[^"')\s;]+)""",
    re.IGNORECASE,
)


def on_files(files: Files, config: Any) -> Files:
    """Add what is generated and what lies elsewhere in the repository, and name in the navigation what it asks for."""
    pages = {**method_pages(), **api_pages(), "errors.md": errors_page(), "components.md": components_page()}
    pages["decisions/index.md"] = _decisions_page()
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
    for source, place in BROUGHT.items():
        files.append(File.generated(config, place, content=(ROOT / source).read_text("utf-8")))
    config.nav = _expanded(config.nav, sorted(file.src_uri for file in files.documentation_pages()))
    return files


def _expanded(item: Any, pages: list[str]) -> Any:
    """A part of the navigation with `FOLDER/*` as all pages of that folder, the one that lists them first."""
    if isinstance(item, dict):
        return {title: _expanded(below, pages) for title, below in item.items()}
    if isinstance(item, list):
        return [_expanded(each, pages) for each in item]
    if not item.endswith("/*"):
        return item
    own = [page for page in pages if page.startswith(item[:-1])]
    return sorted(own, key=lambda page: (not page.endswith("/index.md"), page.removesuffix(".md")))


def _decisions_page() -> str:
    lines = [f"- [{_title(path)}]({path.name})" for path in sorted((ROOT / "docs" / "decisions").glob("0*.md"))]
    return (
        "# Decisions\n\nWhere a paper leaves something open, or paper and released code part ways, a page says what "
        "was chosen and why.\n\n" + "\n".join(lines) + "\n"
    )


def _title(path: Path) -> str:
    return path.read_text("utf-8").partition("\n")[0].lstrip("# ")


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Have links of the repository lead to the site's pages; to what is no page, they become its name.

    Commands are shown as what is typed: without prompts, the lexer for consoles takes them for what was printed.
    """
    place, markdown = page.file.src_uri, markdown.replace("```console\n", "```bash\n")
    source = next((source for source, brought in BROUGHT.items() if brought == place), f"docs/{place}")

    def link(found: re.Match[str]) -> str:
        target, anchor = found["target"], found["anchor"] or ""
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        there = normpath(PurePosixPath(source).parent / target)
        to = _place_of(there)
        if files.get_file_from_path(to) is not None:
            return f"{found['text']}({relpath(to, PurePosixPath(place).parent)}{anchor})"
        if not (ROOT / there).exists():
            return found[0]  # the build says that it is broken
        return f"{found['text'][1:-1]} (`{there}`)" if there not in found["text"] else f"`{there}`"

    return _LINK.sub(link, _named(markdown, place, files) if place == "index.md" else markdown)


def on_page_content(html: str, page: Any, config: Any, files: Files) -> str:
    """Leave out what mkdocs-click shows of options without a default: click's own mark for that."""
    return html.replace("<code>Sentinel.UNSET</code>", "") if page.file.src_uri == "commands.md" else html


def _named(markdown: str, place: str, files: Files) -> str:
    """The README names files, since it is also shown where links to them lead nowhere: here they are links."""

    def link(found: re.Match[str]) -> str:
        page = files.get_file_from_path(_place_of(found["path"]))
        return found[0] if page is None else f"[{_first_heading(page) or found['path']}]({page.src_uri})"

    return _NAMED.sub(link, markdown)


def _first_heading(page: File) -> str:
    return next((line[2:] for line in page.content_string.splitlines() if line.startswith("# ")), "")


def _place_of(path: str) -> str:
    """Where a file of the repository stands in the site."""
    path = "docs/decisions/index.md" if path == "docs/decisions" else path
    return BROUGHT.get(path, path.removeprefix("docs/"))


def loaded_from_elsewhere(text: str) -> Iterator[str]:
    """What a page or a style would load from another host."""
    for found in _LOADED.finditer(text):
        yield found["src"] or found["href"] or found["css"]


def on_post_build(config: Any) -> None:
    """Refuse a site that would load anything from another host: it is read offline, and tells nobody so."""
    site = Path(config.site_dir)
    for path in sorted([*site.rglob("*.html"), *site.rglob("*.css")]):
        for address in loaded_from_elsewhere(path.read_text("utf-8")):
            raise PluginError(f"{path.relative_to(site)} loads {address}; wanted everything from the site itself")
