"""Fly.io: the app, its secrets and the deployment. The commands are run with --deploy, otherwise printed."""

import json
import re
from pathlib import Path
from typing import Any

import typer

import supatoss
from supatoss.cli.init.address import PLACEHOLDER, PUBLIC_URL
from supatoss.cli.init.programs import Program
from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.output import plain

SECRETS = (
    *("SUPABASE_URL", "SUPABASE_SECRET_KEY", "SUPABASE_PUBLISHABLE_KEY", "TOSS_SECRET_KEY", "TOSS_SECURITY_KEY"),
    *("PUBLIC_URL", "ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "OPS_USERS", "OPS_PASSWORD", "RECONCILE_AT"),
)
"""Settings that are set here and become secrets on Fly.io."""

_DOCKERFILE = """\
# Made by `supatoss init`. fly.toml beside it names the processes.
FROM python:3.13-slim
RUN pip install --no-cache-dir supatoss=={version} && useradd --system --uid 10001 --no-create-home supatoss
USER 10001
CMD ["supatoss", "serve"]
"""


def wanted_secrets(setup: Setup) -> dict[str, str]:
    """The answers and environment variables that the service needs."""
    return {name: value for name in SECRETS if (value := setup.answer(name))}


def as_lines(secrets: dict[str, str]) -> str:
    """The input of `fly secrets import`. Raises Stopped for a value that it would misread."""
    for name, value in secrets.items():
        if re.search(r"[\n\r\"'#]", value):
            raise Stopped(f"{name} contains a quote, a # or a line break", f"set it by hand: fly secrets set {name}=…")
    return "".join(f"{name}={value}\n" for name, value in secrets.items())


class SecretsStep(Step):
    """Sets the secrets on Fly.io, over standard input: every user of this machine could read an argument."""

    name = "secrets"

    def done(self, setup: Setup) -> str | None:
        """Outside of Fly.io, it says which settings the service needs."""
        if setup.fly_app is None:
            return f"not on Fly.io: set {', '.join(wanted_secrets(setup))} where the service runs"
        is_ready = not setup.options.deploys and ready(setup.answer(PUBLIC_URL))
        return "the service is ready, so it has them" if is_ready else None

    def run(self, setup: Setup) -> str:
        """Creates the app if there is none, and imports. Fly's digests show whether anything is new."""
        app, secrets = setup.fly_app or "", wanted_secrets(setup)
        lines = as_lines(secrets)
        setup.is_deploying = setup.is_told(
            setup.options.deploys, f"Set {len(secrets)} secrets of {app} now, using fly?"
        )
        if not setup.is_deploying:
            return _print_commands(setup, app, secrets)
        fly = find_fly()
        if app not in {str(known.get("Name")) for known in _read(fly, ["apps", "list", "--json"])}:
            fly.run(["apps", "create", app])
        before = _digests(fly, app)
        fly.run(["secrets", "import", "--stage", "--app", app], typed=lines)
        after = _digests(fly, app)
        setup.has_new_secrets = after != before or any("staged" in status for _, status in after.values())
        return f"{len(secrets)} secrets of {app} " + ("are set" if setup.has_new_secrets else "are unchanged")


def _print_commands(setup: Setup, app: str, secrets: dict[str, str]) -> str:
    typer.echo("  Run this for Fly.io; --deploy runs it here. Values come from .env, never from the command line:")
    names = "|".join(secrets)
    for line in (
        f"fly apps create {app}",
        f"grep -E '^({names})=' {setup.env_file.path.name} | fly secrets import --stage --app {app}",
        f"fly deploy --app {app}",
    ):
        typer.echo(f"    {plain(line)}")
    return "commands printed above"


def find_fly() -> Program:
    """The program `fly`. Raises Stopped if it isn't installed."""
    fly = Program.find("fly", "flyctl")
    if fly is None:
        raise Stopped("fly is not on PATH", "install it (fly.io/docs/flyctl/install), then: fly auth login")
    return fly


def _digests(fly: Program, app: str) -> dict[str, tuple[str, str]]:
    """Digest and status of each secret: Fly shows no values."""
    found = _read(fly, ["secrets", "list", "--app", app, "--json"])
    return {str(_field(one, "name")): (str(_field(one, "digest")), str(_field(one, "status")).lower()) for one in found}


def _field(one: dict[str, Any], name: str) -> Any:
    """A field by its name in any case: versions of fly differ."""
    return next((value for key, value in one.items() if key.lower() == name), None)


def _read(fly: Program, arguments: list[str]) -> list[dict[str, Any]]:
    text = fly.read(arguments)
    try:
        found = json.loads(text or "[]")
    except ValueError:
        found = None
    if not isinstance(found, list | None):
        found = None
    return [one for one in found or [] if isinstance(one, dict)]


class DeployStep(Step):
    """Deploys from the checkout, or with a fly.toml and Dockerfile that it writes."""

    name = "deploy"

    def done(self, setup: Setup) -> str | None:
        """Done if the service is ready and no secret is new."""
        if setup.has_new_secrets:
            return None
        said = ready(setup.answer(PUBLIC_URL))
        return f"{setup.answer(PUBLIC_URL)} {said}" if said else None

    def run(self, setup: Setup) -> str:
        """Runs fly with --deploy; otherwise waits for somebody to deploy."""
        if setup.fly_app is None or not setup.is_deploying:
            return self._by_hand(setup)
        made = write_fly_files(Path.cwd(), setup.fly_app)
        for file in made:
            typer.echo(f"  wrote {file}")
        find_fly().run(["deploy", "--app", setup.fly_app])
        return f"{setup.fly_app} is deployed"

    def _by_hand(self, setup: Setup) -> str:
        url = setup.answer(PUBLIC_URL)
        if not setup.asking.is_there:
            raise Stopped(f"supatoss doesn't answer at {url}", "deploy it, or run supatoss init --deploy")
        setup.asking.text(f"Deploy it, and press Enter once it runs at {url}")
        return "done by hand"


def write_fly_files(folder: Path, app: str) -> list[Path]:
    """Writes fly.toml and Dockerfile if fly.toml is missing. Returns what was written."""
    config, dockerfile = folder / "fly.toml", folder / "Dockerfile"
    if config.is_file():
        return []
    text = fly_config().replace(PLACEHOLDER, app)
    wanted = {config: text, dockerfile: _DOCKERFILE.format(version=supatoss.__version__)}
    written = [file for file in wanted if not file.exists()]
    try:
        for file in written:
            file.write_text(wanted[file], encoding="utf-8")
    except OSError as error:
        raise Stopped(f"can't write {folder}: {error.strerror}", "run this in a folder that you can write to") from None
    return written


def fly_config() -> str:
    """This release's fly.toml, from the wheel or the checkout."""
    package = Path(supatoss.__file__).parent
    packaged = package / "fly.toml"
    return (packaged if packaged.is_file() else package.parents[1] / "fly.toml").read_text(encoding="utf-8")


def ready(url: str) -> str | None:
    """What /readyz says if supatoss is ready there, else None."""
    import httpx

    from supatoss.tls import tls_context

    try:
        answer = httpx.get(f"{url}/readyz", verify=tls_context(), trust_env=False, timeout=5.0)
        content = answer.json()
    except (httpx.HTTPError, ValueError):
        return None
    is_ours = answer.is_success and isinstance(content, dict) and content.get("status") == "ready"
    return f"is ready (schema version {content.get('schema_version')})" if is_ours else None
