"""The SQL that removes supatoss from a project. Pure."""

from pathlib import Path

from supatoss.store.schema import SCHEMA_VERSION

_TEXT = Path(__file__).with_name("uninstall.sql")


def uninstall_sql(*, delete_data: bool) -> str:
    """The same text for every project: the SQL itself finds the adopted tables, and where the tables are."""
    values = {"{schema_version}": str(SCHEMA_VERSION), "{delete_data}": "on" if delete_data else "off"}
    text = _TEXT.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(name, value)
    return text
