-- the guide's names without most of the optional columns; amounts are bigint, times have a zone
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, payment_key text unique, order_id text unique not null,
  order_name text, amount bigint not null, payment_status text not null default 'PENDING', payment_method text,
  approved_at timestamptz, created_at timestamptz default now()
);
create index on payments (created_at);
insert into payments (payment_key, order_id, order_name, amount, payment_status, approved_at) values
  ('tviva1', 'order-1', '첫 주문', 9900, 'DONE', now()), (null, 'order-2', '둘째 주문', 5000, 'PENDING', null);
