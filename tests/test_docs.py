"""The generated pages of docs/ are what the code says today."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["cli.md", "metrics.md", "policies.md", "raptor.schema.json"])
def test_the_page_is_current(generator, name):
    assert generator.PAGES[name]() == (DOCS / name).read_text("utf-8"), "run: python docs/generate.py"


def test_each_link_between_the_documents_leads_somewhere():
    root = DOCS.parent
    areas = ("docs", "deploy", "grafana")
    pages = [root / "README.md", *(page for area in areas for page in root.glob(f"{area}/**/*.md"))]
    links = [(page, link) for page in pages for link in LINK.findall(page.read_text("utf-8"))]
    missing = [
        f"{page.relative_to(root)}: {link}"
        for page, link in links
        if "://" not in link and not (page.parent / link).exists()
    ]
    assert links
    assert missing == []
