-- The first event of an order, by far the most common case. With no row of the application and no other event there is
-- nothing to walk, to rate or to judge: what the event says is the row. The fold (…_fold.sql) would write the same.

-- Writes the rows of those of these orders, and answers with the orders that are left to the fold. p_known: the orders
-- that have a row. Left are also cancels, which need arithmetic, and a row that the application inserts just now.
create function supatoss.write_first_events(p_order_ids text[], p_known text[], p_ids uuid[])
returns text[]
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_written text[];
begin
  with first as (
    select w.order_id, w.payment_key, w.change as said, w.change ->> 'status' as status, w.occurred_at,
           supatoss.fit_amount(coalesce(w.change ->> 'amount', '0')::numeric) as amount,
           coalesce(w.change ->> 'currency', 'KRW') as currency,
           left(coalesce(w.change ->> 'order_name', w.order_id), 100) as order_name,
           left(w.change ->> 'method', 50) as method,
           (w.change ->> 'requested_at')::timestamptz as requested_at,
           case when w.change ->> 'status' = 'DONE' then coalesce(
             (w.change ->> 'approved_at')::timestamptz,
             case when w.change ->> 'is_first' = 'true' then null else w.occurred_at end) end as approved_at,
           -- Between an account and its deposit nothing has failed.
           w.change ->> 'status' not in ('DONE', 'WAITING_FOR_DEPOSIT') as may_have_failed
    from public.webhook_events w
    where w.id = any (p_ids) and w.order_id <> all (p_known)
      and w.change ->> 'kind' = 'payment' and w.status = 'processed' and w.reason is null
      and w.payment_key is not null and w.occurred_at is not null
      and w.change ->> 'status' not in ('PARTIAL_CANCELED', 'CANCELED')
      and coalesce(w.change -> 'cancels', '[]') in ('[]', 'null')
      -- Counted in a subquery, so that no plan joins the whole table.
      and (select count(*) from (
             select from public.webhook_events o
             where o.order_id = w.order_id and o.change ->> 'kind' = 'payment' limit 2) e) = 1
    offset 0
  ),
  written as (
    insert into public.payments as p (
      order_id, payment_key, order_name, amount, currency, payment_method, payment_status, requested_at, approved_at,
      canceled_at, cancels, failure_code, failure_message, receipt_url, metadata, balance_amount, virtual_account,
      merchant_id, settled_at, occurred_at, projected_state, projected_price)
    select
      f.order_id, f.payment_key, f.order_name, f.amount, f.currency, f.method, f.status, f.requested_at, f.approved_at,
      null, null,  -- A project's column may have a default.
      case when f.may_have_failed then f.said ->> 'failure_code' end,
      case when f.may_have_failed then f.said ->> 'failure_message' end,
      f.said ->> 'receipt_url',
      case when jsonb_typeof(f.said -> 'metadata') = 'object' then f.said -> 'metadata' end,
      case when f.status = 'DONE' then coalesce((f.said ->> 'balance')::numeric, (f.said ->> 'amount')::numeric) end,
      case when jsonb_typeof(f.said -> 'virtual_account') = 'object' then f.said -> 'virtual_account' end,
      f.said ->> 'merchant_id',
      least((select min(t.settled_at) from public.settlements t where t.payment_key = f.payment_key),
            (select min(t.settled_at) from public.settlements t where t.order_id = f.order_id)),
      f.occurred_at,
      supatoss.state_digest(
        f.payment_key, f.status, f.approved_at, null, f.requested_at, f.method, f.said ->> 'receipt_url', f.order_name,
        case when f.may_have_failed then f.said ->> 'failure_code' end,
        case when f.may_have_failed then f.said ->> 'failure_message' end),
      supatoss.price_text(f.amount, f.currency)
    from first f
    on conflict (order_id) do nothing
    returning p.order_id
  )
  select array_agg(w.order_id) into v_written from written w;
  if v_written is null then
    return p_order_ids;
  elsif cardinality(v_written) = cardinality(p_order_ids) then
    return '{}';
  end if;
  return array(select o.order_id from unnest(p_order_ids) as o (order_id) where o.order_id <> all (v_written));
end;
$$;

select supatoss.close_functions();
