"""Whether anybody is told when something needs a person."""

import httpx

from supatoss.cli.doctor.verdict import Verdict, failed, ok, warning
from supatoss.settings import Settings

NAME = "alerts"

_TEXT = "supatoss: this is a test alert, sent by `supatoss doctor`. 테스트 알림입니다."


async def check_alerts(settings: Settings, http: httpx.AsyncClient, *, sends: bool) -> list[Verdict]:
    """Whether there is a target; with `sends` also whether it takes a message. Its URL is a secret and not shown."""
    target = settings.alert_webhook_url
    if target is None:
        mend = "set ALERT_WEBHOOK_URL to an incoming webhook of Slack or Discord"
        return [warning(NAME, "nobody is told: ALERT_WEBHOOK_URL is not set", mend)]
    if not sends:
        return [ok(NAME, "a target is set; to see that it takes messages: --send-test-alert")]
    mend = "make a new incoming webhook, and set ALERT_WEBHOOK_URL to its address"
    try:
        answer = await http.post(target.get_secret_value(), json={"text": _TEXT, "content": _TEXT})
    except httpx.HTTPError as error:
        return [failed(NAME, f"the target cannot be reached: {type(error).__name__}", mend)]
    if not answer.is_success:
        return [failed(NAME, f"the target answers HTTP {answer.status_code}", mend)]
    return [ok(NAME, "the target took a test message")]
