from tests.database.conftest import database, empty_database, migrated_database, postgres  # noqa: F401 - fixtures
