-- What a billing key that is issued or deleted means for a subscription (rule 7 of the design: deleting an old key
-- does not cancel a subscription that already uses a new one).

-- A billing key was issued: the customer's live subscription uses it, or there is a new one. p_waiting: events of the
-- same batch that are not applied yet; they come after this one and must not make it look late.
create function supatoss.apply_billing_key_issued(
  p_customer_key text, p_billing_key text, p_issued_at timestamptz, p_event_key text, p_waiting uuid[])
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_subscription uuid;
  v_deleted_at timestamptz;
begin
  -- A newer key is known already: this event came late, and concerns a subscription that has ended or another card now.
  if exists (
    select 1 from public.webhook_events w
    where w.change ->> 'kind' = 'billing' and w.change ->> 'customer_key' = p_customer_key
      and w.change ->> 'action' = 'issued' and w.status = 'processed' and w.id <> all (p_waiting)
      and (w.occurred_at, w.event_key collate "C") > (p_issued_at, p_event_key)
  ) then
    perform supatoss.note_ended_key(p_billing_key);
    return;
  end if;

  select s.id into v_subscription from public.subscriptions s
  where s.customer_key = p_customer_key and s.status in ('ACTIVE', 'PAUSED')
  for update;

  if v_subscription is null and exists (
    select 1 from public.subscriptions s where s.customer_key = p_customer_key and s.billing_key = p_billing_key
  ) then
    -- This key had its subscription, and it has ended since.
    return;
  end if;

  if v_subscription is null then
    -- The old key's deletion overtook this event: the card was changed, the subscription did not end.
    select s.id into v_subscription from public.subscriptions s
    where s.customer_key = p_customer_key and s.status = 'CANCELED' and s.billing_key_deleted_at > p_issued_at
    order by s.billing_key_deleted_at desc, s.id limit 1
    for update;
  end if;

  if v_subscription is null then
    insert into public.subscriptions (
      billing_key, customer_key, status, tier, started_at, current_period_start, current_period_end, billing_cycle,
      amount, billing_key_issued_at)
    values (
      p_billing_key, p_customer_key, 'ACTIVE', 'UNASSIGNED', p_issued_at, p_issued_at, p_issued_at + interval '1 month',
      'monthly', 0, p_issued_at);
  else
    update public.subscriptions s
    set billing_key = p_billing_key, status = 'ACTIVE', canceled_at = null, billing_key_issued_at = p_issued_at,
        billing_key_deleted_at = null, updated_at = now()
    where s.id = v_subscription
      and (s.billing_key <> p_billing_key or s.status <> 'ACTIVE'
           or s.billing_key_issued_at is distinct from p_issued_at);
  end if;

  -- The deletion of this very key may have arrived before it.
  select min(w.occurred_at) into v_deleted_at from public.webhook_events w
  where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = p_billing_key
    and w.change ->> 'action' = 'deleted' and w.status = 'processed';
  if v_deleted_at is not null then
    perform supatoss.apply_billing_key_deleted(p_billing_key, v_deleted_at);
  end if;
end;
$$;

-- A billing key was deleted: the live subscription that uses it ends. One that has a newer key lives on.
create function supatoss.apply_billing_key_deleted(p_billing_key text, p_deleted_at timestamptz)
returns void
language plpgsql
set search_path = ''
as $$
begin
  update public.subscriptions s
  set status = 'CANCELED', canceled_at = p_deleted_at, billing_key_deleted_at = p_deleted_at, updated_at = now()
  where s.billing_key = p_billing_key and s.status in ('ACTIVE', 'PAUSED');
  if not found then
    perform supatoss.note_ended_key(p_billing_key);
  end if;
end;
$$;

-- The customer left and came back, but the coming back was known first: the subscription of before gets its row as
-- well.
create function supatoss.note_ended_key(p_billing_key text)
returns void
language sql
set search_path = ''
as $$
  with ended as (
    select i.change ->> 'customer_key' as customer_key, i.occurred_at as issued_at, d.deleted_at
    from public.webhook_events i
    cross join lateral (
      select min(w.occurred_at) as deleted_at from public.webhook_events w
      where w.change ->> 'kind' = 'billing' and w.change ->> 'billing_key' = p_billing_key
        and w.change ->> 'action' = 'deleted' and w.status = 'processed'
    ) d
    where i.change ->> 'kind' = 'billing' and i.change ->> 'billing_key' = p_billing_key
      and i.change ->> 'action' = 'issued' and i.status = 'processed'
    order by i.occurred_at limit 1
  )
  insert into public.subscriptions (
    billing_key, customer_key, status, tier, started_at, current_period_start, current_period_end, canceled_at,
    billing_cycle, amount, billing_key_issued_at, billing_key_deleted_at)
  select p_billing_key, e.customer_key, 'CANCELED', 'UNASSIGNED', e.issued_at, e.issued_at,
         e.issued_at + interval '1 month', e.deleted_at, 'monthly', 0, e.issued_at, e.deleted_at
  from ended e
  where not exists (
      select 1 from public.subscriptions s where s.customer_key = e.customer_key and s.billing_key = p_billing_key)
    -- It was the key in use until it was deleted: the next key came after that, and there is one.
    and e.deleted_at < (
      select min(n.occurred_at) from public.webhook_events n
      where n.change ->> 'kind' = 'billing' and n.change ->> 'customer_key' = e.customer_key
        and n.change ->> 'action' = 'issued' and n.status = 'processed' and n.occurred_at > e.issued_at)
$$;

select supatoss.close_functions();
