-- Since when an event waits: when it was recorded, or replayed. Its age in the backlog; created_at would make an old event
-- that an operator replays look like an old backlog. A default of now() is kept beside the table: no row is rewritten.
alter table public.webhook_events add column if not exists waiting_since timestamptz not null default now();
update public.webhook_events set waiting_since = coalesce(created_at, now()) where status = 'pending';
comment on column public.webhook_events.waiting_since is 'When the event was put into the inbox: recorded, or replayed.';

create index if not exists webhook_events_waiting_idx on public.webhook_events (waiting_since) where status = 'pending';

-- Age in seconds of the event that waits longest for Toss; null when none waits. One step in an index of pending events alone.
create function public.supatoss_oldest_waiting_seconds_v1()
returns double precision
language sql stable
set search_path = ''
as $$
  select extract(epoch from now() - min(w.waiting_since))::double precision
  from public.webhook_events w where w.status = 'pending'
$$;

select supatoss.close_functions();
