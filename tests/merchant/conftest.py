from tests.database.conftest import database, empty_database, migrated_database, postgres  # noqa: F401 - fixtures
from tests.database.test_races import observer, second  # noqa: F401 - fixtures
