"""Our migrations in a merchant's own repository, next to their history.

The Supabase CLI applies files in the order of their versions, and refuses one that is older than the newest applied
migration. So a copy gets a version after everything that is there, and its first lines say which file of ours it is.
"""

import datetime as dt
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import supatoss
from supatoss.cli.naming import Naming, relations_of
from supatoss.errors import NotAllowed

CLI = "npx supabase@3.1.0"

_MIGRATION = re.compile(r"([0-9]+)_(.*)\.sql")
"""File names that the Supabase CLI applies; it skips all others."""

_MARK = "-- supatoss-copy: "
_MARK_BYTES = 4096
"""The marks stand at the top: no merchant's seed of 100 MB is read."""

_UNINSTALL_MARK = "-- supatoss-uninstall"
UNINSTALL = "uninstall.sql"

_VERSION = "%Y%m%d%H%M%S"
_VERSION_LENGTH = 14


class Problem(StrEnum):
    """Why a copy must change, or needs to be checked."""

    CHANGED = "changed by hand since it was copied; left as it is"
    OTHER_TEXT = "this release has another text; if none of ours is applied yet, delete the copies and copy again"
    GONE = "missing, although later files of ours are there; restore it from version control"
    TWICE = "copied twice; delete the copy that isn't applied"


@dataclass(frozen=True)
class Copy:
    """A file of the merchant's folder that is one of ours."""

    path: Path
    origin: str
    naming: Naming
    copied: str
    """Digest of the text when it was copied."""
    found: str
    """Digest of the text now."""


@dataclass(frozen=True)
class Plan:
    """What a folder needs. `missing`: file of ours, and the file to write. Nothing is written while `is_blocked`."""

    folder: Path
    naming: Naming
    missing: Mapping[str, Path]
    problems: Sequence[tuple[str, Problem]]
    newer: Sequence[str]
    """Copies from a later release than this one."""

    @property
    def is_blocked(self) -> bool:
        """Whether new files could rely on something that isn't there."""
        return any(problem is not Problem.CHANGED for _, problem in self.problems)


def release_folder() -> Path:
    """The migrations of this release: inside the wheel, or in the checkout."""
    package = Path(supatoss.__file__).parent
    packaged = package / "migrations"
    return packaged if packaged.is_dir() else package.parents[1] / "supabase" / "migrations"


def read_release() -> dict[str, str]:
    """Name and text of every migration of this release, in their order."""
    return {file.name: file.read_text(encoding="utf-8") for file in sorted(release_folder().glob("*.sql"))}


def find_folder(given: Path) -> Path:
    """The folder of migrations, from the repository, its `supabase`, or the folder itself. Raises NotAllowed."""
    try:
        return _find_folder(Path(os.path.abspath(given)), given)  # noqa: PTH100 - resolve() would follow links
    except OSError as error:
        raise NotAllowed(f"can't read {given}: {error.strerror}") from None


def _find_folder(path: Path, given: Path) -> Path:
    is_migrations = path.name == "migrations" and path.parent.name == "supabase"
    project = path.parent if is_migrations else path if path.name == "supabase" else path / "supabase"
    if not (path.parent if is_migrations else path).exists():
        raise NotAllowed(f"there is no folder {given}: name your repository or its supabase/migrations")
    if path.exists() and not path.is_dir():
        raise NotAllowed(f"{given} is not a folder: name your repository or its supabase/migrations")
    if not (project / "config.toml").is_file():
        raise NotAllowed(
            f"{given} is not a Supabase project: there is no {project / 'config.toml'}."
            f" `{CLI} init` in the repository makes one"
        )
    return project / "migrations"


def plan(folder: Path, release: Mapping[str, str], wanted: Naming | None, now: dt.datetime) -> Plan:
    """Compares a folder with this release. `wanted` None takes the naming of the copies. Raises NotAllowed."""
    files = _migrations_in(folder)
    copies = _copies_of(files, release)
    naming = _agreed_naming(copies, wanted)
    texts = _render(release, naming)
    by_origin: dict[str, list[Copy]] = {}
    for copy in copies:
        by_origin.setdefault(copy.origin, []).append(copy)
    newest_copied = max(by_origin, default="")
    problems: list[tuple[str, Problem]] = []
    missing = []
    for name, text in texts.items():
        found = by_origin.get(name, [])
        if not found and name > newest_copied:
            missing.append(name)
        elif not found:
            problems.append((name, Problem.GONE))
        elif len(found) > 1:
            problems.append((", ".join(copy.path.name for copy in found), Problem.TWICE))
        elif found[0].found != found[0].copied:
            problems.append((found[0].path.name, Problem.CHANGED))
        elif found[0].copied != _digest(text):
            problems.append((found[0].path.name, Problem.OTHER_TEXT))
    has_only_ours = {file.name for file in files} == {copy.origin for copy in copies}
    names = missing if has_only_ours else _names(missing, files, now)
    targets = {name: folder / target for name, target in zip(missing, names, strict=True)}
    newer = [copy.path.name for copy in copies if copy.origin not in release]
    return Plan(folder, naming, targets, problems, newer)


def _copies_of(files: Sequence[Path], release: Mapping[str, str]) -> list[Copy]:
    """What is installed: a file of `supatoss uninstall` takes back the copies before it."""
    last = max((number for number, file in enumerate(files) if _is_uninstall(file)), default=-1)
    return [copy for file in files[last + 1 :] if (copy := _read_copy(file, release))]


def write_uninstall(folder: Path, text: str, now: dt.datetime) -> Path | None:
    """Writes a migration that reverts the copies; None if an earlier file does so already. Raises NotAllowed."""
    files = _migrations_in(folder)
    if any(map(_is_uninstall, files)) and not _copies_of(files, read_release()):
        return None
    (name,) = _names([f"_{UNINSTALL}"], files, now)
    _write_file(folder / name, f"{_UNINSTALL_MARK}\n{text}")
    return folder / name


def _is_uninstall(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            return _UNINSTALL_MARK.encode() in opened.read(_MARK_BYTES)
    except OSError as error:
        raise NotAllowed(f"can't read {file}: {error.strerror}") from None


def write(plan: Plan, release: Mapping[str, str]) -> None:
    """Writes the missing files, each atomically. Raises NotAllowed if the folder can't be written."""
    texts = _render(release, plan.naming)
    for name, target in plan.missing.items():
        _write_file(target, _header(name, texts[name], plan.naming) + texts[name])


def _write_file(target: Path, text: str) -> None:
    part = target.with_name(".supatoss-copy")
    try:
        target.parent.mkdir(exist_ok=True)  # `supabase init` makes none
        part.write_text(text, encoding="utf-8", newline="\n")
        part.rename(target)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise NotAllowed(f"can't write to {target.parent}: {error.strerror}; run it again when that is fixed") from None


def _render(release: Mapping[str, str], naming: Naming) -> dict[str, str]:
    relations = relations_of(release.values())
    texts = {name: naming.rename(text, relations) for name, text in release.items()}
    first = min(texts)
    return {**texts, first: texts[first] + naming.setup()}


def _migrations_in(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if _MIGRATION.fullmatch(file.name) and not file.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise NotAllowed(f"can't read {folder}: {error.strerror}") from None


def _read_copy(file: Path, release: Mapping[str, str]) -> Copy | None:
    """What a file says about itself; without a mark it is ours if it has our name: pushed from our checkout."""
    try:
        with file.open("rb") as opened:
            start = opened.read(_MARK_BYTES)
            is_marked = _MARK.encode() in start
            if not is_marked and file.name not in release:
                return None
            text = (start + opened.read()).decode("utf-8-sig")
    except OSError as error:
        raise NotAllowed(f"can't read {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise NotAllowed(f"{file} is not UTF-8 any more: restore it from version control") from None
    if not is_marked:
        return Copy(file, file.name, Naming(), _digest(text), _digest(text))
    _, _, marked = text.partition(_MARK)
    line, _, body = marked.partition("\n")
    try:
        mark = json.loads(line)
        naming = Naming(str(mark["schema"]), dict(mark["tables"]))
        return Copy(file, str(mark["file"]), naming, str(mark["sha256"]), _digest(body))
    except (ValueError, KeyError, TypeError):
        raise NotAllowed(f"{file}: its line {_MARK.strip()} is damaged; restore it from version control") from None


def _header(name: str, text: str, naming: Naming) -> str:
    mark = {
        "file": name,
        "release": supatoss.__version__,
        "schema": naming.schema,
        "tables": dict(naming.tables),
        "sha256": _digest(text),
    }
    return (
        f"-- Copied by `supatoss migrations copy`, which knows the file by the next line.\n{_MARK}{json.dumps(mark)}\n"
    )


def _digest(text: str) -> str:
    """Ignores what git and `supabase migration fetch` change: line endings, blank lines, final semicolons."""
    return hashlib.sha256(re.sub(r"[\s;]+", " ", text).strip().encode()).hexdigest()


def _agreed_naming(copies: Sequence[Copy], wanted: Naming | None) -> Naming:
    """The naming of the copies, which can't change once they are applied."""
    for copy in copies:
        if copy.naming != copies[0].naming:
            raise NotAllowed(f"{copies[0].path.name} has {copies[0].naming}, but {copy.path.name} has {copy.naming}")
    if not copies:
        return wanted or Naming()
    if wanted not in (None, copies[0].naming):
        raise NotAllowed(
            f"the copies here were made with {copies[0].naming}, which can't be changed to {wanted}."
            " If none of them is applied yet, delete them and copy again"
        )
    return copies[0].naming


def _names(missing: Sequence[str], files: Sequence[Path], now: dt.datetime) -> list[str]:
    """Names after everything that is there, and not later than now if that is possible.

    So the merchant's own next migration, which `supabase migration new` dates with now, comes after ours.
    """
    versions = [found[1] for file in files if (found := _MIGRATION.fullmatch(file.name))]
    newest = max(versions, default="0")[:_VERSION_LENGTH].ljust(_VERSION_LENGTH, "0")
    version = f"{now - dt.timedelta(seconds=max(len(missing), 1)):{_VERSION}}"
    names = []
    for name in missing:
        version = _after(max(version, newest))
        names.append(f"{version}_supatoss_{name.partition('_')[2]}")
    return names


def _after(version: str) -> str:
    try:
        moment = dt.datetime.strptime(version, _VERSION).replace(tzinfo=dt.UTC)
        return f"{moment + dt.timedelta(seconds=1):{_VERSION}}"
    except (ValueError, OverflowError):  # not a time, which the CLI allows
        following = f"{int(version) + 1:0{_VERSION_LENGTH}}"
    if len(following) > _VERSION_LENGTH:
        raise NotAllowed(f"no version can follow that of your newest migration, {version}: rename it")
    return following
