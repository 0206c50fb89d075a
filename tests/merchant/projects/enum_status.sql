-- the guide's names, with an enum for the status
create type payment_state as enum ('PENDING', 'DONE', 'CANCELED', 'FAILED');
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, payment_key text unique,
  order_id text unique not null, order_name text not null, amount integer not null, currency text default 'KRW',
  payment_method text, payment_status payment_state not null default 'PENDING', requested_at timestamptz default now(),
  approved_at timestamptz, canceled_at timestamptz, failure_code text, failure_message text, receipt_url text,
  metadata jsonb, created_at timestamptz default now(), updated_at timestamptz default now()
);
insert into payments (order_id, order_name, amount) values ('order-1', '강의', 50000);
