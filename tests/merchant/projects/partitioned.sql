-- payments in partitions, one for each year
create table payments (
  id uuid not null default gen_random_uuid(), payment_key text, order_id text not null, order_name text,
  amount integer not null, payment_status text not null, created_at timestamptz not null default now(),
  primary key (id, created_at)
) partition by range (created_at);
create table payments_2024 partition of payments for values from ('2024-01-01') to ('2025-01-01');
create table payments_later partition of payments default;
insert into payments (payment_key, order_id, amount, payment_status) values ('tviva1', 'order-1', 1000, 'DONE');
