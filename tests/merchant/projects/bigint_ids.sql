-- the guide's names, with ids that count up
create table payments (
  id bigint generated always as identity primary key, user_id uuid, product_id uuid, payment_key text unique,
  order_id text unique not null, order_name text not null, amount integer not null, currency text default 'KRW',
  payment_method text, payment_status text not null default 'PENDING', requested_at timestamptz default now(),
  approved_at timestamptz, canceled_at timestamptz, failure_code text, failure_message text, receipt_url text,
  metadata jsonb, created_at timestamptz default now(), updated_at timestamptz default now()
);
create table webhook_events (
  id bigserial primary key, event_type text not null, payment_key text, payload jsonb not null,
  processed boolean default false, processed_at timestamptz, created_at timestamptz default now()
);
insert into payments (order_id, order_name, amount) values ('order-1', '강의', 50000);
insert into webhook_events (event_type, payload) values ('PAYMENT_STATUS_CHANGED', '{}');
