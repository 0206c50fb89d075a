-- A payments row is written once an event: the first event of an order, by far the most common case, needs no fold at all.
-- Every function here keeps its contract; the fold itself (20261123000700) decides as before.

-- What the fold writes, as one comparable value, from the values and from the row.
create function supatoss.state_digest(
  p_payment_key text, p_status text, p_approved_at timestamptz, p_canceled_at timestamptz, p_requested_at timestamptz,
  p_method text, p_receipt_url text, p_order_name text, p_failure_code text, p_failure_message text)
returns text
language sql stable
as $$
  select md5(jsonb_build_array(
    p_payment_key, p_status, extract(epoch from p_approved_at), extract(epoch from p_canceled_at),
    extract(epoch from p_requested_at), p_method, p_receipt_url, p_order_name, p_failure_code, p_failure_message
  )::text)
$$;

create or replace function supatoss.payment_state(p public.payments)
returns text
language sql stable
as $$
  select supatoss.state_digest(
    p.payment_key, p.payment_status, p.approved_at, p.canceled_at, p.requested_at, p.payment_method, p.receipt_url,
    p.order_name, p.failure_code, p.failure_message)
$$;

create function supatoss.price_text(p_amount numeric, p_currency text)
returns text
language sql immutable
as $$
  select trim_scale(p_amount)::text || ' ' || coalesce(p_currency, '')
$$;

create or replace function supatoss.payment_price(p public.payments)
returns text
language sql stable
as $$
  select supatoss.price_text(p.amount, p.currency)
$$;

-- The fold of an order whose only event names its payment, cancels nothing and meets either no row or one that the application
-- left PENDING at the same price: exactly what the fold would write, without its machinery. Returns the orders that are left to
-- the fold, null where none is. tests/database/test_first_events.py holds the two against each other.
create function supatoss.project_first_events_v1(p_order_ids text[])
returns text[]
language plpgsql
set search_path = ''
as $$
declare
  v_written text[];
begin
  with first as materialized (
    select w.order_id, w.payment_key, w.occurred_at, c.*
    from public.webhook_events w
    cross join lateral jsonb_to_record(w.change) as c (
      status text, amount numeric, balance numeric, currency text, method text, order_name text, receipt_url text,
      merchant_id text, virtual_account jsonb, metadata jsonb, requested_at timestamptz, approved_at timestamptz,
      failure_code text, failure_message text)
    where w.order_id = any (p_order_ids)
      and w.payment_key is not null and w.status = 'processed' and w.change ->> 'kind' = 'payment'
      and w.change ->> 'status' in ('DONE', 'WAITING_FOR_DEPOSIT', 'ABORTED', 'EXPIRED', 'FAILED')
      and not w.change ?| array['cancels', 'is_first']
      and w.occurred_at > '-infinity'
      and not exists (select 1 from public.webhook_events o where o.order_id = w.order_id and o.id <> w.id)
  ),
  read as (
    select f.order_id, f.payment_key, f.status, f.amount, f.currency, left(f.method, 50) as method, f.order_name,
           f.receipt_url, f.merchant_id, f.requested_at, f.occurred_at,
           case when f.status = 'DONE' then coalesce(f.approved_at, f.occurred_at) end as approved_at,
           case when f.status = 'DONE' then coalesce(f.balance, f.amount) end as balance,
           case when f.status in ('ABORTED', 'EXPIRED', 'FAILED') then f.failure_code end as failure_code,
           case when f.status in ('ABORTED', 'EXPIRED', 'FAILED') then f.failure_message end as failure_message,
           case when jsonb_typeof(f.virtual_account) = 'object' then f.virtual_account end as virtual_account,
           case when jsonb_typeof(f.metadata) = 'object' then f.metadata end as metadata,
           (select min(s.settled_at) from public.settlements s
            where s.payment_key = f.payment_key or s.order_id = f.order_id) as settled_at
    from first f
  ),
  inserted as (
    insert into public.payments as p (
      order_id, payment_key, order_name, amount, currency, payment_method, payment_status, requested_at, approved_at,
      failure_code, failure_message, receipt_url, metadata, balance_amount, virtual_account, merchant_id, settled_at,
      occurred_at, projected_state, projected_price)
    select r.order_id, r.payment_key, left(coalesce(r.order_name, r.order_id), 100), coalesce(r.amount, 0),
           coalesce(r.currency, 'KRW'), r.method, r.status, r.requested_at, r.approved_at, r.failure_code, r.failure_message,
           r.receipt_url, r.metadata, r.balance, r.virtual_account, r.merchant_id, r.settled_at, r.occurred_at,
           supatoss.state_digest(r.payment_key, r.status, r.approved_at, null, r.requested_at, r.method, r.receipt_url,
                                 left(coalesce(r.order_name, r.order_id), 100), r.failure_code, r.failure_message),
           supatoss.price_text(coalesce(r.amount, 0), coalesce(r.currency, 'KRW'))
    from read r
    where not exists (select 1 from public.payments p where p.order_id = r.order_id)
    -- The application inserts its row at this moment: then there is one to fold into.
    on conflict (order_id) do nothing
    returning p.order_id
  ),
  updated as (
    update public.payments p
    set application_state = jsonb_build_object(
          'payment_key', p.payment_key, 'status', p.payment_status,
          'approved_at', p.approved_at, 'canceled_at', p.canceled_at, 'requested_at', p.requested_at,
          'method', p.payment_method, 'receipt_url', p.receipt_url, 'order_name', p.order_name,
          'failure_code', p.failure_code, 'failure_message', p.failure_message, 'amount', p.amount, 'currency', p.currency),
        payment_key = r.payment_key, payment_status = r.status, payment_method = coalesce(r.method, p.payment_method),
        requested_at = coalesce(r.requested_at, p.requested_at), approved_at = r.approved_at, canceled_at = null,
        failure_code = null, failure_message = null, receipt_url = coalesce(r.receipt_url, p.receipt_url),
        metadata = coalesce(p.metadata, r.metadata), balance_amount = r.balance, cancels = null,
        virtual_account = r.virtual_account, merchant_id = r.merchant_id, settled_at = r.settled_at, occurred_at = r.occurred_at,
        projected_state = supatoss.state_digest(
          r.payment_key, r.status, r.approved_at, null, coalesce(r.requested_at, p.requested_at),
          coalesce(r.method, p.payment_method), coalesce(r.receipt_url, p.receipt_url), p.order_name, null, null),
        projected_price = supatoss.price_text(p.amount, p.currency), updated_at = now()
    from read r
    where p.order_id = r.order_id and r.status = 'DONE'
      and p.payment_status = 'PENDING' and p.application_state is null and p.projected_state is null
      and p.amount = r.amount and p.currency = r.currency
    returning p.order_id
  )
  select array_agg(t.order_id) into v_written
  from (select i.order_id from inserted i union all select u.order_id from updated u) t;
  return (select array_agg(o.order_id) from unnest(p_order_ids) as o (order_id)
          where v_written is null or o.order_id <> all (v_written));
end;
$$;

-- Folds every event of these orders into their payments rows, and says of each event whether it could count. What was written
-- is remembered in the same statement, to tell the application's later writes from ours: one version of a row, not two.
create or replace function supatoss.project_payments_v1(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  -- The application writes these rows too: keep it out between reading and writing.
  perform 1 from public.payments p where p.order_id = any (p_order_ids) order by p.order_id for update;
  p_order_ids := supatoss.project_first_events_v1(p_order_ids);
  if p_order_ids is null then
    return;
  end if;
  perform supatoss.adopt_payments_v1(p_order_ids);

  with reported as materialized (
    select w.id, w.order_id, w.payment_key, w.event_key, w.change,
           case when w.change ->> 'is_first' = 'true' then '-infinity' else w.occurred_at end as occurred_at
    from public.webhook_events w
    where w.order_id = any (p_order_ids)
      and w.change ->> 'kind' = 'payment'
      and (w.status = 'processed' or (w.status = 'failed' and w.reason in ('amount_mismatch', 'double_charge')))
  ),
  keyed as (
    select order_id, count(distinct payment_key) as keys, min(payment_key collate "C") as only_key
    from reported where payment_key is not null group by order_id
  ),
  base as (
    select p.order_id, p.application_state as change, p.application_state ->> 'payment_key' as payment_key,
           p.application_state ->> 'status' as status,
           (p.application_state ->> 'approved_at')::timestamptz as approved_at
    from public.payments p
    where p.order_id = any (p_order_ids) and p.application_state is not null
  ),
  -- Events of all attempts at paying for an order; the application's row is the first of them (id is null).
  event as (
    select r.id, r.order_id,
           coalesce(
             r.payment_key,
             -- A DEPOSIT_CALLBACK has no payment key; its secret names the attempt.
             (select min(s.payment_key collate "C") from public.payment_secrets s
              where s.order_id = r.order_id and s.secret = r.change ->> 'secret'),
             case when k.keys = 1 then k.only_key end, b.payment_key, 'order:' || r.order_id) as attempt,
           r.occurred_at, r.event_key, r.change, r.change ->> 'status' as status,
           coalesce(
             supatoss.is_moved(r.change ->> 'status')
             and ((r.change ->> 'amount')::numeric <> (b.change ->> 'amount')::numeric
                  or r.change ->> 'currency' <> b.change ->> 'currency'),
             false) as is_mismatch
    from reported r
    left join keyed k using (order_id)
    left join base b using (order_id)
    union all
    select null, b.order_id,
           coalesce(
             -- An application that marks its row paid but keeps its placeholder key means the attempt that Toss reports
             -- for the same minute; without this every such payment would look like a double charge.
             (select r.payment_key from reported r
              where r.order_id = b.order_id and r.payment_key is not null and supatoss.is_moved(b.status)
                and supatoss.is_moved(r.change ->> 'status')
                and not exists (select 1 from reported o where o.order_id = b.order_id and o.payment_key = b.payment_key)
                and (b.approved_at is null
                     or abs(extract(epoch from coalesce((r.change ->> 'approved_at')::timestamptz, r.occurred_at) - b.approved_at)) <= 60)
              order by coalesce((r.change ->> 'approved_at')::timestamptz, r.occurred_at), r.payment_key collate "C" limit 1),
             b.payment_key, 'order:' || b.order_id),
           case when supatoss.is_moved(b.status)
             then coalesce((b.change ->> 'canceled_at')::timestamptz, b.approved_at, '-infinity') else '-infinity' end,
           '', b.change, b.status, false
    from base b
    where b.status is not null
  ),
  counted as (
    select e.*, supatoss.status_rank(e.status) as rank,
           (e.change ->> 'approved_at')::timestamptz as approved_at,
           (e.change ->> 'balance')::numeric as balance,
           -- After a deposit error the deposit before it counts no more.
           supatoss.is_moved(e.status) and e.occurred_at >= coalesce(
             max(e.occurred_at) filter (where e.status = 'WAITING_FOR_DEPOSIT') over (partition by e.order_id, e.attempt),
             '-infinity') as is_standing
    from event e
    where not e.is_mismatch
  ),
  cancel as (
    select order_id, attempt, jsonb_agg(item order by item ->> 'canceledAt', item_key) as items,
           sum((item ->> 'cancelAmount')::numeric) filter (where coalesce(item ->> 'cancelStatus', 'DONE') = 'DONE') as amount
    from (
      select distinct on (c.order_id, c.attempt, coalesce(x.item ->> 'transactionKey', md5(x.item::text)))
             c.order_id, c.attempt, coalesce(x.item ->> 'transactionKey', md5(x.item::text)) collate "C" as item_key, x.item
      from counted c cross join lateral jsonb_array_elements(c.change -> 'cancels') as x (item)
      where jsonb_typeof(c.change -> 'cancels') = 'array'
      order by c.order_id, c.attempt, coalesce(x.item ->> 'transactionKey', md5(x.item::text)),
               c.occurred_at desc, c.rank desc, c.event_key collate "C" desc
    ) latest
    group by order_id, attempt
  ),
  gathered as (
    select
      order_id, attempt,
      bool_or(id is not null) as is_reported,
      case
        -- Nothing leaves CANCELED, and a partial cancel is not taken back: these two need no order in time.
        when bool_or(status = 'CANCELED') then 'CANCELED'
        when bool_or(status = 'PARTIAL_CANCELED') then 'PARTIAL_CANCELED'
        -- DONE to WAITING_FOR_DEPOSIT is a deposit error, so between these two the later one wins; equal times mean DONE.
        when max(occurred_at) filter (where status = 'DONE')
             >= coalesce(max(occurred_at) filter (where status = 'WAITING_FOR_DEPOSIT'), '-infinity') then 'DONE'
        else (array_agg(status order by occurred_at desc, rank desc) filter (where status <> 'DONE'))[1]
      end as status,
      coalesce(
        (array_agg(approved_at order by occurred_at desc, rank desc, approved_at) filter (where is_standing and approved_at is not null))[1],
        min(occurred_at) filter (where is_standing and status = 'DONE' and occurred_at > '-infinity')) as approved_at,
      coalesce(
        max((change ->> 'canceled_at')::timestamptz) filter (where is_standing and status <> 'DONE'),
        max(occurred_at) filter (where is_standing and status <> 'DONE' and occurred_at > '-infinity')) as canceled_at,
      (array_agg(balance order by occurred_at desc, balance) filter (where status = 'PARTIAL_CANCELED' and balance is not null))[1] as partial_balance,
      (array_agg(balance order by occurred_at desc, balance) filter (where status = 'DONE' and balance is not null))[1] as done_balance,
      (array_agg((change ->> 'amount')::numeric order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'amount' is not null and id is not null))[1] as amount,
      (array_agg(change order by occurred_at desc, rank desc, event_key collate "C" desc) filter (where status is not null))[1] as latest,
      (array_agg(change ->> 'currency' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'currency' is not null and id is not null))[1] as currency,
      (array_agg(change ->> 'method' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'method' is not null and id is not null))[1] as method,
      (array_agg(change ->> 'order_name' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'order_name' is not null and id is not null))[1] as order_name,
      (array_agg(change ->> 'receipt_url' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'receipt_url' is not null and id is not null))[1] as receipt_url,
      (array_agg(change ->> 'merchant_id' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where change ->> 'merchant_id' is not null))[1] as merchant_id,
      (array_agg(change -> 'virtual_account' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where jsonb_typeof(change -> 'virtual_account') = 'object'))[1] as virtual_account,
      (array_agg(change -> 'metadata' order by occurred_at desc, rank desc, event_key collate "C" desc)
        filter (where jsonb_typeof(change -> 'metadata') = 'object'))[1] as metadata,
      min((change ->> 'requested_at')::timestamptz) filter (where id is not null) as requested_at,
      max(occurred_at) filter (where id is not null and occurred_at > '-infinity') as occurred_at,
      max(occurred_at) as latest_at,
      min(occurred_at) filter (where supatoss.is_moved(status)) as moved_at
    from counted
    group by order_id, attempt
  ),
  attempt as (
    select g.*, c.items as cancels,
           case g.status
             when 'CANCELED' then 0
             when 'PARTIAL_CANCELED' then coalesce(g.partial_balance, case when g.amount > c.amount then g.amount - c.amount when c.amount > 0 then 0 end)
             when 'DONE' then coalesce(g.done_balance, g.amount)
           end as balance
    from gathered g left join cancel c using (order_id, attempt)
    where g.status is not null
  ),
  ranked as (
    select a.*,
           case
             when a.status = 'DONE' or (a.status = 'PARTIAL_CANCELED' and coalesce(a.balance, 1) > 0) then 3  -- holds money
             when supatoss.is_moved(a.status) and a.approved_at is not null then 2                             -- held money
             when supatoss.is_moved(a.status) or a.status = 'WAITING_FOR_DEPOSIT' then 1
             else 0
           end as class
    from attempt a
  ),
  placed as (
    -- A failed attempt never hides a paid one. Of two paid ones the first counts and the other is a double charge.
    select r.*, row_number() over (
             partition by r.order_id
             order by r.class desc, case when r.class = 3 then coalesce(r.approved_at, '-infinity') end,
                      case when r.class = 3 then r.moved_at end, r.is_reported desc, r.latest_at desc, r.attempt collate "C") as place,
           max(r.class) over (partition by r.order_id) as best_class
    from ranked r
  ),
  chosen as (
    select
      w.order_id, w.attempt as payment_key, left(coalesce(b.change ->> 'order_name', w.order_name, w.order_id), 100) as order_name,
      coalesce((b.change ->> 'amount')::numeric, w.amount, 0) as amount,
      coalesce(b.change ->> 'currency', w.currency, 'KRW') as currency,
      left(coalesce(w.method, b.change ->> 'method'), 50) as payment_method, w.status as payment_status,
      coalesce(w.requested_at, (b.change ->> 'requested_at')::timestamptz) as requested_at,
      case when supatoss.is_moved(w.status) then w.approved_at end as approved_at,
      case when w.status = 'CANCELED' or (w.status = 'PARTIAL_CANCELED' and w.balance = 0) then w.canceled_at end as canceled_at,
      case when w.class = 0 then w.latest ->> 'failure_code' end as failure_code,
      case when w.class = 0 then w.latest ->> 'failure_message' end as failure_message,
      coalesce(w.receipt_url, b.change ->> 'receipt_url') as receipt_url, w.metadata, w.balance as balance_amount, w.cancels,
      w.virtual_account, w.merchant_id,
      (select min(s.settled_at) from public.settlements s
       where s.payment_key = w.attempt or s.order_id = w.order_id) as settled_at,
      w.occurred_at
    from placed w left join base b using (order_id)
    where w.place = 1
  ),
  written as (
    insert into public.payments as p (
      order_id, payment_key, order_name, amount, currency, payment_method, payment_status, requested_at, approved_at,
      canceled_at, failure_code, failure_message, receipt_url, metadata, balance_amount, cancels, virtual_account,
      merchant_id, settled_at, occurred_at, projected_state, projected_price)
    select c.order_id, c.payment_key, c.order_name, c.amount, c.currency, c.payment_method, c.payment_status, c.requested_at,
           c.approved_at, c.canceled_at, c.failure_code, c.failure_message, c.receipt_url, c.metadata, c.balance_amount, c.cancels,
           c.virtual_account, c.merchant_id, c.settled_at, c.occurred_at,
           supatoss.state_digest(c.payment_key, c.payment_status, c.approved_at, c.canceled_at, c.requested_at,
                                 c.payment_method, c.receipt_url, c.order_name, c.failure_code, c.failure_message),
           supatoss.price_text(c.amount, c.currency)
    from chosen c
    on conflict (order_id) do update set
      payment_key = excluded.payment_key, order_name = excluded.order_name, amount = excluded.amount,
      currency = excluded.currency, payment_method = excluded.payment_method, payment_status = excluded.payment_status,
      requested_at = excluded.requested_at, approved_at = excluded.approved_at, canceled_at = excluded.canceled_at,
      failure_code = excluded.failure_code, failure_message = excluded.failure_message,
      receipt_url = excluded.receipt_url, metadata = coalesce(p.metadata, excluded.metadata),
      balance_amount = excluded.balance_amount, cancels = excluded.cancels, virtual_account = excluded.virtual_account,
      merchant_id = excluded.merchant_id, settled_at = excluded.settled_at, occurred_at = excluded.occurred_at,
      projected_state = excluded.projected_state, projected_price = excluded.projected_price, updated_at = now()
    where (p.payment_key, p.order_name, p.amount, p.currency, p.payment_method, p.payment_status, p.requested_at,
           p.approved_at, p.canceled_at, p.failure_code, p.failure_message, p.receipt_url, p.balance_amount, p.cancels,
           p.virtual_account, p.merchant_id, p.settled_at, p.occurred_at, p.projected_state, p.projected_price)
      is distinct from
          (excluded.payment_key, excluded.order_name, excluded.amount, excluded.currency, excluded.payment_method,
           excluded.payment_status, excluded.requested_at, excluded.approved_at, excluded.canceled_at,
           excluded.failure_code, excluded.failure_message, excluded.receipt_url, excluded.balance_amount,
           excluded.cancels, excluded.virtual_account, excluded.merchant_id, excluded.settled_at, excluded.occurred_at,
           excluded.projected_state, excluded.projected_price)
  ),
  verdict as (
    select e.id,
           case when e.is_mismatch then 'amount_mismatch'
                when p.class = 3 and p.place > 1 and supatoss.is_moved(e.status) then 'double_charge'
           end as reason,
           case when e.is_mismatch then format('Toss reports %s %s, the application stored %s %s for this order',
                  e.change ->> 'amount', e.change ->> 'currency', b.change ->> 'amount', b.change ->> 'currency')
                when p.class = 3 and p.place > 1 and supatoss.is_moved(e.status) then format(
                  'order %s is paid twice: this is payment %s, the first was %s', e.order_id, e.attempt,
                  (select f.attempt from placed f where f.order_id = e.order_id and f.place = 1))
           end as error
    from event e
    left join placed p on not e.is_mismatch and p.order_id = e.order_id and p.attempt = e.attempt
    left join base b on b.order_id = e.order_id
    where e.id is not null
  )
  update public.webhook_events w
  set status = case when v.reason is null then 'processed' else 'failed' end,
      processed = v.reason is null,
      processed_at = case when v.reason is null then now() end,
      reason = v.reason, last_error = v.error
  from verdict v
  where w.id = v.id
    and (w.status, w.reason) is distinct from (case when v.reason is null then 'processed' else 'failed' end, v.reason);
end;
$$;

select supatoss.close_functions();
