"""`make run`: Supabase Lite with the migrations, a Toss emulator, the service and a shop, on this machine.

Environment: PORT (service, default 8080), SUPABASE_PORT (Data API, default 54321), TOSS_PORT (emulator, default 8090),
SHOP_PORT (the example shop, default 8100). If TOSS_API_URL and TOSS_SECRET_KEY are set, they are used instead of an
emulator; the shop then needs TOSS_CLIENT_KEY. OPS_PASSWORD sets the password of the operators' page, which is random
otherwise. LOG_FORMAT=json logs JSON in a terminal too. Data are in `.local/` (or STATE_DIR); delete it to start over.
Nothing is written anywhere else. Ctrl-C stops everything.
"""

import os
import shlex
import signal
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import NoReturn
from urllib.parse import urlsplit

import httpx

from scripts.emulator.window import ACCOUNTS, SDK
from scripts.local import npm
from scripts.local.children import LOOPBACK, POLL_SECONDS, Child, StackError, describe, is_taken
from scripts.local.credentials import LocalKeys, load_keys, write_private
from scripts.local.ports import Ports
from scripts.local.screen import Steps
from scripts.local.supabase import LocalSupabase, provide_helpers
from supatoss.urls import TOSS_API_URL, is_loopback

SERVICE_READY_SECONDS = 30.0
EMULATED_CALLS_PER_MINUTE = 2000
"""With test keys, Toss allows 100 for each API, so two reconciliations of the sample week would take over a minute."""

MAX_RESTARTS = 3
RESTART_WINDOW_SECONDS = 60.0
"""If the Data API ends more often than that within this time, it is not started again."""

PASSED_ON = ("ALERT_LANGUAGE", "ALERT_WEBHOOK_SECRET", "ALERT_WEBHOOK_URL", "CLIENT_IP_HEADER", "TOSS_UNSIGNED")
"""Settings of the environment that the service, `supatoss doctor` and a worker read alike."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run until Ctrl-C (0) or until something fails (1)."""
    steps = Steps()
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    with ExitStack() as running:
        try:
            _run(steps, running)
        except KeyboardInterrupt:
            steps.say("\nstopping")
            return 0
        except StackError as error:
            steps.fail(str(error))
            return 1
        finally:
            for number in _SIGNALS:
                signal.signal(number, signal.SIG_IGN)  # stopping has begun and its time is bounded


def _run(steps: Steps, running: ExitStack) -> NoReturn:
    ports = Ports.read(os.environ)
    state = Path(os.environ.get("STATE_DIR") or npm.STATE).resolve()
    env_file = state / "env"
    keys = load_keys(state / "keys.json")
    supabase = LocalSupabase(
        state / "lite", ports.supabase, keys.publishable_key, keys.secret_key, jwt_secret=keys.jwt_secret
    )
    running.callback(supabase.stop)
    supabase.claim()
    ports.check_free()

    with steps.step("npm packages"):
        npm.install(progress=steps.say)
    with steps.step("the migrations"):
        supabase.migrate()
        provide_helpers(supabase)
    with steps.step("Supabase Lite"):
        supabase.start()
        supabase.wait_ready()
    toss, remark = _toss(os.environ, keys, _emulator_url(ports))
    if remark:
        steps.warn(remark)
    variables = _variables(keys, ports, toss)
    children = list[Child]()
    if variables["TOSS_API_URL"] == _emulator_url(ports):
        with steps.step("the Toss emulator"):
            children.append(_start_emulator(variables, ports, state, running))
    steps.share_terminal()
    with steps.step("the service"):
        children.append(_start_service(variables, ports, running))
    if "SHOP_URL" in variables:
        with steps.step("the shop"):
            children.append(_start_shop(variables, ports, running))
    write_private(env_file, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))
    _explain(variables, env_file)
    _watch(children, supabase, steps)


def _toss(environment: Mapping[str, str], keys: LocalKeys, emulator: str) -> tuple[dict[str, str], str | None]:
    """Toss's address and keys, and a remark about those of the environment."""
    own = {
        "TOSS_API_URL": emulator,
        "TOSS_SECRET_KEY": keys.toss_secret_key,
        "TOSS_SECURITY_KEY": keys.toss_security_key,
    }
    url, key = (environment.get(name, "").strip() for name in ("TOSS_API_URL", "TOSS_SECRET_KEY"))
    if key == keys.toss_secret_key or not (url or key):
        return own, None  # `.local/env` of an earlier run, perhaps with other ports
    if not url:
        return own, (
            f"TOSS_SECRET_KEY from your environment (…{key[-4:]}) is ignored: the emulator has its own key. "
            f"To use Toss itself: make run TOSS_API_URL={TOSS_API_URL}"
        )
    if not key:
        return own, "TOSS_API_URL from your environment is ignored: it needs TOSS_SECRET_KEY too."
    given = own | {name: environment[name] for name in own if environment.get(name)}
    return given, f"Using TOSS_API_URL and TOSS_SECRET_KEY (…{key[-4:]}) from your environment, not the emulator."


def _variables(keys: LocalKeys, ports: Ports, toss: dict[str, str]) -> dict[str, str]:
    """The service's settings and addresses, as written to `.local/env`."""
    emulator = _emulator_url(ports)
    shop = {"TOSS_CLIENT_KEY": os.environ.get("TOSS_CLIENT_KEY", "")}
    if toss["TOSS_API_URL"] == emulator:
        bank = f"{emulator}{ACCOUNTS}"
        shop = {"TOSS_CLIENT_KEY": "test_ck_emulator", "TOSS_SDK_URL": f"{emulator}{SDK}", "TEST_BANK_URL": bank}
    if shop["TOSS_CLIENT_KEY"]:
        shop["SHOP_URL"] = f"http://{LOOPBACK}:{ports.shop}/"
    return {
        **{name: os.environ[name] for name in PASSED_ON if os.environ.get(name)},
        "SUPABASE_URL": f"http://{LOOPBACK}:{ports.supabase}",
        "SUPABASE_SECRET_KEY": keys.secret_key,
        "SUPABASE_PUBLISHABLE_KEY": keys.publishable_key,
        **toss,
        **shop,
        "WEBHOOK_URL": f"http://{LOOPBACK}:{ports.service}/webhooks/toss",
        "PUBLIC_URL": f"http://{LOOPBACK}:{ports.service}",
        "OPS_URL": f"http://{LOOPBACK}:{ports.service}/ops",
        "OPS_PASSWORD": os.environ.get("OPS_PASSWORD") or keys.ops_password,
    }


def _emulator_url(ports: Ports) -> str:
    return f"http://{LOOPBACK}:{ports.emulator}"


def _start_emulator(variables: Mapping[str, str], ports: Ports, state: Path, running: ExitStack) -> Child:
    """Start the emulator with the service's webhook URL, and wait until it listens; its log goes to a file."""
    emulator = Child(
        "the Toss emulator",
        [
            *(sys.executable, "-m", "scripts.toss_emulator", "--port", str(ports.emulator)),
            *("--webhook-url", variables["WEBHOOK_URL"]),
            *("--requests-per-minute", str(EMULATED_CALLS_PER_MINUTE)),
            *("--state", str(state / "toss.json")),
        ],
        cwd=npm.ROOT,
        env={**os.environ, **variables},
        log=state / "emulator.log",
    )
    running.callback(emulator.stop)
    emulator.wait_until(lambda: is_taken(ports.emulator), SERVICE_READY_SECONDS)
    return emulator


def _start_service(variables: Mapping[str, str], ports: Ports, running: ExitStack) -> Child:
    """Start the service and wait until it is ready; its log goes to our output."""
    service = Child(
        "the service",
        [sys.executable, "-m", "supatoss", "serve"],
        cwd=npm.ROOT,
        env={"LOG_FORMAT": "auto", **os.environ, **variables, "HOST": LOOPBACK, "PORT": str(ports.service)},
    )
    running.callback(service.stop)
    service.wait_until(lambda: _is_ready(f"http://{LOOPBACK}:{ports.service}/readyz"), SERVICE_READY_SECONDS)
    return service


def _start_shop(variables: Mapping[str, str], ports: Ports, running: ExitStack) -> Child:
    """Start the example shop and wait until it listens."""
    shop = Child(
        "the shop",
        [
            *(sys.executable, "-m", "uvicorn", "examples.shop.app:app", "--host", LOOPBACK, "--port", str(ports.shop)),
            *("--log-level", "warning"),
        ],
        cwd=npm.ROOT,
        env={**os.environ, **variables, "TOSS_SECRET_KEY": variables["TOSS_SECRET_KEY"].split(",")[0]},
    )
    running.callback(shop.stop)
    shop.wait_until(lambda: _is_ready(variables["SHOP_URL"]), SERVICE_READY_SECONDS)
    return shop


def _explain(variables: Mapping[str, str], env_file: Path) -> None:
    """Print three things to do next, and where everything is."""
    shown = env_file.relative_to(npm.ROOT) if env_file.is_relative_to(npm.ROOT) else env_file
    shop, toss = variables.get("SHOP_URL"), variables["TOSS_API_URL"]
    if is_loopback(urlsplit(toss).hostname or ""):
        toss += "   the emulator: open it to deposit, cancel or settle"
    print(
        f"""
1. Open the operators' page:   {variables["OPS_URL"]}   password: {variables["OPS_PASSWORD"]}
2. Buy something in the shop:  {shop or "not started: set TOSS_CLIENT_KEY"}
3. Send a webhook yourself:    .venv/bin/supatoss trigger PAYMENT_STATUS_CHANGED

Webhook URL   {variables["WEBHOOK_URL"]}
Toss          {toss}
Data API      {variables["SUPABASE_URL"]}/rest/v1
Sample week   .venv/bin/python scripts/seed.py
Settings      {shown}   commands in this checkout read them automatically

Ctrl-C stops everything.
""",
        flush=True,
    )


def _watch(children: list[Child], supabase: LocalSupabase, steps: Steps) -> NoReturn:
    """Wait until a child ends, which none should. StackError says which one did.

    The Data API is started again, because the service survives its absence.
    """
    ended = deque[float](maxlen=MAX_RESTARTS)
    while True:
        code = supabase.server.exit_code()
        if code is not None:
            problem = f"{supabase.server.name} ended with {describe(code)}{supabase.server.tail()}"
            now = time.monotonic()
            if len(ended) == MAX_RESTARTS and now - ended[0] < RESTART_WINDOW_SECONDS:
                raise StackError(problem)
            ended.append(now)
            steps.fail(problem)
            with steps.step("Supabase Lite, restarted"):
                supabase.restart()
                supabase.wait_ready()
        for child in children:
            code = child.exit_code()
            if code is not None:
                raise StackError(f"{child.name} ended with {describe(code)}{child.tail()}")
        time.sleep(POLL_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5.0).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
