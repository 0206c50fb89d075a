-- payments with a lower-case status, and Toss's key in toss_payment_key, null until paid
create table payments (
  id uuid primary key default gen_random_uuid(), user_id uuid, order_id text unique not null, toss_payment_key text,
  amount integer not null, status text not null default 'pending'
    check (status in ('pending', 'paid', 'failed', 'refunded')),
  method text, paid_at timestamptz, created_at timestamptz not null default now()
);
alter table payments enable row level security;
create policy "own payments" on payments for select using (auth.uid() = user_id);
insert into payments (order_id, toss_payment_key, amount, status, paid_at) values
  ('ord-1', 'tviva1', 12000, 'paid', now()), ('ord-2', null, 8000, 'pending', null);
