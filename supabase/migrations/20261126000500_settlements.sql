-- A seller's settlements (SETTLEMENT_COMPLETED) and payouts (payout.changed). If the table is there already, an
-- installation before this one has left it: the preflight has seen to that.
create table if not exists public.settlements (
  id uuid primary key default gen_random_uuid(),
  settlement_key text not null,
  kind text not null check (kind in ('settlement', 'payout')),
  status text not null,
  payment_key text,
  order_id text,
  transaction_key text,
  reference text,
  seller_id text,
  amount numeric,
  pay_out_amount numeric,
  fee numeric,
  currency text,
  sold_date date,
  paid_out_date date,
  requested_at timestamptz,
  settled_at timestamptz,
  failure_code text,
  failure_message text,
  metadata jsonb,
  occurred_at timestamptz not null,
  event_key text not null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint settlements_settlement_key_key unique (settlement_key)
);
alter table public.settlements enable row level security;
revoke all on table public.settlements from public, anon, authenticated;
grant select, insert, update, delete on table public.settlements to service_role;

create index if not exists settlements_payment_key_idx on public.settlements (payment_key)
where payment_key is not null;
create index if not exists settlements_order_id_idx on public.settlements (order_id) where order_id is not null;
create index if not exists settlements_sold_date_idx on public.settlements (sold_date);
create index if not exists settlements_transaction_key_idx
  on public.settlements (transaction_key) where transaction_key is not null;

comment on table public.settlements is 'One row per settlement or payout, as its latest event says.';
comment on column public.settlements.settlement_key is
  'kind:id as Toss names it; where Toss names none, derived from what the settlement is about.';
comment on column public.settlements.reference is 'The merchant''s own id (refPayoutId).';
comment on column public.settlements.seller_id is 'Who is paid (destination of a payout).';
comment on column public.settlements.event_key is
  'The event that wrote this state; with occurred_at it makes the order of events total.';

-- When these payments were settled: when the first settlement that names them was done, as settlements say now.
create function supatoss.settle_payments(p_payment_keys text[], p_order_ids text[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
begin
  update public.payments p
  set settled_at = n.settled_at, updated_at = now()
  from (
    select q.id, (select min(s.settled_at) from public.settlements s
                  where s.payment_key = q.payment_key or s.order_id = q.order_id) as settled_at
    from public.payments q
    where q.payment_key = any (p_payment_keys) or q.order_id = any (p_order_ids)
  ) n
  where p.id = n.id and p.settled_at is distinct from n.settled_at;
  if exists (
    select 1 from public.payments p
    where (p.payment_key = any (p_payment_keys) or p.order_id = any (p_order_ids))
      and p.settled_at is distinct from (select min(s.settled_at) from public.settlements s
                                         where s.payment_key = p.payment_key or s.order_id = p.order_id)
  ) then
    raise exception 'a trigger on payments keeps settled_at from being written' using errcode = 'SUPA2';
  end if;
end;
$$;

-- Of all that is said about one settlement the latest counts; equal times are decided by status, then by event key.
create function supatoss.project_settlements(p_ids uuid[])
returns void
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_payment_keys text[];
  v_order_ids text[];
begin
  -- What these settlements are about now: a correction may name another payment.
  select array_agg(s.payment_key), array_agg(s.order_id) into v_payment_keys, v_order_ids
  from public.settlements s
  where s.settlement_key in (
    select w.change ->> 'settlement_key' from public.webhook_events w where w.id = any (p_ids));

  with latest as (
    select distinct on (w.change ->> 'settlement_key') w.change as c, w.occurred_at, w.event_key
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'settlement' and w.status = 'processed'
    order by w.change ->> 'settlement_key', w.occurred_at desc, w.change ->> 'status' = 'COMPLETED' desc,
             w.event_key collate "C" desc
  ),
  written as (
    insert into public.settlements as s (
      settlement_key, kind, status, payment_key, order_id, transaction_key, reference, seller_id, amount,
      pay_out_amount, fee, currency, sold_date, paid_out_date, requested_at, settled_at, failure_code, failure_message,
      metadata, occurred_at, event_key)
    select c ->> 'settlement_key', c ->> 'settlement_kind', c ->> 'status', c ->> 'payment_key', c ->> 'order_id',
           c ->> 'transaction_key', c ->> 'reference', c ->> 'seller_id', (c ->> 'amount')::numeric,
           (c ->> 'pay_out_amount')::numeric, (c ->> 'fee')::numeric, c ->> 'currency', (c ->> 'sold_date')::date,
           (c ->> 'paid_out_date')::date, (c ->> 'requested_at')::timestamptz,
           case when c ->> 'status' = 'COMPLETED' or (c ->> 'settlement_kind' = 'settlement'
                                                       and c ->> 'status' not in ('FAILED', 'CANCELED'))
             then coalesce((c ->> 'settled_at')::timestamptz, occurred_at) end,
           c ->> 'failure_code', c ->> 'failure_message', nullif(c -> 'metadata', 'null'), occurred_at, event_key
    from latest
    on conflict (settlement_key) do update set
      kind = excluded.kind, status = excluded.status, payment_key = excluded.payment_key, order_id = excluded.order_id,
      transaction_key = excluded.transaction_key, reference = excluded.reference, seller_id = excluded.seller_id,
      amount = excluded.amount, pay_out_amount = excluded.pay_out_amount, fee = excluded.fee,
      currency = excluded.currency, sold_date = excluded.sold_date, paid_out_date = excluded.paid_out_date,
      requested_at = excluded.requested_at, settled_at = excluded.settled_at, failure_code = excluded.failure_code,
      failure_message = excluded.failure_message, metadata = excluded.metadata, occurred_at = excluded.occurred_at,
      event_key = excluded.event_key, updated_at = now()
    where (excluded.occurred_at, excluded.status = 'COMPLETED', excluded.event_key collate "C")
        > (s.occurred_at, s.status = 'COMPLETED', s.event_key collate "C")
    returning s.payment_key, s.order_id
  )
  select array_agg(w.payment_key) || v_payment_keys, array_agg(w.order_id) || v_order_ids
  into v_payment_keys, v_order_ids from written w;
  if exists (
    select 1 from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'settlement' and w.status = 'processed' and not exists (
      select 1 from public.settlements s
      where s.settlement_key = w.change ->> 'settlement_key' and s.occurred_at >= w.occurred_at)
  ) then
    raise exception 'a trigger on settlements keeps the row from being written' using errcode = 'SUPA2';
  end if;
  perform supatoss.settle_payments(v_payment_keys, v_order_ids);
end;
$$;

select supatoss.close_functions();
