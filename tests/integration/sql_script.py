"""scripts/sql.py as a process."""

import json
import os
import re
import subprocess
import sys

from scripts.local_stack import ROOT


def sql(env: dict[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - arguments of these tests
        [sys.executable, "scripts/sql.py", *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "SUPABASE_URL": env["SUPABASE_URL"], "SUPABASE_SECRET_KEY": env["key"]},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def check_sql(variables: dict[str, str], order_id: str) -> None:
    """The query of the SQL Editor works, exact and in Korean; nothing can be changed, and only by the secret key."""
    env = {**variables, "key": variables["SUPABASE_SECRET_KEY"]}
    shown = sql(env, "SELECT * FROM webhook_events ORDER BY created_at DESC LIMIT 10;")
    assert re.search(r"^row 1$", shown.stdout, re.MULTILINE), shown.stderr
    assert re.search(r"^  event_type +PAYMENT_STATUS_CHANGED$", shown.stdout, re.MULTILINE)
    assert "토스 티셔츠" in shown.stdout
    query = (
        f"SELECT order_name, amount, 12345678901234567890.10 AS n FROM payments WHERE order_id = '{order_id}' -- one"
    )
    assert "12345678901234567890.10" in sql(env, query).stdout
    (row,) = json.loads(sql(env, "--json", stdin=query).stdout)
    assert (list(row), row["amount"]) == (["order_name", "amount", "n"], 9900)
    assert sql(env, "SELECT 1 FROM payments WHERE false").stdout == "no rows\n"
    for statement, message in (
        ("DELETE FROM payments", "expected one query (SELECT, WITH, VALUES, TABLE), not: DELETE"),
        ("WITH gone AS (DELETE FROM payments RETURNING id) SELECT * FROM gone", "data-modifying"),
        ("SELECT 1) r; DELETE FROM payments; SELECT (1", "DELETE is not allowed in a non-volatile function"),
        ("SELECT nothing", 'column "nothing" does not exist'),
    ):
        refused = sql(env, statement)
        assert refused.returncode in (1, 2)
        assert message in refused.stderr
    closed = sql({**env, "key": env["SUPABASE_PUBLISHABLE_KEY"]}, "SELECT 1")
    assert "permission denied" in closed.stderr
    assert len(json.loads(sql(env, "--json", stdin=query).stdout)) == 1
