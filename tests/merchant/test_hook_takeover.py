"""The project's own function and the take-over: whatever comes first, each change is told once, with the user in it."""

from functools import partial

from tests.database.support import Database
from tests.merchant.application import PRICE, USER, Application
from tests.merchant.steps import ORDER, Step, orders_of, paid, undone, unfinished

HOOK = """
create table told (change text, user_id uuid, amount numeric);
create function public.on_payment_changed(change text, old_row public.payments, new_row public.payments)
returns void language plpgsql as $$
begin
  if new_row.user_id is null then
    raise exception 'the order is not stored yet';
  end if;
  insert into told values (change, new_row.user_id, new_row.amount);
end;
$$;
grant all on told to service_role;
"""


def test_a_change_is_told_once_when_the_order_is_known(project: Database) -> None:
    project.connection.execute(HOOK)
    application = Application(project.connection)
    steps: list[Step] = [partial(application.order, ORDER)]
    ours = [partial(project.record, paid()), partial(project.record, paid())]
    for order in orders_of(steps, ours):
        with undone(project):
            for step in order:
                step()
            told = [(row["change"], str(row["user_id"]), row["amount"]) for row in project.rows("select * from told")]
            assert told == [("paid", USER, PRICE)]
            assert unfinished(project) == []


def test_a_hook_that_raises_fails_its_event_and_not_the_application_s_insert(project: Database) -> None:
    project.record(paid())
    project.connection.execute(HOOK.replace("new_row.user_id is null", "true"))
    Application(project.connection).order(ORDER)
    assert project.payment(ORDER)["payment_status"] == "DONE"
    assert [(row["status"], row["reason"]) for row in unfinished(project)] == [("failed", "hook_failed")]
