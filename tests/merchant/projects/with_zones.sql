-- the guide's names and words, text and times with a zone
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, payment_key text unique,
  order_id text unique not null, order_name text not null, amount integer not null check (amount > 0),
  currency text default 'KRW', payment_method text, payment_status text not null default 'PENDING',
  requested_at timestamptz default now(), approved_at timestamptz, canceled_at timestamptz, failure_code text,
  failure_message text, receipt_url text, metadata jsonb, created_at timestamptz not null default now(),
  updated_at timestamptz not null default now()
);
create index payments_by_day on payments ((created_at at time zone 'Asia/Seoul'));
create table refunds (id serial primary key, payment_id uuid references payments (id), amount integer);
insert into payments (payment_key, order_id, order_name, amount, payment_status, approved_at) values
  ('tviva1', 'order-1', '첫 주문', 9900, 'DONE', now()), (null, 'order-2', '둘째 주문', 5000, 'PENDING', null);
