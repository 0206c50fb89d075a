"""What is sent to Slack, Discord and others, held against what they document."""

import base64
import datetime as dt
import hashlib
import hmac
import json
import re
from typing import Any

import pytest
import respx

from supatoss.alerts.korean import KINDS, RULES
from supatoss.alerts.messages import Language, describe_alert, explain
from supatoss.alerts.rules import Rule
from supatoss.alerts.targets import AlertNotSent, DiscordTarget, JsonTarget, SlackTarget, Target, open_target
from supatoss.store.alerts import UnsentAlert
from supatoss.store.findings import FindingKind

OPS = "https://app.fly.dev/ops"
STEERING = "<!channel> @everyone <@U1> [a](https://evil.example) `x`\n*b* _c_ & \x1b[31m\u202e {subject} discord.gg/x"
ENDED = {"en": " resolved", "ko": " 해결됨", "both": " resolved · 해결됨"}
SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def unsent(rule: str, subject: str = "order-1", phase: str = "start", **details: Any) -> UnsentAlert:
    ended = "2026-03-14T01:00:00Z" if phase == "end" else None
    return UnsentAlert("the-id", f"token-{subject}", rule, subject, phase, "2026-03-14T00:00:00Z", ended, 1, details)


def bodies(target: Target, *alerts: UnsentAlert) -> list[dict[str, Any]]:
    return [json.loads(post.content) for post in target.compose(alerts)]


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("phase", ["start", "end"])
@pytest.mark.parametrize("language", ["en", "ko", "both"])
def test_each_rule_has_a_message_in_each_language(rule: Rule, phase: str, language: Language) -> None:
    alert = unsent(rule, "the-subject", phase, reason="r", events=2, minutes=11, hours=7)
    message = describe_alert(alert, language, OPS, str)
    text = "\n".join(message.lines)
    name = f"{RULES[rule]}({rule.value})" if language == "ko" else rule.value
    assert message.title == f"{'🚨 ' if phase == 'start' else '✅ '}{name}{'' if phase == 'start' else ENDED[language]}"
    assert len(message.lines) == (2 if language == "both" else 1)
    assert any("가" <= letter <= "힣" for letter in text) == (language != "en")
    assert (message.command is None) == (phase == "end")
    assert message.link is not None
    assert message.link.startswith(f"{OPS}/")
    assert "{" not in f"{text}{message.command}{message.link}"


@pytest.mark.parametrize(
    ("rule", "details", "korean"),
    [
        (
            Rule.AMOUNT_MISMATCH,
            {"error": "Toss reports 10000 KRW, the application stored 9900 KRW for this order"},
            "결제 금액이 저장된 주문 금액과 다릅니다(주문 order-1): 토스 ₩10,000 · 저장 ₩9,900",
        ),
        (
            Rule.AMOUNT_MISMATCH,
            {"error": "Toss reports 10000, the application stored 9900 for this order"},
            "결제 금액이 저장된 주문 금액과 다릅니다(주문 order-1): 토스 ₩10,000 · 저장 ₩9,900",
        ),
        (
            Rule.DOUBLE_CHARGE,
            {"error": "order order-1 is paid twice: this is payment tgen_2, the first was tgen_1"},
            "한 주문이 두 번 결제되었습니다(주문 order-1): 이 결제 tgen_2 · 첫 결제 tgen_1",
        ),
        (Rule.DOUBLE_CHARGE, {"error": "new"}, "한 주문이 두 번 결제되었습니다(주문 order-1): new"),
        (
            Rule.EVENT_FAILED,
            {"events": 2, "reason": "malformed"},
            "담당자 확인이 필요한 이벤트가 2건 있습니다(order-1): 본문 해석 불가(malformed)",
        ),
        (
            Rule.EVENT_FAILED,
            {"events": 1, "reason": "new_reason"},
            "담당자 확인이 필요한 이벤트가 1건 있습니다(order-1): new_reason",
        ),
        (
            Rule.RECONCILIATION_DIFFERENCE,
            {"findings": 5, "kinds": "missing 2, new_kind 1, status 2"},
            "order-1 결제 5건이 토스페이먼츠 거래 내역과 다릅니다: 우리 기록에 없음 2건, new_kind 1, 상태 다름 2건",
        ),
    ],
)
def test_korean_names_the_reason_and_says_the_stored_error(rule: Rule, details: dict[str, Any], korean: str) -> None:
    alert = unsent(rule, **details)
    assert describe_alert(alert, "ko", "", str).lines == [korean]
    english, also = describe_alert(alert, "both", "", str).lines
    assert also == korean == explain(rule, "order-1", details, "ko")
    assert str(details.get("error") or details.get("reason") or details["kinds"]) in english


def test_every_kind_of_difference_has_a_name_in_korean() -> None:
    assert set(KINDS) == {kind.value for kind in FindingKind}


def test_links_lead_to_the_order_and_nowhere_without_a_page() -> None:
    alert = unsent(Rule.DOUBLE_CHARGE, "주문 1&x")
    assert describe_alert(alert, "en", OPS, str).link == f"{OPS}/payment?order=%EC%A3%BC%EB%AC%B8%201%26x"
    assert describe_alert(alert, "en", "", str).link is None


def test_a_command_that_is_pasted_into_a_shell_holds_nothing_but_a_plain_order() -> None:
    command = describe_alert(unsent(Rule.DOUBLE_CHARGE, "a_b-1"), "en", "", str).command
    assert command == "supatoss events list --status failed --order a_b-1"
    for order in ("x; rm -rf /", "$(reboot)", "a b", "`x`", "a\nb", "주문"):
        assert describe_alert(unsent(Rule.DOUBLE_CHARGE, order), "en", "", str).command == (
            "supatoss events list --status failed --order ORDER"
        )


def test_an_ignored_event_is_set_aside_and_not_resolved() -> None:
    alert = unsent(Rule.AMOUNT_MISMATCH, phase="end", set_aside_by="kim")
    assert describe_alert(alert, "both", "", str).title == "☑️ amount_mismatch ignored by kim · kim 무시 처리"
    (body,) = bodies(JsonTarget("https://example.com"), alert)
    assert body["type"] == "supatoss.alert.set_aside"


def test_an_alert_of_a_newer_release_is_sent_too() -> None:
    message = describe_alert(unsent("something_new"), "both", OPS, str)
    assert (message.title, message.lines[0]) == ("🚨 something_new", "order-1")


@pytest.mark.parametrize("rule", Rule)
def test_slack_takes_it_and_nothing_from_outside_steers_it(rule: Rule) -> None:
    details = dict.fromkeys(("reason", "error", "problem", "keys", "code", "order_id"), STEERING)
    alerts = [unsent(rule, STEERING, phase, **details) for phase in ("start", "end")]
    (body,) = bodies(SlackTarget("https://hooks.slack.com/x", "both", OPS), *alerts)
    assert set(body) == {"text", "blocks", "unfurl_links"}
    for block in body["blocks"]:
        assert (block["type"], block["text"]["type"], block["text"]["verbatim"]) == ("section", "mrkdwn", True)
    for text in (body["text"], *(block["text"]["text"] for block in body["blocks"])):
        assert 0 < len(text) <= 3000
        without_link = re.sub(rf"<{re.escape(OPS)}/[^<>|]*\|/ops>", "", text)
        assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)|\x1b|\u202e", without_link)


@pytest.mark.parametrize("rule", Rule)
def test_discord_takes_it_and_nothing_from_outside_steers_it(rule: Rule) -> None:
    details = dict.fromkeys(("reason", "error", "problem", "keys", "code", "order_id"), STEERING)
    (body,) = bodies(DiscordTarget("https://discord.com/x", "both", OPS), unsent(rule, STEERING, **details))
    assert body["allowed_mentions"] == {"parse": []}
    (embed,) = body["embeds"]
    assert embed["url"].startswith(f"{OPS}/")
    assert 0 < len(embed["title"]) <= 256
    assert 0 < len(embed["description"]) <= 4096
    lines = embed["description"].rsplit("\n", 1)[0]
    unescaped = re.sub(r"\\.", "", lines.replace("TOSS_SECRET_KEY", ""))
    assert not re.search(r"[\\*_~`|<>@\[\]#\x1b\u202e]", unescaped)
    assert "http://" not in lines
    assert "https://" not in lines


def test_many_alerts_are_few_messages_within_every_limit_and_all_are_named() -> None:
    alerts = [unsent(Rule.DATABASE_AWAY, f"machine-{number}", problem="&" * 500, minutes=3) for number in range(120)]
    alerts += [
        unsent(Rule.DATABASE_AWAY, f"machine-{number:0180}", problem="x" * 500, minutes=3) for number in range(20)
    ]
    slack, discord = SlackTarget("https://x", "both", OPS), DiscordTarget("https://x", "both", OPS)
    for target, most in ((slack, 50), (discord, 10)):
        posts = list(target.compose(alerts))
        assert [alert for post in posts for alert in post.alerts] == alerts
        for post in posts:
            body = json.loads(post.content)
            parts = body.get("blocks") or body["embeds"]
            assert len(parts) == len(post.alerts) <= most
            assert sum(len(part["title"]) + len(part["description"]) for part in body.get("embeds", [])) <= 6000
            shown = json.dumps(body).replace("\\\\", "")
            assert all(alert.subject in shown for alert in post.alerts)
    assert len(list(slack.compose(alerts))) == 3
    assert list(slack.compose([])) == list(discord.compose([])) == []


def test_anything_else_gets_a_standard_webhook() -> None:
    alert = unsent(Rule.DOUBLE_CHARGE, phase="end", error="결제 2")
    (post,) = JsonTarget("https://example.com", "en", OPS, SECRET).compose([alert])
    body = json.loads(post.content)
    assert body["type"] == "supatoss.alert.ended"
    assert body["timestamp"] == "2026-03-14T01:00:00Z"
    assert body["data"] == {
        "id": "the-id",
        "rule": "double_charge",
        "subject": "order-1",
        "started_at": "2026-03-14T00:00:00Z",
        "ended_at": "2026-03-14T01:00:00Z",
        "details": {"error": "결제 2"},
        "command": None,
        "link": f"{OPS}/payment?order=order-1",
    }
    sent_at = post.headers["webhook-timestamp"]
    assert abs(dt.datetime.fromtimestamp(int(sent_at), dt.UTC) - dt.datetime.now(dt.UTC)) < dt.timedelta(minutes=5)
    assert post.headers["webhook-id"] == "the-id-end"
    signed = f"the-id-end.{sent_at}.".encode() + post.content
    expected = base64.b64encode(hmac.digest(b"k" * 32, signed, hashlib.sha256)).decode()
    assert post.headers["webhook-signature"] == f"v1,{expected}"
    (unsigned,) = JsonTarget("https://example.com").compose([alert])
    assert "webhook-signature" not in unsigned.headers


def test_the_host_says_what_is_sent() -> None:
    kinds = {
        "https://hooks.slack.com/services/T/B/x": SlackTarget,
        "https://HOOKS.slack.com/services/T/B/x": SlackTarget,
        "https://discord.com/api/webhooks/1/x": DiscordTarget,
        "https://canary.discord.com/api/webhooks/1/x": DiscordTarget,
        "https://discordapp.com/api/webhooks/1/x": DiscordTarget,
        "https://notdiscord.com/x": JsonTarget,
        "https://hooks.slack.com.example.com/x": JsonTarget,
        "http://127.0.0.1:1/x": JsonTarget,
    }
    assert {url: type(open_target(url)) for url in kinds} == kinds


@pytest.mark.anyio
@respx.mock(assert_all_called=False)
async def test_a_target_that_leads_elsewhere_is_not_followed(respx_mock: respx.MockRouter) -> None:
    elsewhere = respx_mock.route(host="elsewhere.example")
    respx_mock.post("https://hooks.example/x").respond(307, headers={"location": "https://elsewhere.example/"})
    target = open_target("https://hooks.example/x", "en", "")
    (post,) = target.compose([unsent(Rule.DOUBLE_CHARGE)])
    with pytest.raises(AlertNotSent, match="HTTP 307"):
        await target.send(post)
    assert not elsewhere.called
