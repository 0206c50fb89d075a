"""Whether the Data API answers, and the database has the migrations of this release."""

from supatoss.cli.doctor.verdict import Verdict, failed, ok
from supatoss.errors import StoreError, StoreUnavailable
from supatoss.settings import Settings
from supatoss.store import SCHEMA_VERSION, Store

DATA_API = "Data API"
SCHEMA = "schema"

_MIGRATE = "run the migrations: npx supabase db push"
_NO_FUNCTION = "PGRST202"


async def check_database(settings: Settings, store: Store) -> list[Verdict]:
    """Two verdicts where the Data API answers, one where not."""
    try:
        version = await store.schema_version()
    except StoreUnavailable as error:
        mend = f"see that SUPABASE_URL ({settings.supabase_url}) is the project's address and the project is not paused"
        return [failed(DATA_API, str(error), mend)]
    except StoreError as error:
        if _NO_FUNCTION in str(error):
            return [ok(DATA_API, settings.supabase_url), failed(SCHEMA, "no migration of supatoss is there", _MIGRATE)]
        mend = "see that SUPABASE_SECRET_KEY is the secret key of this project (Project Settings > API Keys)"
        return [failed(DATA_API, str(error), mend)]
    reached = ok(DATA_API, f"{settings.supabase_url} answers and accepts the key")
    if version < SCHEMA_VERSION:
        return [reached, failed(SCHEMA, f"version {version}; this release needs {SCHEMA_VERSION}", _MIGRATE)]
    return [reached, ok(SCHEMA, f"version {version}")]
