-- The last migration: whatever ran before, nobody but the service calls a function of ours, and the service may start.

-- Counts up with every migration that the service relies on; /readyz compares it with SCHEMA_VERSION of
-- service/supatoss.
create function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 4 $$;

select supatoss.close_functions();
