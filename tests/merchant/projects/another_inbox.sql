-- webhook_events of another shape, for several providers
create table webhook_events (
  id uuid primary key default gen_random_uuid(), provider text not null, event_id text unique not null,
  event_type text not null, status text not null default 'received' check (status in ('received', 'done', 'error')),
  attempts integer not null default 0, payload jsonb not null, created_at timestamptz default now()
);
insert into webhook_events (provider, event_id, event_type, payload, status) values
  ('toss', 'e-1', 'PAYMENT_STATUS_CHANGED', '{}', 'done');
