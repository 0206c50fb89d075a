-- the guide's names and types; the rows hold what ours may not
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, product_id uuid, payment_key text, order_id text,
  order_name text, amount integer, currency text default 'KRW', payment_method text, payment_status text,
  requested_at timestamptz, approved_at timestamptz, canceled_at timestamptz, failure_code text, failure_message text,
  receipt_url text, metadata jsonb, created_at timestamptz default now(), updated_at timestamptz default now()
);
insert into payments (payment_key, order_id, order_name, amount, payment_status) values
  ('tviva1', 'order-1', '강의', 50000, 'DONE'), ('tviva1', 'order-1', '강의', 50000, 'DONE'),
  ('tviva2', 'order-2', '환불', -50000, 'CANCELED'), (null, 'order-3', '강의', 50000, 'REFUNDED');
