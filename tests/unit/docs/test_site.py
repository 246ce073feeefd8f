"""The documentation's site: it builds, and a link that leads nowhere fails the build."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.cli import missing

ROOT = Path(__file__).parents[3]
PAGES = sorted(ROOT.glob("docs/*.md"))


def build(site: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """Build the site of *config* into *site*, as `make docs` does."""
    if not find_spec("mkdocs"):
        missing("mkdocs: pip install -r requirements-docs.txt")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config)]
    return subprocess.run([*command, "-d", str(site)], capture_output=True, text=True)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page(site):
    """Each page of docs/ is on the site, and in its navigation."""
    start = (site / "index.html").read_text()
    for page in PAGES:
        assert (site / "docs" / page.stem / "index.html").exists()
        assert f'href="docs/{page.stem}/"' in start


def test_nothing_from_elsewhere(site):
    """The site loads no script, style or picture from another host."""
    pages = "".join(page.read_text() for page in site.rglob("*.html"))
    assert re.findall(r"<(?:script|img|link)[^>]+(?:src|href)=\"(?:https?:)?//[^\"]*", pages) == []


def test_broken_links(tmp_path):
    """A link to a page or a heading that does not exist fails the build."""
    folder = tmp_path / "pages"
    folder.mkdir()
    (folder / "other.md").write_text("# Other\n\n## There\n")
    nav = "nav: [index.md, other.md]"
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\ndocs_dir: {folder}\n{nav}\n")
    good = "# Start\n\n[That](other.md#there).\n"
    broken = ("nowhere.md", "other.md#nowhere", "#nowhere", "/absolute.md")
    (folder / "index.md").write_text(good + "".join(f"[This]({link})\n" for link in broken))
    failed = build(tmp_path / "site", config)
    assert failed.returncode == 1
    # Each of these lines alone fails a strict build.
    warnings = [line for line in failed.stderr.splitlines() if line.startswith("WARNING")]
    assert sorted(re.findall(r"link '(.*?)'", "\n".join(warnings))) == sorted(broken)
    (folder / "index.md").write_text(good)
    assert build(tmp_path / "site", config).returncode == 0


def test_make_docs():
    """`make docs` builds the site strictly, and not quietly, since that lets warnings pass."""
    (command,) = re.findall(r"mkdocs build[^#\n]*", (ROOT / "Makefile").read_text())
    assert command.split() == ["mkdocs", "build", "--strict"]


def test_links_stand_in_the_repositorys_layout():
    """docs-site has only links, to what stands beside it."""
    for path in (ROOT / "docs-site").iterdir():
        assert path.is_symlink()
        assert path.resolve() == ROOT / path.name
