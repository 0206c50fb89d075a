"""Keys of a Supabase project: their kinds, and the headers that carry them."""

from supatoss.key_shapes import role_of

SERVICE_ROLE = "supatoss_service"
"""The role of the migrations that may do what the service does, and nothing else."""


def is_token(key: str) -> bool:
    """Whether a key is a JWT: a legacy key, or a token of a role of the project's own."""
    return key.startswith("eyJ") and key.count(".") == 2


def is_legacy_key(key: str) -> bool:
    """Whether a key is an anon or service_role key, a JWT. Supabase deprecates them by the end of 2026."""
    return is_token(key) and role_of(key) in (None, "anon", "service_role")


def key_headers(key: str, publishable_key: str | None = None) -> dict[str, str]:
    """Headers that carry a key: a newer one in apikey only, since as a bearer token it can fail, being no JWT.

    Supabase's gateway takes only a key of its own as apikey: a token of another role needs the publishable key there.
    """
    if not is_token(key):
        return {"apikey": key}
    gateway_key = key if is_legacy_key(key) else publishable_key or key
    return {"apikey": gateway_key, "authorization": f"Bearer {key}"}
