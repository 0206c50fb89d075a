"""Where the service is to be reached."""

import re
from pathlib import Path
from urllib.parse import urlsplit

from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import ExitStatus

PUBLIC_URL = "PUBLIC_URL"
PLACEHOLDER = "supatoss-change-me"
"""The app's name in fly.toml as released."""

_APP = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class AddressStep(Step):
    """Where the service is to be reached: the Fly app's name, or any https address."""

    name = "public address"

    def done(self, setup: Setup) -> str | None:
        """Done if PUBLIC_URL is set."""
        url = setup.answer(PUBLIC_URL)
        if not url:
            return None
        said = _keep_address(setup, url)
        setup.fly_app = setup.options.app or _app_of(url)
        return said

    def run(self, setup: Setup) -> str:
        """Takes the app's name from the option or fly.toml, else asks for it."""
        app = setup.options.app or _app_in(Path("fly.toml"))
        if app is None:
            answer, _ = setup.asking.until_right(
                "Name of the Fly.io app, or the service's https address",
                _check_address,
                missing=f"{PUBLIC_URL} is missing; --app NAME makes it https://NAME.fly.dev",
            )
            app = answer
        said = _keep_address(setup, _check_address(app))
        setup.fly_app = _app_of(setup.answer(PUBLIC_URL))
        return said


def _keep_address(setup: Setup, url: str) -> str:
    url = _check_address(url)
    setup.keep({PUBLIC_URL: url})
    return url


def _check_address(answer: str) -> str:
    """The address for an app's name or an address. Raises Stopped."""
    from supatoss.urls import check_url

    if _APP.fullmatch(answer):
        return f"https://{answer}.fly.dev"
    try:
        return check_url(answer, "https://<app>.fly.dev")
    except ValueError as error:
        raise Stopped(
            f"{PUBLIC_URL} {error}", "enter the address without the webhook's path", ExitStatus.MISUSE
        ) from None


def _app_of(url: str) -> str | None:
    host = urlsplit(url).hostname or ""
    return host.removesuffix(".fly.dev") if host.endswith(".fly.dev") else None


def _app_in(file: Path) -> str | None:
    found = (
        re.search(r'^app\s*=\s*"([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE) if file.is_file() else None
    )
    return found[1] if found and found[1] != PLACEHOLDER else None
