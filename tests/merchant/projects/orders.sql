-- orders hold Toss's payment; there is no payments table
create table order_items (id bigint generated always as identity primary key, order_id uuid not null, name text);
create table orders (
  id uuid primary key default gen_random_uuid(), user_id uuid not null, order_number text unique not null,
  total integer not null, status text not null default 'pending' check (status in ('pending', 'paid', 'canceled')),
  toss_payment_key text unique, toss_order_id text unique, paid_at timestamptz, created_at timestamptz default now()
);
insert into orders (user_id, order_number, total, status, toss_payment_key, toss_order_id) values
  (gen_random_uuid(), '2024-0001', 30000, 'paid', 'tviva1', 'order-2024-0001'),
  (gen_random_uuid(), '2024-0002', 15000, 'pending', null, 'order-2024-0002');
