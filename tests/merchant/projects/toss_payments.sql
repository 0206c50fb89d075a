-- toss_payments beside a table of orders
create table shop_orders (id uuid primary key default gen_random_uuid(), price integer not null, paid boolean default false);
create table toss_payments (
  id uuid primary key default gen_random_uuid(), order_id uuid references shop_orders (id), toss_order_id text unique,
  payment_key text, status text, total_amount integer, response jsonb, created_at timestamptz default now()
);
with bought as (insert into shop_orders (price, paid) values (5000, true) returning id)
insert into toss_payments (order_id, toss_order_id, payment_key, status, total_amount)
select id, 'toss-order-1', 'tviva1', 'DONE', 5000 from bought;
