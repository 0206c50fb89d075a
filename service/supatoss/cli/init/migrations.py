"""The migrations: the preflight, the copies in the merchant's repository, and their push."""

import datetime as dt
import time
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import typer

from supatoss.cli import copies
from supatoss.cli.copies import CLI
from supatoss.cli.init.programs import Program
from supatoss.cli.init.setup import Setup
from supatoss.cli.init.step import Step, Stopped
from supatoss.cli.naming import read_naming, relations_of
from supatoss.cli.output import ExitStatus, plain
from supatoss.errors import NotAllowed, SchemaMismatch, StoreError, SupatossError
from supatoss.store.schema import SCHEMA_VERSION

DATABASE_URL = "SUPABASE_DB_URL"
CACHE_SECONDS = 30.0
"""The Data API reloads its schema within moments of a push."""


def installed(setup: Setup) -> str | None:
    """The result of the migration steps if the schema is installed, else None."""
    if setup.schema_version is None or setup.schema_version < SCHEMA_VERSION:
        return None
    if setup.schema_version > SCHEMA_VERSION:
        raise Stopped(
            f"the schema (version {setup.schema_version}) is newer than this release's ({SCHEMA_VERSION})",
            "update supatoss, then run supatoss init again",
        )
    return f"the project has schema version {SCHEMA_VERSION}"


class PreflightStep(Step):
    """Checks for obstacles to the migrations, without changing anything."""

    name = "preflight"

    def done(self, setup: Setup) -> str | None:
        """Done if any version of the schema is installed."""
        return "supatoss is installed already" if setup.schema_version is not None else installed(setup)

    def run(self, setup: Setup) -> str:
        """Checks over a database connection, or by hand in the SQL Editor."""
        from supatoss.cli.doctor.preflight import check_project, preflight_sql

        preflight = preflight_sql(setup.options.schema, setup.options.tables)
        url = database_url(setup)
        if not url and setup.asking.is_there:
            url = setup.asking.text(
                "Database connection string, to check for obstacles before the push (Enter to skip)",
                is_secret=True,
            )
        if not url:
            return self._by_hand(setup, preflight)
        try:
            verdicts = check_project(preflight, url)
        except SupatossError as error:
            raise from_error(error, f"correct {DATABASE_URL}, or leave it out and use the SQL Editor") from None
        setup.remember(DATABASE_URL, url)
        obstacles = [verdict for verdict in verdicts if verdict.level == "failed"]
        if obstacles:
            raise Stopped(
                "\n".join(f"{number}. {verdict.message}" for number, verdict in enumerate(obstacles, 1)),
                "\n".join(_ways(verdict.fix or "", number) for number, verdict in enumerate(obstacles, 1)),
            )
        for verdict in verdicts[:-1]:
            typer.echo(f"  ! {plain(verdict.message)}\n    → {plain(verdict.fix or '')}")
        return verdicts[-1].message

    def _by_hand(self, setup: Setup, preflight: str) -> str:
        from supatoss.cli.doctor.preflight import editor_sql

        if not setup.asking.is_there:
            return f"not checked: {DATABASE_URL} is not set. The push itself checks before it changes anything"
        file = Path("supatoss-preflight.sql")
        try:
            file.write_text(editor_sql(preflight), encoding="utf-8")
        except OSError as error:
            raise Stopped(f"can't write {file}: {error.strerror}", "supatoss doctor --adopt --print shows it") from None
        typer.echo(f"  Paste {file} into the SQL Editor and run it. It changes nothing.")
        if not setup.asking.is_agreed("Did it answer “nothing stands in the way of the migrations”?", default=False):
            raise Stopped("the SQL Editor lists obstacles", "follow its remedies, then run supatoss init again")
        file.unlink(missing_ok=True)
        return "no obstacles, according to the SQL Editor"


def _ways(fix: str, number: int) -> str:
    """Each remedy with its obstacle's number. `init` has the options of `migrations copy`."""
    return "\n".join(
        f"{number}. {line.replace('supatoss migrations copy DIR', 'supatoss init')}" for line in fix.splitlines()
    )


def database_url(setup: Setup) -> str:
    """The connection string, if there is one."""
    return setup.options.database_url or setup.answer(DATABASE_URL)


def from_error(error: SupatossError, remedy: str) -> Stopped:
    """An error of ours, as the reason why a step stopped."""
    from supatoss.cli.output import exit_status

    known = error.remedy if isinstance(error, StoreError) else None
    return Stopped(str(error), known or remedy, exit_status(error))


class CopyStep(Step):
    """Copies the migrations into the merchant's repository, after its own."""

    name = "migrations"

    def done(self, setup: Setup) -> str | None:
        """Done if the folder has every file; without a repository, if the schema is installed."""
        if setup.options.repository is None and (said := installed(setup)):
            return said
        plan = self._plan(setup)
        if not plan.missing and not plan.is_blocked:
            return f"{plan.folder} has every migration of this release"
        return None

    def run(self, setup: Setup) -> str:
        """Copies what is missing."""
        plan = self._plan(setup)
        if plan.is_blocked:
            raise Stopped(
                "\n".join(f"{name}: {problem}" for name, problem in plan.problems),
                f"resolve that first; to check: supatoss migrations copy {setup.repository} --check",
            )
        try:
            copies.write(plan, copies.read_release())
        except NotAllowed as error:
            raise Stopped(str(error), "make it writable", ExitStatus.MISUSE) from None
        return f"copied {len(plan.missing)} files to {plan.folder}; commit them"

    def _plan(self, setup: Setup) -> copies.Plan:
        release = copies.read_release()
        try:
            folder = self._folder(setup)
            wanted = read_naming(setup.options.schema, setup.options.tables, relations_of(release.values()))
            return copies.plan(folder, release, wanted, dt.datetime.now(dt.UTC))
        except NotAllowed as error:
            raise Stopped(str(error), "supatoss init --repository DIR", ExitStatus.MISUSE) from None

    def _folder(self, setup: Setup) -> Path:
        """From the option or the working directory, else asks for it."""
        given = setup.repository or setup.options.repository
        if given is None and Path("supabase/config.toml").is_file():
            given = Path.cwd()
        if given is None:
            answer, _ = setup.asking.until_right(
                "Folder of your repository, with supabase/config.toml in it",
                _check_folder,
                missing="no repository given",
                remedy="supatoss init --repository DIR",
            )
            given = Path(answer).expanduser()
        folder = copies.find_folder(given)
        setup.repository = folder.parent.parent
        return folder


def _check_folder(answer: str) -> str:
    try:
        return str(copies.find_folder(Path(answer).expanduser()))
    except NotAllowed as error:
        raise Stopped(str(error), "name the folder that has supabase/config.toml") from None


class PushStep(Step):
    """Applies the migrations with the Supabase CLI, or prints its commands."""

    name = "push"

    def done(self, setup: Setup) -> str | None:
        """Done if the Data API reports this release's schema version."""
        return installed(setup)

    def run(self, setup: Setup) -> str:
        """Runs the CLI with --push, then waits until the Data API shows the schema."""
        link, push, password = push_commands(setup)
        if not setup.is_told(setup.options.pushes, "Push the migrations now, with the Supabase CLI?"):
            self._by_hand(setup, link, push)
        else:
            npx = Program.find("npx")
            if npx is None:
                raise Stopped("npx is not on PATH", "install Node.js, or push with your own Supabase CLI")
            environment = {"PGPASSWORD": password} if password else {}
            for arguments in (link, [*push, "--yes"]):
                if arguments:
                    npx.run(["--yes", CLI.split()[1], *arguments], folder=setup.repository, environment=environment)
        self._wait(setup)
        return f"the project has schema version {setup.schema_version}"

    def _by_hand(self, setup: Setup, link: list[str], push: list[str]) -> None:
        lines = [f"cd {setup.repository}", *(f"{CLI} {' '.join(words)}" for words in (link, push) if words)]
        if not setup.asking.is_there:
            raise Stopped("the migrations haven't been pushed", "\n".join([*lines, "or run supatoss init --push"]))
        typer.echo("  Run this in another terminal; --push runs it here:")
        for line in lines:
            typer.echo(f"    {plain(line)}")
        setup.asking.text("Press Enter when it is done")

    def _wait(self, setup: Setup) -> None:
        deadline = time.monotonic() + CACHE_SECONDS
        while True:
            try:
                setup.schema_version = setup.ask_store(lambda store: store.schema_version())
            except SchemaMismatch:
                setup.schema_version = None
            except StoreError as error:
                raise from_error(error, "see the project's logs") from None
            if setup.schema_version is not None and setup.schema_version >= SCHEMA_VERSION:
                return
            if time.monotonic() > deadline:
                raise Stopped(
                    f"the Data API doesn't show the new schema after {CACHE_SECONDS:g} seconds",
                    "check that the push reached this project; in the SQL Editor: notify pgrst, 'reload schema'",
                )
            time.sleep(1)


def push_commands(setup: Setup) -> tuple[list[str], list[str], str]:
    """The CLI's arguments to link and to push, and the database password, which is never among them."""
    url = database_url(setup)
    if url:
        address, password = without_password(url)
        return [], ["db", "push", f"--remote={address}"], password
    repository = setup.repository or Path()
    is_linked = (repository / "supabase/.temp/project-ref").is_file()
    ref = (urlsplit(setup.answer("SUPABASE_URL")).hostname or "").partition(".")[0]
    return [] if is_linked else ["link", "--project-ref", ref], ["db", "push", "--remote"], ""


def without_password(url: str) -> tuple[str, str]:
    """A connection string for a command line, and its password apart."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = f"{quote(unquote(parts.username), safe='.')}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=f"{user}{host}")), unquote(parts.password or "")
