-- payments whose order_id is a uuid that refers to orders, with Toss's order id beside it
create table orders (id uuid primary key default gen_random_uuid(), total integer not null, status text default 'pending');
create table payments (
  id uuid primary key default gen_random_uuid(), order_id uuid not null references orders (id) on delete cascade,
  toss_order_id text unique, payment_key text unique, amount integer not null,
  payment_status text not null default 'PENDING', created_at timestamptz default now(), updated_at timestamptz default now()
);
with placed as (insert into orders (total) values (7000) returning id)
insert into payments (order_id, toss_order_id, amount) select id, 'toss-1', 7000 from placed;
