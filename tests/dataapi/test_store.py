"""The store against a Data API that fails in every way: PostgreSQL's errors, PostgREST's, a gateway's, no answer."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import respx
from prometheus_client import REGISTRY

from supatoss.errors import Reason, SchemaMismatch, StoreError, StoreKeyRefused, StoreRefused, StoreUnavailable
from supatoss.store import Store
from supatoss.store import client as store_module
from supatoss.store.client import read_row
from supatoss.store.keys import key_headers
from supatoss.store.recording import RecordedEvent
from supatoss.store.schema import RELOAD, SCHEMA_VERSION, sentence
from supatoss.telemetry import STORE_CALLS

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("on_respx")]

URL = "https://abcdefgh.supabase.co"
RECORD = f"{URL}/rest/v1/rpc/record_webhook_events_v1"
VERSION = f"{URL}/rest/v1/rpc/supatoss_schema_version"
KEY = "sb_secret_made_up_for_tests"

RECORDS: list[dict[str, Any]] = [
    {"event_key": "a" * 64, "payload": '{"orderName":"가상 상품"}', "change": {"amount": "12.5"}},
    {"event_key": "b" * 64, "payload": "{}", "change": None},
]
ROWS: list[dict[str, Any]] = [
    {"event_key": "a" * 64, "id": "id-1", "outcome": "created", "status": "processed", "reason": None},
    {"event_key": "b" * 64, "id": "id-2", "outcome": "duplicate", "status": "failed", "reason": "amount_mismatch"},
]


def answer(status: int, body: object) -> httpx.Response:
    return httpx.Response(status, json=body)


def postgres_error(status: int, code: str, message: str = "value hidden of row") -> httpx.Response:
    return answer(status, {"code": code, "message": message, "details": "Key (hidden)", "hint": "hidden"})


@pytest.fixture(scope="module", params=[False, True], ids=["service", "command"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """That of the service, and that of commands."""
    opened = Store.open(
        URL, KEY, 3.0, on_call=lambda *labels: STORE_CALLS.labels(*labels).inc(), is_brief=request.param
    )
    yield opened
    await opened.close()


@pytest.fixture
def api() -> Any:
    with respx.mock(assert_all_called=False) as router:
        yield router


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that the store would have waited between its tries."""
    waited: list[float] = []

    class Clockless:
        Lock = asyncio.Lock
        timeout = staticmethod(asyncio.timeout)

        @staticmethod
        async def sleep(seconds: float) -> None:
            waited.append(seconds)

    monkeypatch.setattr(store_module, "asyncio", Clockless)
    return waited


def counted(call: str, outcome: str) -> float:
    labels = {"call": call, "outcome": outcome}
    return REGISTRY.get_sample_value("supatoss_store_calls_total", labels) or 0


class TestAnswers:
    async def test_of_recording_are_one_result_a_record_in_order(self, store: Store, api: respx.MockRouter) -> None:
        route = api.post(RECORD).mock(return_value=answer(200, ROWS))
        before = counted("record_webhook_events_v1", "ok")
        assert await store.record_webhook_events(RECORDS) == [
            RecordedEvent("id-1", "a" * 64, "created", "processed", None),
            RecordedEvent("id-2", "b" * 64, "duplicate", "failed", "amount_mismatch"),
        ]
        assert route.call_count == 1
        assert counted("record_webhook_events_v1", "ok") == before + 1

    async def test_are_asked_for_with_the_secret_key_and_the_records_as_they_are(
        self, store: Store, api: respx.MockRouter
    ) -> None:
        route = api.post(RECORD).mock(return_value=answer(200, ROWS))
        await store.record_webhook_events(RECORDS)
        request = route.calls.last.request
        (text,) = json.loads(request.content).values()
        assert json.loads(text) == RECORDS
        assert request.headers["apikey"] == KEY
        assert request.extensions["timeout"] == {"connect": 2.0, "read": 3.0, "write": 3.0, "pool": 3.0}

    async def test_leave_no_cookie(self, store: Store, api: respx.MockRouter) -> None:
        """One that isn't ASCII would make each further call fail."""
        route = api.post(VERSION).mock(
            side_effect=lambda _: httpx.Response(
                200, json=7, headers=[(b"set-cookie", "쿠키=값".encode()), (b"set-cookie", b"a=b")]
            )
        )
        for _ in range(2):
            assert await store.schema_version() == 7
        assert "cookie" not in route.calls.last.request.headers

    async def test_that_lead_elsewhere_are_not_followed_with_the_key(self, store: Store, api: respx.MockRouter) -> None:
        elsewhere = api.route(host="elsewhere.example").mock(return_value=answer(200, ROWS))
        api.post(RECORD).mock(return_value=httpx.Response(307, headers={"location": "https://elsewhere.example/"}))
        with pytest.raises(StoreError):
            await store.record_webhook_events(RECORDS)
        assert not elsewhere.called

    async def test_of_nothing_are_nothing(self, store: Store, api: respx.MockRouter) -> None:
        api.post(RECORD).mock(return_value=answer(200, []))
        assert await store.record_webhook_events([]) == []

    async def test_of_the_schema_are_its_version(self, store: Store, api: respx.MockRouter) -> None:
        route = api.post(VERSION).mock(return_value=answer(200, 7))
        assert await store.schema_version() == 7
        assert route.call_count == 1

    async def test_fields_that_a_later_migration_adds_pass(self, store: Store, api: respx.MockRouter) -> None:
        api.post(RECORD).mock(return_value=answer(200, [{**ROWS[0], "new": 1}]))
        assert len(await store.record_webhook_events(RECORDS[:1])) == 1


NO_ANSWER = "no answer from the Data API"
AWAY: list[tuple[str, Exception | httpx.Response, str]] = [
    ("connection refused", httpx.ConnectError("hidden"), f"{NO_ANSWER}: no connection to SUPABASE_URL"),
    (
        "connecting too slow",
        httpx.ConnectTimeout("hidden"),
        f"{NO_ANSWER}: no connection to SUPABASE_URL in time",
    ),
    (
        "answer too slow",
        httpx.ReadTimeout("hidden"),
        f"{NO_ANSWER}: SUPABASE_URL took too long to answer",
    ),
    (
        "sending too slow",
        httpx.WriteTimeout("hidden"),
        f"{NO_ANSWER}: SUPABASE_URL took too long to take the request",
    ),
    (
        "all connections busy",
        httpx.PoolTimeout("hidden"),
        f"{NO_ANSWER}: no free connection to SUPABASE_URL",
    ),
    (
        "cut off",
        httpx.RemoteProtocolError("hidden"),
        f"{NO_ANSWER}: what SUPABASE_URL sent broke off, or is no HTTP",
    ),
    ("reset", httpx.ReadError("hidden"), f"{NO_ANSWER}: the connection to SUPABASE_URL broke off"),
    (
        "damaged",
        httpx.DecodingError("hidden"),
        f"{NO_ANSWER}: what SUPABASE_URL sent can't be decompressed",
    ),
    ("serialization", postgres_error(500, "40001"), "the database is busy or unavailable: SQLSTATE 40001"),
    ("deadlock", postgres_error(500, "40P01"), "the database is busy or unavailable: SQLSTATE 40P01"),
    ("connection lost", postgres_error(503, "08006"), "the database is busy or unavailable: SQLSTATE 08006"),
    ("disk full", postgres_error(503, "53100"), "the database's disk is full: SQLSTATE 53100"),
    ("too many connections", postgres_error(503, "53300"), "the database has no free connection: SQLSTATE 53300"),
    ("lock not available", postgres_error(500, "55P03"), "the database is busy or unavailable: SQLSTATE 55P03"),
    ("statement timeout", postgres_error(500, "57014"), "the database is busy or unavailable: SQLSTATE 57014"),
    (
        "read-only",
        postgres_error(405, "25006"),
        "the database is read-only (its disk is full, or it is failing over): SQLSTATE 25006",
    ),
    (
        "a certificate of somebody else",
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] hidden"),
        f"{NO_ANSWER}: its certificate is not trusted: is a proxy before SUPABASE_URL?",
    ),
    ("idle in its transaction", postgres_error(500, "25P03"), "the database is busy or unavailable: SQLSTATE 25P03"),
    ("transaction time-out", postgres_error(500, "25P04"), "the database is busy or unavailable: SQLSTATE 25P04"),
    ("shutting down", postgres_error(503, "57P01"), "the database is busy or unavailable: SQLSTATE 57P01"),
    (
        "catalog race",
        postgres_error(500, "XX000", "tuple concurrently updated"),
        "the database is busy or unavailable: SQLSTATE XX000",
    ),
    ("no connection", postgres_error(503, "PGRST000"), "the Data API is unavailable: PGRST000"),
    ("no database", postgres_error(503, "PGRST001"), "the Data API is unavailable: PGRST001"),
    ("no schema cache", postgres_error(503, "PGRST002"), "the Data API is unavailable: PGRST002"),
    ("pool exhausted", postgres_error(504, "PGRST003"), "the Data API is unavailable: PGRST003"),
    ("gateway's page", httpx.Response(502, html="<h1>502 hidden</h1>"), "the Data API is unavailable: HTTP 502"),
    (
        "paused project",
        httpx.Response(540, html="hidden"),
        "the Data API is unavailable: HTTP 540 (the project is paused)",
    ),
    ("empty 503", httpx.Response(503), "the Data API is unavailable: HTTP 503"),
    ("too many requests", httpx.Response(429, text="hidden"), "the Data API is unavailable: HTTP 429"),
    ("status as code", answer(503, {"code": 503, "message": "hidden"}), "the Data API is unavailable: HTTP 503"),
    (
        "gateway's JSON",
        answer(502, {"message": "An invalid response was received from the upstream server"}),
        "the gateway before the Data API answers with HTTP 502",
    ),
    (
        "gateway's JSON 429",
        answer(429, {"message": "API rate limit exceeded"}),
        "the gateway before the Data API answers with HTTP 429",
    ),
]
KEY_REFUSED: list[tuple[str, Exception | httpx.Response, str]] = [
    (name, response, "the gateway before the Data API does not accept the key: HTTP 401")
    for name, response in (
        ("invalid API key", answer(401, {"message": "Invalid API key", "hint": "hidden"})),
        ("no API key", answer(401, {"message": "No API key found in request"})),
        ("key refused by Kong", answer(401, {"message": "Invalid authentication credentials"})),
        ("status 401 as code", answer(401, {"code": 401, "message": "hidden"})),
        ("empty 401", httpx.Response(401)),
        ("gateway's page 401", httpx.Response(401, html="<h1>hidden</h1>")),
    )
]
AWAY += KEY_REFUSED
REFUSED: list[tuple[str, Exception | httpx.Response, str]] = [
    ("token refused", postgres_error(401, "PGRST301"), "PGRST301"),
    ("no grant for anon", postgres_error(401, "42501"), "SQLSTATE 42501"),
    ("blocked by a firewall", httpx.Response(403, text="hidden"), "403"),
    ("no grant", postgres_error(403, "42501"), "SQLSTATE 42501"),
    ("a constraint", postgres_error(409, "23505"), "SQLSTATE 23505"),
    ("not JSON for the database", postgres_error(400, "22P02"), "SQLSTATE 22P02"),
    ("another internal error", postgres_error(500, "XX000", "hidden"), "SQLSTATE XX000"),
    ("raised by us", postgres_error(400, "P0001"), "SQLSTATE P0001"),
    ("too large for the gateway", httpx.Response(413, text="hidden"), "413"),
]


class TestFailures:
    @pytest.mark.parametrize(("name", "failure", "message"), AWAY, ids=[case[0] for case in AWAY])
    async def test_that_may_pass_are_tried_once_more_and_then_unavailable(
        self, store: Store, api: respx.MockRouter, pauses: list[float], name: str, failure: Any, message: str
    ) -> None:
        route = api.post(RECORD).mock(side_effect=[failure, failure, failure])
        before = counted("record_webhook_events_v1", "unavailable")
        with pytest.raises(StoreUnavailable) as caught:
            await store.record_webhook_events(RECORDS)
        assert str(caught.value) == message, name
        assert caught.value.reason is Reason.STORE_UNAVAILABLE
        assert caught.value.retry_can_help
        assert route.call_count == 2
        assert len(pauses) == 1
        assert 0.02 <= pauses[0] <= 0.1
        assert counted("record_webhook_events_v1", "unavailable") == before + 1

    @pytest.mark.parametrize(("name", "failure", "message"), AWAY, ids=[case[0] for case in AWAY])
    async def test_that_pass_are_not_noticed(
        self, store: Store, api: respx.MockRouter, name: str, failure: Any, message: str
    ) -> None:
        route = api.post(RECORD).mock(side_effect=[failure, answer(200, ROWS)])
        before = counted("record_webhook_events_v1", "unavailable")
        assert len(await store.record_webhook_events(RECORDS)) == 2, (name, message)
        assert route.call_count == 2
        assert len({call.request.content for call in route.calls}) == 1
        assert counted("record_webhook_events_v1", "unavailable") == before

    @pytest.mark.parametrize(("name", "failure", "message"), REFUSED, ids=[case[0] for case in REFUSED])
    async def test_that_will_not_pass_are_refused_at_once(
        self, store: Store, api: respx.MockRouter, pauses: list[float], name: str, failure: Any, message: str
    ) -> None:
        route = api.post(RECORD).mock(side_effect=[failure, answer(200, ROWS)])
        before = counted("record_webhook_events_v1", "refused")
        with pytest.raises(StoreRefused) as caught:
            await store.record_webhook_events(RECORDS)
        asked = "the database refuses the call" if "SQLSTATE" in message else "the Data API refuses the call"
        assert str(caught.value) == f"{asked}: {message}", name
        assert caught.value.reason is Reason.STORE_REFUSED
        assert not caught.value.retry_can_help
        assert route.call_count == 1
        assert pauses == []
        assert counted("record_webhook_events_v1", "refused") == before + 1

    @pytest.mark.parametrize(("name", "failure", "message"), KEY_REFUSED, ids=[case[0] for case in KEY_REFUSED])
    async def test_of_the_key_at_the_gateway_say_so(
        self, store: Store, api: respx.MockRouter, name: str, failure: Any, message: str
    ) -> None:
        api.post(RECORD).mock(side_effect=[failure, failure])
        with pytest.raises(StoreKeyRefused) as caught:
            await store.record_webhook_events(RECORDS)
        assert str(caught.value) == message, name

    async def test_that_turn_into_a_refusal_are_refused(self, store: Store, api: respx.MockRouter) -> None:
        api.post(RECORD).mock(side_effect=[httpx.ReadTimeout("hidden"), postgres_error(403, "42501")])
        with pytest.raises(StoreRefused, match="SQLSTATE 42501"):
            await store.record_webhook_events(RECORDS)

    @pytest.mark.parametrize(("name", "failure", "message"), AWAY + REFUSED, ids=[case[0] for case in AWAY + REFUSED])
    async def test_of_the_schema_check_are_not_tried_again(
        self, store: Store, api: respx.MockRouter, pauses: list[float], name: str, failure: Any, message: str
    ) -> None:
        route = api.post(VERSION).mock(side_effect=[failure, failure])
        with pytest.raises(StoreError) as caught:
            await store.schema_version()
        assert str(caught.value).endswith(message), name
        assert "hidden" not in str(caught.value)
        assert (route.call_count, pauses) == (1, [])

    @pytest.mark.parametrize(
        "body",
        [
            {"code": "23505", "message": "hidden", "details": {"row": ["hidden"]}, "hint": None},
            {"code": None, "message": None},
            {"message": "hidden"},
            {"message": 5, "code": []},
            {"error": "hidden"},
            {},
            [],
            "hidden",
            None,
            5,
        ],
        ids=repr,
    )
    @pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502, 503])
    async def test_of_any_form_are_ours_and_show_nothing(
        self, store: Store, api: respx.MockRouter, status: int, body: object
    ) -> None:
        api.post(RECORD).mock(return_value=answer(status, body))
        with pytest.raises(StoreError) as caught:
            await store.record_webhook_events(RECORDS)
        assert "hidden" not in str(caught.value)


MISSING = [postgres_error(404, "PGRST202"), postgres_error(404, "42883"), postgres_error(404, "42P01")]


class TestAnotherSchema:
    """A call that fails because the database is older or newer says so, with both versions and the remedy."""

    @pytest.mark.parametrize(
        ("version", "message"),
        [
            (answer(200, SCHEMA_VERSION - 1), sentence(SCHEMA_VERSION - 1)),
            (answer(200, SCHEMA_VERSION + 1), sentence(SCHEMA_VERSION + 1)),
            (MISSING[0], sentence(None)),
            (MISSING[1], sentence(None)),
        ],
    )
    @pytest.mark.parametrize("failure", MISSING)
    async def test_is_named_with_both_versions(
        self, api: respx.MockRouter, failure: httpx.Response, version: httpx.Response, message: str
    ) -> None:
        api.post(RECORD).mock(return_value=failure)
        look = api.post(VERSION).mock(return_value=version)
        async with Store.open(URL, KEY, 3.0) as store:
            together = [store.record_webhook_events(RECORDS) for _ in range(20)]
            problems = await asyncio.gather(*together, return_exceptions=True)
            assert {(type(problem), str(problem)) for problem in problems} == {(SchemaMismatch, message)}
        assert str(SCHEMA_VERSION) in message
        assert look.call_count == 1  # not one for each delivery that fails

    @pytest.mark.parametrize("version", [answer(200, SCHEMA_VERSION), httpx.Response(503)])
    async def test_is_not_blamed_where_the_version_is_right_or_unknown(
        self, api: respx.MockRouter, version: httpx.Response
    ) -> None:
        api.post(VERSION).mock(return_value=version)
        messages = []
        async with Store.open(URL, KEY, 3.0) as store:
            for failure in MISSING:
                api.post(RECORD).mock(return_value=failure)
                with pytest.raises(StoreRefused) as caught:
                    await store.record_webhook_events(RECORDS)
                messages.append(str(caught.value))
        assert messages == [
            f"the Data API does not know a function of this release: {RELOAD}",
            "the database refuses the call: SQLSTATE 42883",
            "the database refuses the call: SQLSTATE 42P01",
        ]

    async def test_is_not_one_where_it_is_asked_for_its_version(self, store: Store, api: respx.MockRouter) -> None:
        route = api.post(VERSION).mock(return_value=MISSING[0])
        with pytest.raises(SchemaMismatch, match="has no schema of supatoss"):
            await store.schema_version()
        assert route.call_count == 1


@pytest.mark.parametrize(
    ("response", "what"),
    [
        (httpx.Response(404, html="<h1>hidden</h1>"), "HTTP 404"),
        (answer(404, {"message": "no Route matched with those values"}), "HTTP 404"),
        (httpx.Response(405, html="<h1>hidden</h1>"), "HTTP 405"),
        (httpx.Response(301, headers={"location": "https://hidden.test"}), "HTTP 301"),
        (httpx.Response(200, html="<h1>hidden</h1>"), "it answers with a web page"),
    ],
)
async def test_a_wrong_address_blames_the_address_and_not_the_key(
    store: Store, api: respx.MockRouter, response: httpx.Response, what: str
) -> None:
    for url, call in ((RECORD, store.record_webhook_events(RECORDS)), (VERSION, store.schema_version())):
        api.post(url).mock(return_value=response)
        with pytest.raises(StoreRefused) as caught:
            await call
        assert str(caught.value) == f"what answers at SUPABASE_URL is not a Supabase project: {what}"
        assert "SUPABASE_URL" in (caught.value.remedy or "")
        assert "KEY" not in (caught.value.remedy or "")


class TestUnexpectedAnswers:
    @pytest.mark.parametrize(
        "body",
        [
            "null",
            "5",
            '"text"',
            '{"event_key":"a"}',
            "[null,null]",
            "[5,5]",
            "[[],[]]",
            '["text","text"]',
            "[{},{}]",
            json.dumps([{name: value for name, value in row.items() if name != "id"} for row in ROWS]),
        ],
    )
    async def test_in_another_form_are_refused(self, store: Store, api: respx.MockRouter, body: str) -> None:
        api.post(RECORD).mock(return_value=httpx.Response(200, content=body))
        with pytest.raises(StoreRefused, match=r"^record_webhook_events_v1 answered in an unexpected form$"):
            await store.record_webhook_events(RECORDS)

    @pytest.mark.parametrize(
        "rows",
        [
            [],
            {},
            ROWS[:1],
            ROWS[::-1],
            [*ROWS, ROWS[0]],
            [ROWS[0], ROWS[0]],
            [{**ROWS[0], "event_key": "hidden"}, ROWS[1]],
            [{**ROWS[0], "event_key": None}, ROWS[1]],
        ],
    )
    async def test_for_other_events_are_refused(self, store: Store, api: respx.MockRouter, rows: Any) -> None:
        route = api.post(RECORD).mock(return_value=answer(200, rows))
        with pytest.raises(StoreRefused, match=r"^record_webhook_events_v1 answered for other events than were sent$"):
            await store.record_webhook_events(RECORDS)
        assert route.call_count == 1

    @pytest.mark.parametrize(
        "response",
        [
            httpx.Response(200, html="<h1>hidden</h1>"),
            httpx.Response(200, content=b'[{"id":"hidden"'),
            httpx.Response(200, content=b"\xff\xfe\x80"),
            httpx.Response(200),
            httpx.Response(204),
        ],
        ids=["page", "cut off", "not UTF-8", "empty", "no content"],
    )
    async def test_that_are_not_json_are_ours_and_show_nothing(
        self, store: Store, api: respx.MockRouter, response: httpx.Response
    ) -> None:
        api.post(RECORD).mock(return_value=response)
        with pytest.raises(StoreError) as caught:
            await store.record_webhook_events(RECORDS)
        assert "hidden" not in str(caught.value)

    @pytest.mark.parametrize("status", [301, 302, 307, 308])
    async def test_that_send_elsewhere_are_not_followed(self, store: Store, api: respx.MockRouter, status: int) -> None:
        elsewhere = api.post("https://elsewhere.example/").mock(return_value=answer(200, ROWS))
        api.post(RECORD).mock(return_value=httpx.Response(status, headers={"location": "https://elsewhere.example/"}))
        with pytest.raises(StoreError):
            await store.record_webhook_events(RECORDS)
        assert elsewhere.call_count == 0

    @pytest.mark.parametrize("body", [None, "1", 1.5, [1], {"version": 1}, []])
    async def test_of_a_schema_that_is_no_number_are_refused(
        self, store: Store, api: respx.MockRouter, body: object
    ) -> None:
        api.post(VERSION).mock(return_value=answer(200, body))
        with pytest.raises(StoreRefused, match=r"^supatoss_schema_version answered in an unexpected form$"):
            await store.schema_version()


LEGACY_KEY = "eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.made-up"
SECRET_KEYS = {KEY: None, "sb_secret_a.b.c": None, "made-up": None, LEGACY_KEY: f"Bearer {LEGACY_KEY}"}


@pytest.mark.parametrize(("key", "authorization"), SECRET_KEYS.items())
async def test_only_a_legacy_key_is_a_bearer_token(api: respx.MockRouter, key: str, authorization: str | None) -> None:
    store = Store.open(URL, key, 3.0)
    api.post(VERSION).mock(return_value=answer(200, 7))
    api.post(RECORD).mock(side_effect=[httpx.Response(503), answer(200, ROWS)])
    await store.schema_version()
    await store.record_webhook_events(RECORDS)
    sent = [(call.request.headers["apikey"], call.request.headers.get("authorization")) for call in api.calls]
    assert sent == [(key, authorization)] * 3
    assert key_headers(key) == {"apikey": key, **({"authorization": authorization} if authorization else {})}
    await store.close()


def token(claims: str) -> str:
    return f"eyJhbGciOiJIUzI1NiJ9.{base64.urlsafe_b64encode(claims.encode()).decode().rstrip('=')}.made-up"


SERVICE_TOKEN = token('{"role": "supatoss_service"}')


@pytest.mark.parametrize(
    ("key", "publishable_key", "apikey"),
    [
        (SERVICE_TOKEN, "sb_publishable_x", "sb_publishable_x"),
        (SERVICE_TOKEN, None, SERVICE_TOKEN),
        (LEGACY_KEY, "sb_publishable_x", LEGACY_KEY),
        (token("[]"), "sb_publishable_x", token("[]")),
    ],
)
async def test_the_gateway_gets_the_publishable_key_beside_a_token_of_our_role(
    api: respx.MockRouter, key: str, publishable_key: str | None, apikey: str
) -> None:
    store = Store.open(URL, key, 3.0, publishable_key)
    api.post(VERSION).mock(return_value=answer(200, 7))
    await store.schema_version()
    (sent,) = (call.request.headers for call in api.calls)
    assert (sent["apikey"], sent["authorization"]) == (apikey, f"Bearer {key}")
    assert sent.get_list("apikey") == [apikey]
    await store.close()


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch, api: respx.MockRouter) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    store = Store.open(URL, KEY, 3.0)
    api.post(VERSION).mock(return_value=answer(200, 1))
    assert await store.schema_version() == 1
    assert store._http._mounts == {}
    await store.close()
    assert store._http.is_closed


async def test_a_shorter_time_out_also_holds_for_connecting(api: respx.MockRouter) -> None:
    store = Store.open(URL, KEY, 0.5)
    route = api.post(VERSION).mock(return_value=answer(200, 1))
    await store.schema_version()
    assert set(route.calls.last.request.extensions["timeout"].values()) == {0.5}
    await store.close()


async def test_a_call_that_is_given_up_is_not_tried_again(store: Store, api: respx.MockRouter) -> None:
    calls = 0

    async def never(_request: httpx.Request) -> httpx.Response:
        nonlocal calls
        calls += 1
        await asyncio.Event().wait()
        raise AssertionError

    api.post(RECORD).mock(side_effect=never)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await store.record_webhook_events(RECORDS)
    assert calls == 1


async def test_a_call_has_a_limit_as_a_whole(api: respx.MockRouter) -> None:
    asked: list[int] = []

    async def never(_request: httpx.Request) -> httpx.Response:
        asked.append(1)
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    api.post(RECORD).mock(side_effect=never)
    store = Store.open(URL, KEY, 0.01)
    with pytest.raises(StoreUnavailable, match="took too long"):
        await store.record_webhook_events(RECORDS)
    assert len(asked) == 2
    await store.close()


async def test_a_missing_unique_key_is_told_by_name(store: Store, api: respx.MockRouter) -> None:
    api.post(f"{URL}/rest/v1/rpc/supatoss_check_write_v1").mock(return_value=postgres_error(400, "SUPA3"))
    with pytest.raises(StoreRefused, match=r"the unique key of webhook_events \(event_key\) is missing"):
        await store.check_write()


@dataclass(frozen=True)
class _Known:
    id: str
    reason: str | None = None


def test_a_row_of_the_next_schema_may_have_more_keys_but_not_fewer() -> None:
    assert read_row(_Known, {"id": "a", "added_later": 1}) == _Known("a")
    with pytest.raises(TypeError):
        read_row(_Known, {"reason": "b"})
