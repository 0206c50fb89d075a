-- The inbox. The columns of existing projects come first; a writer that knows only those still works.
create table if not exists public.webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_type text not null,
  payment_key text,
  payload jsonb not null,
  processed boolean default false,
  processed_at timestamptz,
  created_at timestamptz default now()
);

select supatoss.adopt_column_types('public.webhook_events', array[]::text[]);
select supatoss.order_ids_by_time('public.webhook_events');
-- To text no row is rewritten.
alter table public.webhook_events
  -- squawk-ignore changing-column-type
  alter column event_type type text,
  -- squawk-ignore changing-column-type
  alter column payment_key type text;

-- Rows that are there get a key each, so they are rewritten, once. A default of now() costs none.
alter table public.webhook_events
  -- squawk-ignore adding-field-with-default
  add column if not exists event_key text not null default ('unkeyed:' || gen_random_uuid()::text),
  add column if not exists status text not null default 'ignored',
  add column if not exists reason text default 'not_recorded_by_supatoss',
  add column if not exists proof text,
  add column if not exists order_id text,
  add column if not exists occurred_at timestamptz,
  add column if not exists change jsonb,
  add column if not exists claim jsonb,
  add column if not exists attempts integer not null default 0,
  add column if not exists next_attempt_at timestamptz,
  add column if not exists last_error text,
  add column if not exists transmission_id text,
  add column if not exists transmission_time timestamptz,
  add column if not exists transmission_retried_count integer,
  add column if not exists delivery_count integer not null default 1,
  add column if not exists last_delivered_at timestamptz not null default now(),
  add column if not exists lease_token uuid,
  add column if not exists lease_until timestamptz,
  add column if not exists payload_emptied_at timestamptz,
  add column if not exists waiting_since timestamptz not null default now();

select supatoss.drop_policies('public.webhook_events');
alter table public.webhook_events enable row level security;
revoke all on table public.webhook_events from public, anon, authenticated;
grant select, insert, update, delete on table public.webhook_events to service_role;

-- Rows that were there before: what they changed is in the tables already, so they are kept and left alone. Pages of
-- events are keyed by created_at, so a row without a time gets one.
update public.webhook_events
set status = case when processed then 'processed' else 'ignored' end, reason = 'adopted',
    created_at = coalesce(created_at, now()), last_delivered_at = coalesce(created_at, now())
where event_key like 'unkeyed:%' and reason = 'not_recorded_by_supatoss';

alter table public.webhook_events
  add constraint webhook_events_event_key_key unique (event_key),
  add constraint webhook_events_status_check check (status in ('processed', 'ignored', 'pending', 'failed')),
  add constraint webhook_events_proof_check
    check (proof in ('signature', 'toss_api', 'billing_key', 'operator'));

-- An event of Toss (2 to 4 kB with its change) stays as it came: compressing it takes longer than writing it.
alter table public.webhook_events set (toast_tuple_target = 4080);

create index if not exists webhook_events_created_at_idx on public.webhook_events (created_at desc);
create index if not exists webhook_events_order_id_idx on public.webhook_events (order_id);
create index if not exists webhook_events_payment_key_idx on public.webhook_events (payment_key);
create index if not exists webhook_events_customer_key_idx
  on public.webhook_events ((change ->> 'customer_key')) where change ->> 'kind' = 'billing';
create index if not exists webhook_events_billing_key_idx
  on public.webhook_events ((change ->> 'billing_key')) where change ->> 'kind' = 'billing';
-- All others are of few rows, so that they cost other events nothing. Those that the worker claims:
create index if not exists webhook_events_unfinished_idx
  on public.webhook_events (status, next_attempt_at) where status in ('pending', 'failed');
-- Events that wait until somebody says which order they belong to, by their payment; without it every batch would
-- read all pending events, of which an outage of Toss leaves many.
create index if not exists webhook_events_orphans_idx on public.webhook_events (payment_key)
  where status = 'pending' and reason = 'unknown_order';
-- The age of the backlog.
create index if not exists webhook_events_waiting_idx on public.webhook_events (waiting_since)
  where status = 'pending' and coalesce(reason, '') <> 'toss_disagrees';
-- Oldest waiting, newest failed, and pages of either.
create index if not exists webhook_events_unfinished_created_at_idx
  on public.webhook_events (status, created_at, id) where status in ('pending', 'failed');
-- Alerts: failed events, money first.
create index if not exists webhook_events_failed_money_idx on public.webhook_events (created_at)
  where status = 'failed' and reason in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
create index if not exists webhook_events_failed_other_idx on public.webhook_events (created_at)
  where status = 'failed'
    and coalesce(reason, '') not in ('amount_mismatch', 'approval_amount_mismatch', 'double_charge');
-- Retention: rows of ours alone; those that somebody else wrote (unkeyed) are not ours to empty.
create index if not exists webhook_events_retention_idx on public.webhook_events (created_at)
  where payload_emptied_at is null and status in ('processed', 'ignored') and event_key not like 'unkeyed:%';

comment on table public.webhook_events is 'Inbox: one row per event, however often it was delivered.';
comment on column public.webhook_events.event_key is
  'Identity of the event: SHA-256 of the canonical JSON of its body.';
comment on column public.webhook_events.status is
  'processed: its change is applied; ignored: nothing to do (reason); pending: waits for Toss;'
  ' failed: needs a person (last_error).';
comment on column public.webhook_events.processed is
  'True when status is processed or ignored; kept for existing queries.';
comment on column public.webhook_events.proof is 'Why the event is believed.';
comment on column public.webhook_events.occurred_at is 'When it happened at Toss.';
comment on column public.webhook_events.change is 'What the event means for a row, in supatoss''s terms.';
comment on column public.webhook_events.claim is
  'What the delivery claimed, while Toss does not show it yet: {status, secret_digest, cancels, created_at}.';
comment on column public.webhook_events.delivery_count is 'How many deliveries carried this event.';
comment on column public.webhook_events.lease_token is 'Who works on a pending event; settling it takes this token.';
comment on column public.webhook_events.lease_until is 'Until then nobody else claims the event.';
comment on column public.webhook_events.payload_emptied_at is 'When retention emptied the payload, which is {} since.';
comment on column public.webhook_events.waiting_since is
  'When the event was put into the inbox: recorded, or replayed.';
