-- The last migration: whatever ran before, nobody but the service calls a function of ours, and the service may start.

-- Counts up with every migration that the service relies on; /readyz compares it with SCHEMA_VERSION of
-- service/supatoss.
create function public.supatoss_schema_version()
returns integer
language sql immutable
set search_path = ''
as $$ select 4 $$;

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
