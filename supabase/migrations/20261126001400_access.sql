-- The last migration: whatever ran before, nobody but the service calls a function of ours, and the service may start.

-- Counts up with every migration that the service relies on; /readyz compares it with SCHEMA_VERSION of
-- service/supatoss.
create function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 4 $$;

-- /readyz also writes: a database that is read-only, or whose disk is full, still answers what only reads.
create table supatoss.write_checks (
  is_only_row boolean primary key default true check (is_only_row),
  created_at timestamptz not null default now()
);
alter table supatoss.write_checks enable row level security;
revoke all on table supatoss.write_checks from public, anon, authenticated;
grant select, insert, update, delete on table supatoss.write_checks to service_role;

comment on table supatoss.write_checks is 'One row, which /readyz writes to see that it can.';

-- So does one whose inbox has lost its unique key; a duplicate would then be an event of its own.
create function public.supatoss_check_write_v1()
returns void
language plpgsql
set search_path = ''
as $$
begin
  if not exists (
    select from pg_catalog.pg_index i
    join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
    where i.indrelid = 'public.webhook_events'::regclass and i.indisunique and i.indisvalid and i.indnkeyatts = 1
      and a.attname = 'event_key'
  ) then
    raise exception 'the unique key of webhook_events is missing' using errcode = 'SUPA3';
  end if;
  insert into supatoss.write_checks (is_only_row) values (true)
  on conflict (is_only_row) do update set created_at = now();
end;
$$;

-- Where `supatoss migrations copy` has put the tables and views: its replacements reach the right-hand side alone.
create function public.supatoss_table_names_v1()
returns jsonb
language sql immutable
set search_path = ''
as $$
  select jsonb_build_object(
    'payments', 'public.payments',
    'subscriptions', 'public.subscriptions',
    'settlements', 'public.settlements',
    'webhook_events', 'public.webhook_events',
    'webhook_health', 'public.webhook_health',
    'webhook_failures', 'public.webhook_failures',
    'payment_timeline', 'public.payment_timeline')
$$;

select supatoss.close_functions();
