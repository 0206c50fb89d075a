"""The SQL that removes supatoss from a project. Pure."""

from pathlib import Path

from supatoss.store.schema import SCHEMA_VERSION

_TEXT = Path(__file__).with_name("uninstall.sql")


def uninstall_sql(*, delete_data: bool) -> str:
    """One text for every project: it finds out what was adopted, and where `migrations copy` has put the tables."""
    values = {"{schema_version}": str(SCHEMA_VERSION), "{delete_data}": "on" if delete_data else "off"}
    text = _TEXT.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(name, value)
    return text
