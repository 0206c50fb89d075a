"""Toss's keys: the secret keys, each tried at Toss, and the security key of payouts."""

import os
from collections.abc import Callable

from supatoss.cli.init.project import show
from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import ExitStatus
from supatoss.cli.session import run_async
from supatoss.errors import ConfigurationError

KEY, SECURITY_KEY, API_URL = "TOSS_SECRET_KEY", "TOSS_SECURITY_KEY", "TOSS_API_URL"

_WHERE = "developers.tosspayments.com > API keys"
_NO_SECURITY_KEY = "no security key: payout.changed and seller.changed are refused"

Check = Callable[[Setup, str], str]
"""Says what a check of a value found. Raises Stopped."""


class TossStep(Step):
    """Asks for the keys, and tries them."""

    name = "Toss keys"

    def run(self, setup: Setup) -> str:
        """The secret keys, then the security key, which is optional: it is asked for only together with the others."""
        is_new = not setup.answer(KEY)
        said = self._obtain(
            setup, KEY, "Toss secret key (test_sk_… or live_sk_…; if several, newest first, separated by commas)", _try
        )
        if api_url := setup.answer(API_URL):
            setup.keep({API_URL: api_url})
        if not setup.answer(SECURITY_KEY) and not (is_new and setup.asking.is_there):
            return f"{said}; {_NO_SECURITY_KEY}"
        security = self._obtain(
            setup, SECURITY_KEY, "Security key, for payouts to sellers (64 hex digits; Enter for none)", _check_security
        )
        return f"{said}; {security}"

    def _obtain(self, setup: Setup, name: str, question: str, check: Check) -> str:
        def try_it(value: str) -> str:
            return check(setup, value)

        given = setup.answer(name)
        if given:
            try:
                return try_it(given)
            except Stopped as wrong:
                if not setup.asking.is_there:
                    raise
                show(wrong, name)
        _, said = setup.asking.until_right(
            question, try_it, missing=f"{name} is missing", default=given, is_secret=True
        )
        return said


def _try(setup: Setup, value: str) -> str:
    from supatoss.cli.doctor.toss import check_toss

    _check_shape(KEY, value)
    verdicts = run_async(check_toss(setup.settings(public_url="", toss_security_key=())))
    wrong = [verdict for verdict in verdicts if verdict.level == "failed"]
    if wrong:
        status = ExitStatus.UNREACHABLE if "can't" in wrong[0].message else ExitStatus.FOUND
        raise Stopped(f"{wrong[0].check}: {wrong[0].message}", wrong[0].fix or _WHERE, status)
    setup.keep({KEY: value})
    return "; ".join(verdict.message for verdict in verdicts)


def _check_security(setup: Setup, value: str) -> str:
    if not value:
        return _NO_SECURITY_KEY
    _check_shape(SECURITY_KEY, value)
    setup.keep({SECURITY_KEY: value})
    return "security key for payouts set"


def _check_shape(name: str, value: str) -> None:
    """Checks a value as the service does when it starts. A valid value stays in the environment."""
    from supatoss.settings import Settings

    before = os.environ.get(name)
    os.environ[name] = value
    try:
        Settings.load()
    except ConfigurationError as error:
        wrong = [problem for problem in error.problems if problem.startswith(name)]
        if wrong:
            if before is None:
                del os.environ[name]
            else:
                os.environ[name] = before
            raise Stopped("; ".join(wrong), _WHERE, ExitStatus.MISUSE) from None
