-- The inbox. The columns of existing projects come first; a writer that knows only those still works.
select supatoss.lock_adopted('public.webhook_events', 'access exclusive');

create table if not exists public.webhook_events (
  id uuid primary key default gen_random_uuid(),
  event_type text not null,
  payment_key text,
  payload jsonb not null,
  processed boolean default false,
  processed_at timestamptz,
  created_at timestamptz default now()
);

select supatoss.adopt_columns('public.webhook_events', '{"event_type": null, "payment_key": null}');
select supatoss.order_ids_by_time('public.webhook_events');
alter table public.webhook_events
  add column if not exists payment_key text,
  -- squawk-ignore adding-field-with-default
  add column if not exists processed boolean default false,
  add column if not exists processed_at timestamptz,
  add column if not exists order_id text;
select supatoss.add_clock('public.webhook_events', 'created_at');

-- Not `if not exists`: a column of another's with such a name is not ours to fill. Defaults are constant, so that rows
-- from before have them without being rewritten: what those changed is in the tables already, and they are left alone.
-- Rows that somebody else writes have no event_key.
alter table public.webhook_events
  add column event_key text,
  -- squawk-ignore adding-field-with-default
  add column status text not null default 'ignored',
  add column reason text default 'adopted',
  add column proof text,
  add column occurred_at timestamptz,
  add column change jsonb,
  add column claim jsonb,
  add column attempts integer not null default 0,
  add column next_attempt_at timestamptz,
  add column last_error text,
  add column transmission_id text,
  add column transmission_time timestamptz,
  add column transmission_retried_count integer,
  add column delivery_count integer not null default 1,
  add column lease_token uuid,
  add column lease_until timestamptz,
  add column payload_emptied_at timestamptz,
  add column traceparent text;
alter table public.webhook_events alter column reason set default 'not_recorded_by_supatoss';
select supatoss.add_clock('public.webhook_events', 'last_delivered_at');
select supatoss.add_clock('public.webhook_events', 'waiting_since');
select supatoss.keep_old_times('public.webhook_events');

-- Closed in every project: payloads hold names, accounts and secrets.
select supatoss.drop_policies('public.webhook_events');
alter table public.webhook_events enable row level security;
revoke all on table public.webhook_events from public, anon, authenticated;
grant select, insert, update, delete on table public.webhook_events to service_role;

alter table public.webhook_events
  add constraint webhook_events_status_check
    check (status in ('processed', 'ignored', 'pending', 'failed')) not valid,
  add constraint webhook_events_proof_check
    check (proof in ('signature', 'toss_api', 'billing_key', 'operator')) not valid;

-- An event of Toss (2 to 4 kB with its change) stays as it came: compressing it takes longer than writing it.
alter table public.webhook_events set (toast_tuple_target = 4080);

comment on table public.webhook_events is 'Inbox: one row per event, however often it was delivered.';
comment on column public.webhook_events.event_key is
  'Identity of the event: SHA-256 of the canonical JSON of its body. Null in rows that somebody else wrote.';
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
comment on column public.webhook_events.traceparent is
  'Trace of the delivery (W3C Trace Context) where traces are on: 00-<trace id>-<span id>-<flags>.';
comment on column public.webhook_events.payload_emptied_at is 'When retention emptied the payload, which is {} since.';
comment on column public.webhook_events.waiting_since is
  'When the event was put into the inbox: recorded, or replayed.';
