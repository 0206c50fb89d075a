"""Ways in which the project opens our tables: policies, views and functions of its own."""

from supatoss.cli.doctor import Verdict, failed, ok, skipped, warning
from supatoss.errors import StoreError
from supatoss.key_shapes import role_of
from supatoss.settings import Settings
from supatoss.store import Store
from supatoss.store.exposure import Exposure, Look, OpenFunction, OpenView, Policy, Sight
from supatoss.store.keys import SERVICE_ROLE

NAME = "open tables"

_EDITOR = "in the SQL Editor: "
_HARDEN = "supatoss harden shows what a fresh project has; with --apply it changes payments and subscriptions"


async def check_exposure(settings: Settings, store: Store) -> list[Verdict]:
    """Reads from the database what opens them."""
    try:
        found = await store.read_exposure()
    except StoreError:
        return [skipped(NAME, "can't verify: see the verdict about the Data API")]
    is_own_role = role_of(settings.supabase_secret_key.get_secret_value()) == SERVICE_ROLE
    return judge(found, names_triggers=is_own_role)


def judge(found: Exposure, *, names_triggers: bool = False) -> list[Verdict]:
    """A verdict for everything that opens a table, and one if nothing does."""
    verdicts = [
        *(_look(look) for look in found.strangers if look.sees in (Sight.ROWS, Sight.UNKNOWN)),
        *(_unprotected(table) for table in found.unprotected),
        *(_policy(policy) for policy in found.policies if not policy.asks),
        *(_view(view) for view in found.views),
        *(_function(function) for function in found.functions),
        *(_trigger(trigger) for trigger in found.triggers if names_triggers),
    ]
    own = f"; {len(found.policies)} of the project's own policies check the user" if found.policies else ""
    return verdicts or [ok(NAME, f"a stranger sees no row, and no view or function opens them{own}")]


def _look(look: Look) -> Verdict:
    who = "anyone with the publishable key" if look.role == "anon" else "any signed-in user"
    check = f"{NAME}: {look.table} as {look.role}"
    if look.sees is Sight.UNKNOWN:
        return warning(check, f"can't verify what {who} sees: a policy raises an error", "see the project's policies")
    return failed(check, f"{who} can read other users' rows", f"drop or narrow the policy that allows it; {_HARDEN}")


def _unprotected(table: str) -> Verdict:
    fix = f"{_EDITOR}alter table {table} enable row level security;"
    return failed(f"{NAME}: {table}", "row level security is off, and users have grants", fix)


def _policy(policy: Policy) -> Verdict:
    return failed(
        f"{NAME}: policy {policy.policy}",
        f"lets {_names(policy.roles)} {policy.command.replace('all', 'do everything')} without checking the user:"
        f" {policy.expression}",
        f"{_EDITOR}drop policy {policy.policy};\n{_HARDEN}",
    )


def _view(view: OpenView) -> Verdict:
    check, way = f"{NAME}: {view.kind} {view.view}", " and can be written through" if view.writes else ""
    message = f"reads {', '.join(view.tables)} past row level security for {_names(view.roles)}{way}"
    revoke = f"{_EDITOR}revoke all on {view.view} from public, anon, authenticated;"
    if view.writes and view.asks:
        # Such a view is meant to be read: "my payments".
        return failed(
            check, message, f"{_EDITOR}revoke insert, update, delete on {view.view} from {_names(view.roles)};"
        )
    fix = revoke if view.kind != "view" else f"{_EDITOR}alter view {view.view} set (security_invoker = true);\n{revoke}"
    if view.asks:
        return warning(check, f"{message}; it checks the user", fix)
    return failed(check, message, fix)


def _function(function: OpenFunction) -> Verdict:
    check, names = f"{NAME}: function {function.function}", _names(function.roles)
    revoke = f"{_EDITOR}revoke execute on function {function.function} from public, anon, authenticated;"
    if function.is_hook:
        return failed(check, f"{names} can call it with a made-up payment (docs/reacting.md)", revoke)
    asks = "it checks its caller" if function.asks else "it never checks its caller"
    return warning(
        check,
        f"runs with its owner's rights, names our tables, and {names} can call it; {asks}",
        f"check what it lets a caller read and write, or\n{revoke}",
    )


def _trigger(trigger: str) -> Verdict:
    return warning(
        f"{NAME}: trigger {trigger}",
        f"checks the token's role, which is {SERVICE_ROLE} here and not service_role",
        f"let it accept {SERVICE_ROLE} too, or check current_user, which is service_role in both cases",
    )


def _names(roles: tuple[str, ...]) -> str:
    return ", ".join(roles)
