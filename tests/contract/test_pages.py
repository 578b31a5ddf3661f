"""The pages beside the site: `make docs` checks the links under docs/, this checks the files at the root."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

README_LINES = 180
"""Two screens and the tables: what is longer belongs on a page under docs/."""


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"])
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link names a file of the repository."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", (ROOT / name).read_text())
    missing = [link for link in links if "://" not in link and not (ROOT / link).exists()]
    assert not missing


def test_the_readme_stays_short() -> None:
    """It fits on two screens."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


def test_the_published_schemas_are_those_that_the_tests_use() -> None:
    """The site publishes the same files, not copies that drift."""
    for schema in (ROOT / "tests" / "contract" / "schemas").iterdir():
        assert (ROOT / "docs" / "schemas" / schema.name).resolve() == schema


def test_the_files_that_contributors_look_for_exist() -> None:
    """docs/contributing.md names only what exists, and lists every root module and folder."""
    page = (ROOT / "docs" / "contributing.md").read_text()
    named = re.findall(r"`((?:inspector|trainer|tests|deploy)/[\w./]*)`", page)
    assert [each for each in named if not (ROOT / each).exists()] == []
    listed = set(re.findall(r"`(\w+\.py)`", page))
    assert {path.name for path in (ROOT / "inspector").glob("[a-z]*.py")} <= listed
    folders = {
        path.parent.name for package in ("inspector", "trainer") for path in (ROOT / package).glob("*/*.py")
    }
    assert folders - set(re.findall(r"`(?:inspector/|trainer/)?(\w+)/?`", page)) == set()
