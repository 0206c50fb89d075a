-- Nearly every batch is about payments of known orders: statements about anything else run only when something else is there.
create or replace function supatoss.apply_events_v1(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_order_ids text[];
  v_has_orphans boolean;
  v_has_secrets boolean;
  v_has_settlements boolean;
  v_has_billing boolean;
  v_event record;
  v_waiting uuid[];
begin
  select array_agg(distinct w.order_id) filter (where w.change ->> 'kind' = 'payment' and w.order_id is not null),
         bool_or(w.change ->> 'kind' = 'payment' and w.order_id is null),
         bool_or(w.change ->> 'kind' = 'payment' and w.change ->> 'secret' is not null),
         bool_or(w.change ->> 'kind' = 'settlement'),
         bool_or(w.change ->> 'kind' = 'billing')
  into v_order_ids, v_has_orphans, v_has_secrets, v_has_settlements, v_has_billing
  from public.webhook_events w
  where w.id = any (p_ids) and w.status = 'processed';

  if v_has_orphans then
    -- Which order a payment belongs to may be known from its row or from another event of it.
    update public.webhook_events w
    set order_id = coalesce(
          (select p.order_id from public.payments p where p.payment_key = w.payment_key),
          (select min(o.order_id collate "C") from public.webhook_events o
           where o.payment_key = w.payment_key and o.order_id is not null and o.change ->> 'kind' = 'payment'))
    where w.id = any (p_ids) and w.order_id is null and w.payment_key is not null
      and w.change ->> 'kind' = 'payment' and w.status = 'processed';

    -- Nobody has said yet which order this is for: it waits until an event or Toss says so.
    update public.webhook_events w
    set status = 'pending', reason = 'unknown_order', processed = false, processed_at = null, next_attempt_at = now()
    where w.id = any (p_ids) and w.order_id is null and w.change ->> 'kind' = 'payment' and w.status = 'processed';

    select array_agg(distinct w.order_id) into v_order_ids
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.order_id is not null and w.status = 'processed';
  end if;

  if v_order_ids is not null then
    -- And those that waited for what one of these events says.
    update public.webhook_events o
    set order_id = w.order_id, status = 'processed', reason = null, processed = true, processed_at = now(), next_attempt_at = null
    from public.webhook_events w
    where w.id = any (p_ids) and w.order_id is not null and w.change ->> 'kind' = 'payment' and w.status = 'processed'
      and o.payment_key = w.payment_key and o.order_id is null
      and o.status = 'pending' and o.reason = 'unknown_order' and o.change ->> 'kind' = 'payment';
  end if;

  if v_has_secrets then
    insert into public.payment_secrets as s (order_id, secret, payment_key)
    select distinct on (w.order_id, w.change ->> 'secret') w.order_id, w.change ->> 'secret', w.payment_key
    from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'payment' and w.status = 'processed'
      and w.order_id is not null and w.change ->> 'secret' is not null and w.payment_key is not null
    order by w.order_id, w.change ->> 'secret', w.payment_key collate "C"
    on conflict (order_id, secret) do update set payment_key = excluded.payment_key
      where s.payment_key is null or excluded.payment_key collate "C" < s.payment_key collate "C";
  end if;

  if v_order_ids is not null then
    perform supatoss.project_payments_v1(v_order_ids);
  end if;

  if v_has_settlements then
    perform supatoss.project_settlements_v1(p_ids);
  end if;

  if not coalesce(v_has_billing, false) then
    return;
  end if;
  v_waiting := p_ids;
  for v_event in
    select w.id, w.change, w.occurred_at, w.event_key from public.webhook_events w
    where w.id = any (p_ids) and w.change ->> 'kind' = 'billing' and w.status = 'processed'
    order by w.occurred_at, w.event_key collate "C"
  loop
    v_waiting := array_remove(v_waiting, v_event.id);
    if v_event.change ->> 'action' = 'issued' then
      perform supatoss.apply_billing_key_issued_v1(
        v_event.change ->> 'customer_key', v_event.change ->> 'billing_key', v_event.occurred_at, v_event.event_key,
        v_waiting);
    else
      perform supatoss.apply_billing_key_deleted_v1(v_event.change ->> 'billing_key', v_event.occurred_at);
    end if;
  end loop;
end;
$$;

select supatoss.close_functions();
