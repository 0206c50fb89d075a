"""The runbook on the page: every alert leads to its section, in both languages."""

import re

import pytest

from supatoss.alerts.rules import Rule
from supatoss.ops.i18n import Language
from supatoss.ops.runbook import read_runbook, render_runbook
from tests.unit.ops.office import Office

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("language", list(Language))
def test_every_rule_has_its_section(language: Language) -> None:
    runbook = read_runbook(language)
    assert {rule.value for rule in Rule} <= {section.id for section in runbook.sections}
    ids = re.findall(r' id="([^"]+)"', runbook.html)
    assert len(ids) == len(set(ids))
    assert runbook.title
    assert "<h1" not in runbook.html


@pytest.mark.parametrize("language", list(Language))
def test_no_link_leads_to_a_file_that_is_not_here(language: Language) -> None:
    links = re.findall(r'href="([^"]*)"', read_runbook(language).html)
    assert [link for link in links if not link.startswith(("#", "https://"))] == []
    assert "runbook.ko.md" not in read_runbook(language).html


def test_what_looks_like_html_is_text() -> None:
    html = render_runbook("# T\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) [y](a.md)").html
    assert "<script" not in html
    assert "href" not in html


async def test_it_is_shown_to_operators_in_their_language() -> None:
    office = Office()
    assert (await office.get("/ops/runbook")).status_code == 303
    await office.sign_in()
    page = await office.get("/ops/runbook", headers={"accept-language": "ko"})
    assert page.status_code == 200
    assert 'id="double_charge"' in page.text
    assert "장애 대응" in page.text
