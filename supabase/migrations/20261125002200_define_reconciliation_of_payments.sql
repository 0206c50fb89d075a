-- What we hold about one payment of Toss. row: the payments row that shows it, else that of its order. attempt: what the inbox
-- knows of it, where the row does not show it: an attempt that was refunded before the next one is nobody's difference.
create function supatoss.payment_standing_v1(p_payment_key text, p_order_id text)
returns jsonb
language sql stable
set search_path = ''
set enable_seqscan = off  -- a thousand times a page: every path is by an index, whatever is known of the tables' size
as $$
  select jsonb_build_object(
    'row', r.row,
    'attempt', case when r.row ->> 'payment_key' is distinct from p_payment_key then (
      select jsonb_build_object(
        'is_moved', bool_or(supatoss.is_moved(w.change ->> 'status')),
        'is_canceled', bool_or(w.change ->> 'status' = 'CANCELED'),
        'reasons', coalesce(jsonb_agg(distinct w.reason) filter (where w.status = 'failed'), '[]'::jsonb),
        'cancels', coalesce(
          jsonb_agg(w.change -> 'cancels') filter (where jsonb_typeof(w.change -> 'cancels') = 'array'), '[]'::jsonb))
      from public.webhook_events w
      where w.payment_key = p_payment_key and w.change ->> 'kind' = 'payment'
        and (w.status = 'processed' or (w.status = 'failed' and w.reason in ('amount_mismatch', 'double_charge')))
      having count(*) > 0) end)
  from (select 1) one
  left join lateral (
    select jsonb_build_object(
      'order_id', p.order_id, 'payment_key', p.payment_key, 'status', p.payment_status, 'amount', p.amount::text,
      'currency', p.currency, 'balance', p.balance_amount::text, 'approved_at', p.approved_at,
      'canceled_at', p.canceled_at, 'cancels', p.cancels) as row
    from public.payments p
    where p.payment_key = p_payment_key or p.order_id = p_order_id
    order by coalesce(p.payment_key = p_payment_key, false) desc
    limit 1
  ) r on true
$$;

create function public.supatoss_read_payment_standing_v1(payment_key text, order_id text)
returns jsonb
language sql stable
set search_path = ''
as $$ select supatoss.payment_standing_v1($1, $2) $$;

-- Payments after a subject, by subject: those that Toss lists for the day, and those of ours that moved money in it.
create function public.supatoss_read_reconciliation_page_v1(
  reconciliation text, day_start text, day_end text, after_subject text, max_subjects integer)
returns jsonb
language sql stable
set search_path = ''
set enable_seqscan = off
as $$
  with theirs as materialized (
    select t.subject, min(t.payment_key) as payment_key, min(t.order_id) as order_id,
           jsonb_agg(jsonb_build_object(
             'transaction_key', t.transaction_key, 'status', t.status, 'amount', t.amount::text, 'currency', t.currency,
             'transaction_at', t.transaction_at) order by t.transaction_at, t.transaction_key) as transactions
    from public.reconciliation_transactions t
    where t.reconciliation_id = $1::uuid and (after_subject is null or t.subject > after_subject)
    group by t.subject
    order by t.subject
    limit max_subjects
  ),
  ours as materialized (
    select p.payment_key::text as subject from public.payments p
    where supatoss.is_moved(p.payment_status)
      and coalesce(p.approved_at, p.created_at) >= $2::timestamptz and coalesce(p.approved_at, p.created_at) < $3::timestamptz
    union
    select p.payment_key from public.payments p
    where p.canceled_at >= $2::timestamptz and p.canceled_at < $3::timestamptz and supatoss.is_moved(p.payment_status)
    union
    select p.payment_key from public.payments p
    where p.payment_status = 'PARTIAL_CANCELED' and exists (
      select 1 from jsonb_array_elements(case when jsonb_typeof(p.cancels) = 'array' then p.cancels else '[]'::jsonb end) as c (item)
      where supatoss.parse_time(c.item ->> 'canceledAt') >= $2::timestamptz
        and supatoss.parse_time(c.item ->> 'canceledAt') < $3::timestamptz)
  ),
  both_sides as (
    select t.subject, t.payment_key, t.order_id, t.transactions from theirs t
    union all
    select o.subject, o.subject, null, null from ours o where after_subject is null or o.subject > after_subject
  ),
  page as materialized (
    select b.subject, min(b.payment_key) as payment_key, min(b.order_id) as order_id,
           coalesce((array_agg(b.transactions) filter (where b.transactions is not null))[1], '[]'::jsonb) as transactions
    from both_sides b
    group by b.subject
    order by b.subject
    limit max_subjects
  )
  select coalesce(jsonb_agg(jsonb_build_object(
           'subject', g.subject, 'payment_key', g.payment_key, 'order_id', g.order_id, 'transactions', g.transactions,
           'standing', supatoss.payment_standing_v1(g.payment_key, g.order_id)) order by g.subject), '[]'::jsonb)
  from page g
$$;

-- Makes an order's row what Toss says of one of its payments. repair: {payment_key, order_id, price, event}, event as in
-- record_webhook_events_v1, price as in payment_price. Answers {event, status, reason, error, standing}.
--
-- The fold takes what the application wrote into the row since for the first state. Here Toss has been asked, so:
-- what the row claims about this very payment gives way to Toss's word, recorded as an event;
-- a price that was changed after the money had been accepted at Toss's price goes back to it. A price that no accepted event
-- bears out stays the application's, and the fold reports the mismatch: nothing is marked paid here that it would refuse.
create function public.supatoss_repair_payment_v1(repair text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_repair jsonb := repair::jsonb;
  v_event jsonb := v_repair -> 'event';
  v_key text := v_repair ->> 'payment_key';
  v_order text := v_repair ->> 'order_id';
  v_recorded jsonb;
  v_row public.webhook_events;
begin
  perform supatoss.lock_subjects_v1(array[v_event]);
  begin
    perform 1 from public.payments p where p.order_id = v_order for update;
    update public.payments p
    set projected_price = supatoss.payment_price(p)
    where p.order_id = v_order and p.projected_price = v_repair ->> 'price'
      and p.projected_price <> supatoss.payment_price(p)
      and exists (
        select 1 from public.webhook_events w
        where w.payment_key = v_key and w.order_id = v_order and w.status = 'processed'
          and supatoss.is_moved(w.change ->> 'status')
          and trim_scale((w.change ->> 'amount')::numeric)::text || ' ' || coalesce(w.change ->> 'currency', p.currency, '')
              = p.projected_price);
    perform supatoss.adopt_payments_v1(array[v_order]);
    update public.payments p
    set application_state = case
          when p.application_state ->> 'payment_key' = v_key
            then p.application_state - array['status', 'approved_at', 'canceled_at', 'failure_code', 'failure_message']
          else p.application_state end,
        projected_state = supatoss.payment_state(p), projected_price = supatoss.payment_price(p)
    where p.order_id = v_order;

    v_recorded := public.record_webhook_events_v1(array[v_event]) -> 0;
    -- What was observed before is a duplicate and folds nothing; the row may have been changed since all the same.
    perform supatoss.project_payments_v1(array[v_order]);
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
    return jsonb_build_object(
      'event', null, 'status', 'failed', 'reason', 'refused_by_database', 'error', format('SQLSTATE %s', sqlstate),
      'standing', supatoss.payment_standing_v1(v_key, v_order));
  end;
  select * into v_row from public.webhook_events w where w.id = (v_recorded ->> 'id')::uuid;
  return jsonb_build_object(
    'event', v_row.id, 'status', v_row.status, 'reason', v_row.reason, 'error', v_row.last_error,
    'standing', supatoss.payment_standing_v1(v_key, v_order));
end;
$$;

select supatoss.close_functions();
