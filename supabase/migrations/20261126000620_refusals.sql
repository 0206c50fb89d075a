-- The code of the project itself runs in our transactions: its triggers, defaults and constraints. Functions of ours
-- that write its tables have the search_path of the Data API, because triggers name tables without their schema; they
-- name everything of their own with its schema. Whatever such code raises is the fault of one event, never of its
-- neighbours, except for what a retry cures.

-- Whether the same call can succeed later: no connection, deadlock or conflict with another transaction, resources, an
-- operator's intervention or a time-out, a lock, input and output.
create function supatoss.is_cured_by_retry(p_state text, p_message text)
returns boolean
language plpgsql immutable
set search_path = ''
as $$
begin
  return left(p_state, 2) in ('08', '40', '53', '57') or p_state in ('25006', '55P03', '58000', '58030')
         or (p_state = 'XX000' and p_message like '%concurrently updated%');
end;
$$;

-- The message of an error without values of rows. PostgreSQL quotes them in errors about data (SQLSTATE class 22, such
-- as 'invalid input syntax for type uuid: "…"'); in others it quotes names, and the project's code says what it likes.
create function supatoss.without_values(p_message text, p_state text)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return case when left(p_state, 2) = '22' then regexp_replace(p_message, '".*"', '"…"') else p_message end;
end;
$$;

-- An error for webhook_events.last_error: the trigger and function that raised it, if one did, or else the table that
-- was being written. p_context: PG_EXCEPTION_CONTEXT, the innermost call first.
create function supatoss.describe_refusal(p_message text, p_state text, p_context text)
returns text
language plpgsql stable
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_lines text[] := string_to_array(p_context, E'\n');
  v_message text := supatoss.without_values(p_message, p_state);
  v_error text := left(concat_ws(' ', v_message, format('(SQLSTATE %s)', p_state)), 1000);
  v_line integer := 0;
  v_function text;
  v_innermost text;
  v_outermost text;
  v_table regclass;
  v_triggers text;
begin
  for i in 1 .. coalesce(cardinality(v_lines), 0) loop
    v_function := substring(v_lines[i] from '^PL/pgSQL function (.*?\)) ');
    exit when v_function ~ '^supatoss\.|^(public\.)?(supatoss_\w+|\w+_webhook_events?_v\d+)\(';
    if v_function is not null then
      v_innermost := coalesce(v_innermost, v_function);
      v_outermost := v_function;
      v_line := i;
    end if;
  end loop;
  v_table := to_regclass(substring(
    array_to_string(v_lines[v_line + 1 :], E'\n') from '(?:insert into|update|delete from) (\w+\.\w+)'));
  if v_outermost is null then
    return concat_ws(': ', v_table, v_error);
  end if;
  select string_agg(format('%I on %s', t.tgname, t.tgrelid::regclass), ' or ' order by t.tgname) into v_triggers
  from pg_catalog.pg_trigger t
  where v_outermost like '%()' and t.tgfoid = to_regprocedure(v_outermost) and not t.tgisinternal
    and t.tgrelid = coalesce(v_table, t.tgrelid);
  return format('%s: %s', concat_ws(', ', 'trigger ' || v_triggers, 'function ' || v_outermost,
                                    'in ' || nullif(v_innermost, v_outermost)), v_error);
end;
$$;

select supatoss.close_functions();
