-- A payments row is a function of the set of events recorded for its order, whatever their order of arrival.
-- These functions compute it. Callers hold the advisory lock of the order (supatoss.lock_subjects_v1).

-- Later in this list wins a tie; the last three mean that money moved.
create function supatoss.status_rank(p_status text)
returns integer
language sql immutable parallel safe
as $$
  select array_position(array['PENDING', 'READY', 'IN_PROGRESS', 'WAITING_FOR_DEPOSIT', 'EXPIRED', 'FAILED', 'ABORTED',
                              'DONE', 'PARTIAL_CANCELED', 'CANCELED'], p_status)
$$;

create function supatoss.is_moved(p_status text)
returns boolean
language sql immutable parallel safe
as $$
  select p_status in ('DONE', 'PARTIAL_CANCELED', 'CANCELED')
$$;

-- What the fold writes, as one comparable value: a difference to projected_state means that the application wrote.
create function supatoss.payment_state(p public.payments)
returns text
language sql stable
as $$
  select md5(jsonb_build_array(
    p.payment_key, p.payment_status, extract(epoch from p.approved_at), extract(epoch from p.canceled_at),
    extract(epoch from p.requested_at), p.payment_method, p.receipt_url, p.order_name, p.failure_code, p.failure_message
  )::text)
$$;

create function supatoss.payment_price(p public.payments)
returns text
language sql stable
as $$
  select trim_scale(p.amount)::text || ' ' || coalesce(p.currency, '')
$$;

-- Takes over what the application wrote since the last fold: it becomes the first state.
create function supatoss.adopt_payments_v1(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  update public.payments p
  set application_state = coalesce(p.application_state, '{}'::jsonb)
    || case when p.projected_state is distinct from supatoss.payment_state(p) then jsonb_build_object(
         'payment_key', p.payment_key, 'status', p.payment_status,
         'approved_at', p.approved_at, 'canceled_at', p.canceled_at, 'requested_at', p.requested_at,
         'method', p.payment_method, 'receipt_url', p.receipt_url, 'order_name', p.order_name,
         'failure_code', p.failure_code, 'failure_message', p.failure_message) else '{}'::jsonb end
    || case when p.projected_price is distinct from supatoss.payment_price(p) then jsonb_build_object(
         'amount', p.amount, 'currency', p.currency) else '{}'::jsonb end
  where p.order_id = any (p_order_ids)
    and (p.projected_state is distinct from supatoss.payment_state(p)
         or p.projected_price is distinct from supatoss.payment_price(p));
end;
$$;

-- Folds every event of these orders into their payments rows, and says of each event whether it could count.
create function supatoss.project_payments_v1(p_order_ids text[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  -- The application writes these rows too: keep it out between reading and writing.
  perform 1 from public.payments p where p.order_id = any (p_order_ids) order by p.order_id for update;
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
  written as (
    insert into public.payments as p (
      order_id, payment_key, order_name, amount, currency, payment_method, payment_status, requested_at, approved_at,
      canceled_at, failure_code, failure_message, receipt_url, metadata, balance_amount, cancels, virtual_account,
      merchant_id, settled_at, occurred_at)
    select
      w.order_id, w.attempt, left(coalesce(b.change ->> 'order_name', w.order_name, w.order_id), 100),
      coalesce((b.change ->> 'amount')::numeric, w.amount, 0),
      coalesce(b.change ->> 'currency', w.currency, 'KRW'), left(coalesce(w.method, b.change ->> 'method'), 50), w.status,
      coalesce(w.requested_at, (b.change ->> 'requested_at')::timestamptz),
      case when supatoss.is_moved(w.status) then w.approved_at end,
      case when w.status = 'CANCELED' or (w.status = 'PARTIAL_CANCELED' and w.balance = 0) then w.canceled_at end,
      case when w.class = 0 then w.latest ->> 'failure_code' end,
      case when w.class = 0 then w.latest ->> 'failure_message' end,
      coalesce(w.receipt_url, b.change ->> 'receipt_url'), w.metadata, w.balance, w.cancels, w.virtual_account,
      w.merchant_id,
      (select min(s.settled_at) from public.settlements s where s.payment_key = w.attempt or s.order_id = w.order_id),
      w.occurred_at
    from placed w left join base b using (order_id)
    where w.place = 1
    on conflict (order_id) do update set
      payment_key = excluded.payment_key, order_name = excluded.order_name, amount = excluded.amount,
      currency = excluded.currency, payment_method = excluded.payment_method, payment_status = excluded.payment_status,
      requested_at = excluded.requested_at, approved_at = excluded.approved_at, canceled_at = excluded.canceled_at,
      failure_code = excluded.failure_code, failure_message = excluded.failure_message,
      receipt_url = excluded.receipt_url, metadata = coalesce(p.metadata, excluded.metadata),
      balance_amount = excluded.balance_amount, cancels = excluded.cancels, virtual_account = excluded.virtual_account,
      merchant_id = excluded.merchant_id, settled_at = excluded.settled_at, occurred_at = excluded.occurred_at,
      updated_at = now()
    where (p.payment_key, p.order_name, p.amount, p.currency, p.payment_method, p.payment_status, p.requested_at,
           p.approved_at, p.canceled_at, p.failure_code, p.failure_message, p.receipt_url, p.balance_amount, p.cancels,
           p.virtual_account, p.merchant_id, p.settled_at, p.occurred_at)
      is distinct from
          (excluded.payment_key, excluded.order_name, excluded.amount, excluded.currency, excluded.payment_method,
           excluded.payment_status, excluded.requested_at, excluded.approved_at, excluded.canceled_at,
           excluded.failure_code, excluded.failure_message, excluded.receipt_url, excluded.balance_amount,
           excluded.cancels, excluded.virtual_account, excluded.merchant_id, excluded.settled_at, excluded.occurred_at)
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

  -- Remember what was written, to tell the application's later writes from ours.
  update public.payments p
  set projected_state = supatoss.payment_state(p), projected_price = supatoss.payment_price(p)
  where p.order_id = any (p_order_ids)
    and (p.projected_state is distinct from supatoss.payment_state(p)
         or p.projected_price is distinct from supatoss.payment_price(p));
end;
$$;
