import base64
import datetime as dt
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette

from supatoss.errors import ConfigurationError
from supatoss.settings import Settings
from supatoss.urls import is_loopback

ROOT = Path(__file__).parents[2]

COMPLETE = {
    "SUPABASE_URL": "https://abcdefgh.supabase.co",
    "SUPABASE_SECRET_KEY": "sb_secret_hidden_hidden",
    "TOSS_SECRET_KEY": "test_sk_hidden_hidden_hidden",
}
NEW, OLD = "test_sk_hidden_and_the_newer", "test_sk_hidden_and_the_older"
NEW_HEX, OLD_HEX = "0a" * 32, "0B" * 32
PUBLIC_KEY = "test_sk_zXLkKEypNArWmo50nX3lmeaxYG5R"
TOSS_KEY_SHOULD_BE = (
    "TOSS_SECRET_KEY should be a secret key of Toss: test_sk_, live_sk_, test_gsk_ or live_gsk_, and at least 16"
    " letters and digits."
)
SECURITY_KEY_SHOULD_BE = "TOSS_SECURITY_KEY should be a security key of Toss: 64 hex digits."
OF_ROLE = "is a key of the role {}; should be the secret one (sb_secret_…, or service_role)."
NO_ADDRESS = "TOSS_ALLOWED_IPS has no address in it; should be IP addresses with commas between, or empty to allow all."
SUPABASE_KEY_SHOULD_BE = (
    "SUPABASE_SECRET_KEY should be sb_secret_ and at least 10 characters, or a JWT whose role is service_role."
)
NOT_THE_PUBLIC_KEY = (
    "TOSS_SECRET_KEY is a key of Toss's documentation, with which anybody can sign; should be your own, unless"
    " SUPABASE_URL and PUBLIC_URL are on this machine."
)
NO_ROLE: tuple[object, ...] = ({}, [], {"role": 1}, {"role": ""}, "hidden")


def jwt_of(claims: object) -> str:
    """A key as legacy projects have it; nobody looks at the signature."""
    return ".".join(
        base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (b"{}", json.dumps(claims).encode(), b"hidden")
    )


URL_SHOULD_BE = "SUPABASE_URL should be an address such as https://<project-ref>.supabase.co."
NO_SPACES = "should be a key of printable ASCII characters without spaces."
ALERT_URL_SHOULD_BE = (
    "ALERT_WEBHOOK_URL should be an https:// address, such as an incoming webhook of Slack or Discord."
)
WHSEC = "ALERT_WEBHOOK_SECRET should be whsec_ and 24 to 64 bytes in base64."
ALERT_URLS_REFUSED = (
    "http://hooks.example.com/hidden",
    "hooks.example.com/hidden",
    "https:///hidden",
    "https://user:hidden@hooks.example.com/",
    "https://hooks.example.com/hid den",
    "https://hooks.example.com:99999/hidden",
    "file:///hidden",
)
MISSING = [
    "SUPABASE_URL is missing; it should be the address of the Supabase project, https://<project-ref>.supabase.co.",
    "SUPABASE_SECRET_KEY is missing; it should be the secret key of the Supabase project (sb_secret_…).",
    "TOSS_SECRET_KEY is missing; it should be the secret key of Toss (test_sk_… or live_sk_…).",
]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {name.upper() for name in Settings.model_fields} | {"SUPABASE_SERVICE_ROLE_KEY"}
    for name in names & set(os.environ):
        monkeypatch.delenv(name)


def load(monkeypatch: pytest.MonkeyPatch, **environment: str | None) -> Settings:
    for name, value in {**COMPLETE, **environment}.items():
        if value is not None:
            monkeypatch.setenv(name, value)
    return Settings.load()


def problems(monkeypatch: pytest.MonkeyPatch, **environment: str | None) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(monkeypatch, **environment)
    assert str(caught.value) == "\n".join(caught.value.problems)
    return caught.value.problems


def secret_values(settings: Settings) -> tuple[list[str], list[str]]:
    return (
        [key.get_secret_value() for key in settings.toss_secret_key],
        [key.get_secret_value() for key in settings.toss_security_key],
    )


class TestWhatStarts:
    def test_three_variables_are_enough(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(monkeypatch)
        assert settings.supabase_url == "https://abcdefgh.supabase.co"
        assert settings.supabase_secret_key.get_secret_value() == "sb_secret_hidden_hidden"
        assert secret_values(settings) == (["test_sk_hidden_hidden_hidden"], [])
        assert (settings.host, settings.port, settings.metrics_port) == ("0.0.0.0", 8080, 0)  # noqa: S104 - the default
        assert (settings.log_level, settings.log_format) == ("INFO", "json")
        assert settings.max_body_bytes == 262144
        assert (settings.answer_deadline_seconds, settings.supabase_timeout_seconds) == (8, 3)

    def test_every_variable_counts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        settings = load(
            monkeypatch,
            HOST="127.0.0.1",
            PORT="9000",
            METRICS_PORT="9090",
            LOG_LEVEL="DEBUG",
            LOG_FORMAT="console",
            MAX_BODY_BYTES="1024",
            ANSWER_DEADLINE_SECONDS="9.5",
            SUPABASE_TIMEOUT_SECONDS="0.5",
        )
        assert (settings.host, settings.port, settings.metrics_port) == ("127.0.0.1", 9000, 9090)
        assert (settings.log_level, settings.log_format, settings.max_body_bytes) == ("DEBUG", "console", 1024)
        assert (settings.answer_deadline_seconds, settings.supabase_timeout_seconds) == (9.5, 0.5)

    @pytest.mark.parametrize("value", ["{},{}", " {} , {} ", "{},{}\n", "\t{},\n{}\r\n"])
    def test_several_keys_come_newest_first_without_their_whitespace(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        settings = load(
            monkeypatch, TOSS_SECRET_KEY=value.format(NEW, OLD), TOSS_SECURITY_KEY=value.format(NEW_HEX, OLD_HEX)
        )
        assert secret_values(settings) == ([NEW, OLD], [NEW_HEX, OLD_HEX])

    @pytest.mark.parametrize("kind", ["test_sk", "live_sk", "test_gsk", "live_gsk"])
    def test_every_kind_of_secret_key_is_taken(self, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
        key = f"{kind}_hidden1234567890"
        assert secret_values(load(monkeypatch, TOSS_SECRET_KEY=key)) == ([key], [])

    @pytest.mark.parametrize("key", [PUBLIC_KEY, "test_gsk_docs_hidden1234567890"])
    @pytest.mark.parametrize("public_url", ["", "http://localhost:8080"])
    def test_a_documentation_key_may_be_tried_on_this_machine(
        self, monkeypatch: pytest.MonkeyPatch, key: str, public_url: str
    ) -> None:
        settings = load(monkeypatch, TOSS_SECRET_KEY=key, SUPABASE_URL="http://127.0.0.1:54321", PUBLIC_URL=public_url)
        assert secret_values(settings) == ([key], [])

    @pytest.mark.parametrize("role", ["service_role", "supatoss_service"])
    def test_a_token_of_a_role_that_may_write_is_taken(self, monkeypatch: pytest.MonkeyPatch, role: str) -> None:
        key = jwt_of({"role": role})
        assert load(monkeypatch, SUPABASE_SECRET_KEY=key).supabase_secret_key.get_secret_value() == key

    @pytest.mark.parametrize(
        "value", [" sb_secret_for_tests_0001", "sb_secret_for_tests_0001\n", "\r\n sb_secret_for_tests_0001 \t"]
    )
    def test_whitespace_around_the_key_of_supabase_is_left_out(
        self, monkeypatch: pytest.MonkeyPatch, value: str
    ) -> None:
        assert (
            load(monkeypatch, SUPABASE_SECRET_KEY=value).supabase_secret_key.get_secret_value()
            == "sb_secret_for_tests_0001"
        )

    def test_the_older_name_of_the_key_is_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        key = jwt_of({"role": "service_role"})
        settings = load(monkeypatch, SUPABASE_SECRET_KEY=None, SUPABASE_SERVICE_ROLE_KEY=key)
        assert settings.supabase_secret_key.get_secret_value() == key

    @pytest.mark.parametrize(
        ("value", "url"),
        [
            ("https://abcdefgh.supabase.co/", "https://abcdefgh.supabase.co"),
            (" https://abcdefgh.supabase.co\n", "https://abcdefgh.supabase.co"),
            ("https://supabase.example.com:8443", "https://supabase.example.com:8443"),
            ("http://127.0.0.1:54321", "http://127.0.0.1:54321"),
            ("http://127.8.8.8", "http://127.8.8.8"),
            ("http://localhost:54321", "http://localhost:54321"),
            ("http://[::1]:54321", "http://[::1]:54321"),
        ],
    )
    def test_an_address_by_https_or_on_this_machine(
        self, monkeypatch: pytest.MonkeyPatch, value: str, url: str
    ) -> None:
        assert load(monkeypatch, SUPABASE_URL=value).supabase_url == url

    def test_a_time_of_day_and_the_days_of_retention(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert (load(monkeypatch).reconcile_at, load(monkeypatch).payload_retention_days) == (None, 365)
        settings = load(monkeypatch, RECONCILE_AT=" 04:30 ", PAYLOAD_RETENTION_DAYS="30")
        assert (settings.reconcile_at, settings.payload_retention_days) == (dt.time(4, 30), 30)
        settings = load(monkeypatch, RECONCILE_AT="", PAYLOAD_RETENTION_DAYS="0")
        assert (settings.reconcile_at, settings.payload_retention_days) == (None, 0)


class TestWhatDoesNotStart:
    def test_nothing_set_names_all_that_is_missing(self) -> None:
        with pytest.raises(ConfigurationError) as caught:
            Settings.load()
        assert caught.value.problems == MISSING

    @pytest.mark.parametrize(("name", "line"), list(zip(COMPLETE, MISSING, strict=True)))
    def test_one_missing_variable_is_named_alone(self, monkeypatch: pytest.MonkeyPatch, name: str, line: str) -> None:
        assert problems(monkeypatch, **{name: None}) == [line]

    @pytest.mark.parametrize(
        ("name", "value", "line"),
        [
            *(
                ("RECONCILE_AT", value, "RECONCILE_AT should be a time of day in Korea such as 04:30, or empty.")
                for value in ("4:30", "24:00", "04:60", "04:30:00", "noon", "0430")
            ),
            *(
                (
                    "PAYLOAD_RETENTION_DAYS",
                    value,
                    "PAYLOAD_RETENTION_DAYS should be at least 30 days, or 0 to keep all payloads.",
                )
                for value in ("1", "29")
            ),
            ("SUPABASE_URL", "", URL_SHOULD_BE),
            ("SUPABASE_URL", " ", URL_SHOULD_BE),
            ("SUPABASE_URL", "abcdefgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://", URL_SHOULD_BE),
            ("SUPABASE_URL", "ftp://abcdefgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "postgresql://abcdefgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abcdefgh.supabase.co/rest/v1", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abcdefgh.supabase.co?apikey=hidden", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abcdefgh.supabase.co#a", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://user:hidden@abcdefgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://:hidden@abcdefgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abcdefgh.supabase.co:99999", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abcdefgh.supabase.co:port", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://[::1", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abc defgh.supabase.co", URL_SHOULD_BE),
            ("SUPABASE_URL", "https://abc\ndefgh.supabase.co", URL_SHOULD_BE),
            (
                "SUPABASE_URL",
                "http://abcdefgh.supabase.co",
                "SUPABASE_URL should begin with https:// unless the host is this machine.",
            ),
            (
                "SUPABASE_URL",
                "http://127.0.0.1.example.com",
                "SUPABASE_URL should begin with https:// unless the host is this machine.",
            ),
            ("SUPABASE_SECRET_KEY", "", "SUPABASE_SECRET_KEY is empty; should be a key."),
            ("SUPABASE_SECRET_KEY", "\n", "SUPABASE_SECRET_KEY is empty; should be a key."),
            ("SUPABASE_SECRET_KEY", "hidden key", f"SUPABASE_SECRET_KEY {NO_SPACES}"),
            ("SUPABASE_SECRET_KEY", "hidden\nkey", f"SUPABASE_SECRET_KEY {NO_SPACES}"),
            ("SUPABASE_SECRET_KEY", "hidden키", f"SUPABASE_SECRET_KEY {NO_SPACES}"),
            (
                "SUPABASE_SECRET_KEY",
                "sb_publishable_hidden",
                "SUPABASE_SECRET_KEY is a publishable key; should be the secret one (sb_secret_…).",
            ),
            *(
                (
                    "SUPABASE_SECRET_KEY",
                    jwt_of({"role": role, "secret": "hidden"}),
                    f"SUPABASE_SECRET_KEY {OF_ROLE.format(role)}",
                )
                for role in ("anon", "authenticated")
            ),
            *(
                ("SUPABASE_SECRET_KEY", value, SUPABASE_KEY_SHOULD_BE)
                for value in (
                    *("a", "changeme", "sb_secret_", "sb_secret_hidden", "hidden.hidden.hidden", "a.e30.a"),
                    *(jwt_of(claims) for claims in NO_ROLE),
                )
            ),
            *(
                ("TOSS_SECRET_KEY", value, TOSS_KEY_SHOULD_BE)
                for value in (
                    *(
                        "a",
                        "changeme",
                        "test_sk_",
                        "test_sk_hidden",
                        "live_sk_hidden-hidden-hidden",
                        "sk_" + "hidden" * 9,
                    ),
                    *("test_ak_hidden_hidden_hidden", f"{NEW},changeme", "TEST_SK_HIDDEN_HIDDEN_HIDDEN", "x" + NEW),
                )
            ),
            ("TOSS_SECRET_KEY", PUBLIC_KEY, NOT_THE_PUBLIC_KEY),
            ("TOSS_SECRET_KEY", f"{NEW},test_gsk_docs_hidden1234567890", NOT_THE_PUBLIC_KEY),
            *(
                ("TOSS_SECURITY_KEY", value, SECURITY_KEY_SHOULD_BE)
                for value in ("x", "hidden", "0a" * 31, "0a" * 33, "0g" * 32, f"{NEW_HEX},x")
            ),
            *(
                (
                    "TOSS_ALLOWED_IPS",
                    value,
                    NO_ADDRESS,
                )
                for value in (",", " , ,")
            ),
            ("TOSS_SECRET_KEY", "", "TOSS_SECRET_KEY is empty; should be a key."),
            ("TOSS_SECRET_KEY", " ", "TOSS_SECRET_KEY is empty; should be a key."),
            ("TOSS_SECRET_KEY", ",", "TOSS_SECRET_KEY is empty; should be a key."),
            ("TOSS_SECRET_KEY", f"{NEW},", "TOSS_SECRET_KEY is empty; should be a key."),
            ("TOSS_SECRET_KEY", f"{NEW},,{OLD}", "TOSS_SECRET_KEY is empty; should be a key."),
            ("TOSS_SECRET_KEY", "hidden key", f"TOSS_SECRET_KEY {NO_SPACES}"),
            ("TOSS_SECRET_KEY", "hidden\tkey", f"TOSS_SECRET_KEY {NO_SPACES}"),
            *(
                (
                    "TOSS_SECRET_KEY",
                    value,
                    "TOSS_SECRET_KEY is a client key; should be a secret key (test_sk_…, live_sk_…).",
                )
                for value in (
                    "test_ck_hidden",
                    "live_ck_hidden",
                    "test_gck_hidden",
                    "live_gck_hidden",
                    f"{NEW}, live_ck_hidden",
                )
            ),
            (
                "TOSS_SECRET_KEY",
                f"live_gsk_hidden1234567890,{NEW}",
                "TOSS_SECRET_KEY has test and live keys together; test payments would count as real: use one kind.",
            ),
            ("TOSS_SECURITY_KEY", "", "TOSS_SECURITY_KEY is empty; should be a key."),
            ("TOSS_SECURITY_KEY", f"{NEW_HEX},", "TOSS_SECURITY_KEY is empty; should be a key."),
            ("TOSS_SECURITY_KEY", "hidden 키", f"TOSS_SECURITY_KEY {NO_SPACES}"),
            *(("ALERT_WEBHOOK_URL", value, ALERT_URL_SHOULD_BE) for value in ALERT_URLS_REFUSED),
            ("BACKLOG_MINUTES", "0", "BACKLOG_MINUTES should be more than 0."),
            ("ALERT_WEBHOOK_SECRET", "hidden", WHSEC),
            ("ALERT_WEBHOOK_SECRET", "whsec_hidden", WHSEC),
            ("ALERT_WEBHOOK_SECRET", "whsec_aGlkZGVu", WHSEC),
            ("ALERT_INTERVAL_SECONDS", "1", "ALERT_INTERVAL_SECONDS should be at least 5."),
            ("ALERT_SILENCE_HOURS", "-1", "ALERT_SILENCE_HOURS should be at least 0."),
            ("PORT", "", "PORT should be a whole number."),
            ("PORT", "http", "PORT should be a whole number."),
            ("PORT", "0", "PORT should be at least 1."),
            ("PORT", "65536", "PORT should be at most 65535."),
            ("METRICS_PORT", "-1", "METRICS_PORT should be at least 0."),
            ("LOG_LEVEL", "info", "LOG_LEVEL should be DEBUG, INFO, WARNING or ERROR."),
            ("LOG_FORMAT", "xml", "LOG_FORMAT should be json, console or auto."),
            ("MAX_BODY_BYTES", "1023", "MAX_BODY_BYTES should be at least 1024."),
            ("MAX_BODY_BYTES", "16777217", "MAX_BODY_BYTES should be at most 16777216."),
            ("ANSWER_DEADLINE_SECONDS", "0", "ANSWER_DEADLINE_SECONDS should be more than 0."),
            ("ANSWER_DEADLINE_SECONDS", "10", "ANSWER_DEADLINE_SECONDS should be less than 10."),
            ("ANSWER_DEADLINE_SECONDS", "nan", "ANSWER_DEADLINE_SECONDS should be less than 10."),
            ("SUPABASE_TIMEOUT_SECONDS", "-1", "SUPABASE_TIMEOUT_SECONDS should be more than 0."),
            ("SUPABASE_TIMEOUT_SECONDS", "inf", "SUPABASE_TIMEOUT_SECONDS should be less than 10."),
        ],
    )
    def test_says_in_one_line_which_variable_and_what_it_should_be(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str
    ) -> None:
        found = problems(monkeypatch, **{name: value})
        assert found == [line]
        assert "hidden" not in "".join(found)

    def test_several_problems_are_several_lines(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert problems(monkeypatch, SUPABASE_URL="", TOSS_SECRET_KEY="", PORT="0") == [
            URL_SHOULD_BE,
            "TOSS_SECRET_KEY is empty; should be a key.",
            "PORT should be at least 1.",
        ]


def test_settings_do_not_show_keys_in_their_repr(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load(monkeypatch, TOSS_SECRET_KEY=f"{NEW},{OLD}", TOSS_SECURITY_KEY=NEW_HEX)
    assert "hidden" not in repr(settings)
    assert "hidden" not in str(settings)
    assert "hidden" not in settings.model_dump_json()


@pytest.mark.parametrize(
    "value", ["https://hooks.example.com/services/T0/hidden?wait=true", " http://127.0.0.1:9/hidden\n"]
)
def test_where_alerts_go_is_a_secret(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    settings = load(monkeypatch, ALERT_WEBHOOK_URL=value)
    assert settings.alert_webhook_url is not None
    assert settings.alert_webhook_url.get_secret_value() == value.strip()
    assert "hidden" not in repr(settings)


def test_an_empty_address_means_that_alerts_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(monkeypatch, ALERT_WEBHOOK_URL="").alert_webhook_url is None


def test_an_error_of_the_settings_does_not_show_their_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUPABASE_URL", "postgresql://user:hidden@db.example.com")
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("localhost", True),
        ("127.0.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),  # noqa: S104 - not bound, only named
        ("10.0.0.1", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_is_this_machine_alone(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


class TestProcess:
    @staticmethod
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - this interpreter, with arguments of the test
            [sys.executable, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], "PYTHONIOENCODING": "utf-8", "PYTHONWARNINGS": "error", **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )

    def test_a_service_without_settings_ends_with_status_2_and_a_line_each(self) -> None:
        done = self.run("-m", "supatoss", "serve")
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == ["supatoss cannot start:", *(f"  {line}" for line in MISSING)]

    def test_a_service_with_wrong_settings_shows_neither_traceback_nor_secret(self) -> None:
        environment = COMPLETE | {"TOSS_SECRET_KEY": "live_ck_hidden", "SUPABASE_URL": "http://hidden.example.com"}
        done = self.run("-m", "supatoss", "serve", **environment)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.splitlines() == [
            "supatoss cannot start:",
            "  SUPABASE_URL should begin with https:// unless the host is this machine.",
            "  TOSS_SECRET_KEY is a client key; should be a secret key (test_sk_…, live_sk_…).",
        ]

    def test_uvicorns_way_to_start_says_the_same(self) -> None:
        done = self.run("-m", "uvicorn", "supatoss.app:app", "--port", "0")
        assert done.returncode == 2
        assert done.stderr.splitlines() == ["supatoss cannot start:", *(f"  {line}" for line in MISSING)]


class TestAppModule:
    def test_importing_needs_no_settings_and_asking_for_the_app_does(self) -> None:
        import supatoss.app  # noqa: PLC0415 - the import is what is tested

        with pytest.raises(SystemExit) as caught:
            _ = supatoss.app.app
        assert caught.value.code == 2

    def test_has_the_app_that_uvicorn_asks_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import supatoss.app  # noqa: PLC0415 - after the environment is empty

        load(monkeypatch)
        assert isinstance(supatoss.app.app, Starlette)

    def test_has_nothing_else_by_chance(self) -> None:
        import supatoss.app  # noqa: PLC0415 - like its neighbours

        with pytest.raises(AttributeError, match=r"module 'supatoss.app' has no attribute 'application'"):
            _ = supatoss.app.application
