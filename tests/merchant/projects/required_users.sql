-- users are required, an inbox column of its own too; user ids are text
create table payments (
  id uuid primary key default gen_random_uuid(), user_id text not null, product_id uuid, plan text not null,
  channel text not null default 'web', payment_key text unique, order_id text unique not null, order_name text not null,
  amount integer not null, currency text default 'KRW', payment_method text not null default 'card',
  payment_status text not null default 'PENDING', requested_at timestamptz not null default now(),
  approved_at timestamptz, canceled_at timestamptz, failure_code text, failure_message text, receipt_url text,
  metadata jsonb, created_at timestamptz default now(), updated_at timestamptz default now()
);
create table webhook_events (
  id uuid primary key default gen_random_uuid(), event_type text not null, payment_key text, payload jsonb not null,
  processed boolean default false, processed_at timestamptz, created_at timestamptz default now(),
  received_from inet not null
);
insert into payments (user_id, plan, order_id, order_name, amount) values ('kakao:1', 'pro', 'order-1', '구독', 9900);
insert into webhook_events (event_type, payload, received_from) values ('PAYMENT_STATUS_CHANGED', '{}', '10.0.0.1');
