"""The control API's own manners, the options and the names."""

import datetime as dt
from typing import Any

import httpx
import pytest

from scripts.emulator.formats import SEOUL, without_offset
from scripts.emulator.options import Options, read_options
from scripts.emulator.payment import Payment
from tests.emulator.conftest import Play, Start, until
from tests.support import OLDER_SECURITY_KEY, SECRET_KEY, SECURITY_KEY

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("payments", {"amount": 1}, "orderId: Field required"),
        ("payments", {"orderId": "ord-000001", "amount": 0}, "amount: "),
        ("payments", {"orderId": "ord-000001", "amount": 1.5}, "KRW has no cents"),
        ("payments", {"orderId": "ord-000001", "amount": 1, "method": "CASH"}, "method: "),
        ("payments", {"orderId": "ord-000001", "amount": 1, "metod": "CARD"}, "metod: Extra inputs"),
        ("payments", {"orderId": "ord-000001", "amount": 1, "refuseWith": "no"}, "error code of Toss"),
        ("payments", [], "body: "),
        ("webhooks", {"url": "ftp://example.test/"}, "should be a URL"),
        ("webhooks", {"url": "http://example.test:99999/"}, "url: "),
        ("faults", {"path_prefix": "/emulator"}, "path"),
        ("events", {}, "body or text"),
    ],
)
async def test_a_bad_request_says_what_is_wrong(play: Play, path: str, body: Any, said: str) -> None:
    assert said in (await play.do(path, body, status=400))["error"]


async def test_what_is_no_json_is_said(play: Play) -> None:
    answer = await play.http.post("/emulator/payments", content=b"{")
    assert (answer.status_code, "not JSON" in answer.json()["error"]) == (400, True)


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("192.0.2.1", 403), ("testclient", 403)],
)
async def test_the_control_api_is_for_this_machine(play: Play, address: str, status: int) -> None:
    transport = httpx.ASGITransport(play.emulator.app, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://toss.test") as http:
        assert (await http.get("/emulator")).status_code == status


@pytest.mark.parametrize(("origin", "status"), [("http://toss.test", 200), ("https://elsewhere.test", 403)])
async def test_a_page_of_another_site_plays_no_story(play: Play, origin: str, status: int) -> None:
    answer = await play.http.post("/emulator/reset", headers={"origin": origin})
    assert answer.status_code == status


async def test_reset_forgets_all_but_the_command_line(play: Play) -> None:
    before = await play.see("")
    made = await play.pay()
    await play.confirm(made)
    await play.told(1)
    await play.do("webhooks", {"url": "http://another.test/"})
    await play.do("faults", {"status": 500, "path_prefix": "/v1/settlements"})
    await play.do("webhooks/suppress")
    assert (await play.see(""))["transactions"] == 1
    assert await play.do("reset") == before
    assert (await play.api("GET", f"payments/{made['paymentKey']}")).status_code == 404
    again = await play.pay()
    assert again["paymentKey"] != made["paymentKey"]
    await play.step(again, "approve")
    await play.told(1)


async def test_a_seed_gives_the_same_names_again(start: Start) -> None:
    plays = [start(seed=7), start(seed=7), start(seed=8)]
    made = [(await play.confirm(await play.pay())).json() for play in plays]
    names = [(payment["paymentKey"], payment["secret"], payment["lastTransactionKey"]) for payment in made]
    assert names[0] == names[1] != names[2]


async def test_a_payment_that_nobody_confirms_expires(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.emulator.merchant.CONFIRM_SECONDS", 0.0)
    made = await play.pay()
    await until(lambda: bool(play.receiver.requests))
    (request,) = await play.told(1)
    assert b'"status":"EXPIRED"' in request.content
    assert (await play.api("GET", f"payments/{made['paymentKey']}")).json()["status"] == "EXPIRED"


def test_created_at_drops_trailing_zeros() -> None:
    moment = dt.datetime(2026, 3, 14, 10, 21, 8, 405120, SEOUL)
    assert without_offset(moment) == "2026-03-14T10:21:08.40512"
    assert without_offset(moment.replace(microsecond=0)) == "2026-03-14T10:21:08"
    assert without_offset(moment.replace(second=10, microsecond=0)) == "2026-03-14T10:21:10"


def options(arguments: str, **environment: str) -> Options:
    return read_options(arguments.split(), environment)


def test_options_come_from_the_command_line_and_the_environment() -> None:
    chosen = options(
        "--port 0 --webhook-url http://a.test/x --webhook-url https://b.test --minute-seconds 0.05 --seed 3",
        TOSS_SECRET_KEY=f"{SECRET_KEY}, test_gsk_b",
        TOSS_SECURITY_KEY=f"{SECURITY_KEY},{OLDER_SECURITY_KEY}",
    )
    assert list(chosen.secret_keys) == [SECRET_KEY, "test_gsk_b"]
    assert list(chosen.security_keys) == [SECURITY_KEY, OLDER_SECURITY_KEY]
    assert list(chosen.webhook_urls) == ["http://a.test/x", "https://b.test"]
    assert (chosen.minute_seconds, chosen.seed, chosen.requests_per_minute) == (0.05, 3, 100)
    assert SECRET_KEY not in repr(chosen)
    given = options(f"--secret-key test_sk_c --security-key {SECURITY_KEY}", TOSS_SECRET_KEY=SECRET_KEY)
    assert list(given.secret_keys) == ["test_sk_c"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "no secret key"),
        ("--secret-key test_ck_browser", "should look like test_sk_"),
        ("--secret-key test_sk_a --security-key abc", "64 hex digits"),
        ("--secret-key test_sk_a --port 70000", "should be a port"),
        ("--secret-key test_sk_a --webhook-url example.test", "should be a URL"),
        ("--secret-key test_sk_a --minute-seconds 0", "seconds above 0"),
        ("--secret-key test_sk_a --minute-seconds nan", "seconds above 0"),
        ("--secret-key test_sk_a --requests-per-minute -1", "whole number"),
    ],
)
def test_bad_options_say_what_is_wrong(arguments: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        options(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_a_payment_does_not_show_its_secret() -> None:
    assert not Payment.__dataclass_fields__["secret"].repr
