-- Replay, alerts, reconciliation, retention and the operators' page rely on the migrations before this one.
create or replace function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 4 $$;

select supatoss.close_functions();
