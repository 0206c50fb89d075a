"""Setting a difference aside on the page of reconciliations."""

import json
from typing import Any

import pytest

from supatoss.store.client import Function
from tests.unit.fakes import LogLines
from tests.unit.ops.office import ADDRESS, Office, token_of
from tests.unit.ops.test_pages import FINDING

pytestmark = pytest.mark.anyio

PAGE = "/ops/reconciliations"
ACTION = f"{PAGE}/{FINDING['id']}/ignore"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def office() -> Office:
    office = Office()
    await office.sign_in()
    office.store.answers[Function.OPS_RECONCILIATIONS] |= {"findings": [FINDING], "open": 1}
    office.store.answers[Function.IGNORE_FINDINGS] = {"findings": [FINDING], "has_more": False}
    return office


def asked(office: Office) -> list[dict[str, Any]]:
    """What the database was asked to set aside."""
    return [dict(arguments) for function, arguments in office.store.asked if function is Function.IGNORE_FINDINGS]


async def test_each_difference_has_a_form_that_asks_why(office: Office) -> None:
    page = await office.get(f"{PAGE}?day=2026-11-24")
    assert f'action="{ACTION}"' in page.text
    assert '<input type="hidden" name="day" value="2026-11-24">' in page.text
    lines = LogLines()
    fields = {"csrf": token_of(page), "reason": " paid by\r\nbank transfer ", "day": "2026-11-24"}
    response = await office.ask("POST", ACTION, data=fields)
    assert (response.status_code, response.headers["location"]) == (303, f"{PAGE}?day=2026-11-24")
    (arguments,) = asked(office)
    assert json.loads(arguments["wanted"]) == {"ids": [FINDING["id"]]}
    assert (arguments["reason"], arguments["dry_run"]) == ("paid by\nbank transfer", False)
    assert (arguments["actor"], arguments["address"]) == ("operator", ADDRESS)
    told = json.loads(lines.text())
    assert (told["event"], told["outcome"], told["operator"]) == ("difference ignored", "ignored", "operator")
    assert "notice--good" in (await office.get(PAGE)).text


async def test_one_that_is_not_open_any_more_is_said(office: Office) -> None:
    office.store.answers[Function.IGNORE_FINDINGS] = {"findings": [], "has_more": False}
    response = await office.post(ACTION, reason="because")
    assert response.headers["location"] == PAGE
    assert "This difference is not open any more" in (await office.get(PAGE)).text


@pytest.mark.parametrize("reason", ["", "  ", "x" * 501])
async def test_without_a_reason_nothing_happens(office: Office, reason: str) -> None:
    response = await office.post(ACTION, reason=reason)
    assert response.status_code == 422
    assert "Enter a reason of 1 to 500 characters." in response.text
    assert "<details open>" in response.text
    assert asked(office) == []


async def test_a_form_of_somebody_elses_page_does_nothing(office: Office) -> None:
    assert (await office.post(ACTION, reason="because", csrf="0" * 64)).status_code == 403
    assert (await office.post(ACTION, reason="because", day="24")).status_code == 404
    assert (await Office().post(ACTION, reason="because")).headers["location"].startswith("/ops/sign-in")
    assert asked(office) == []
