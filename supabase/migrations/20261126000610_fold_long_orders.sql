-- Orders with hundreds of events. An honest order has a handful; where somebody makes more, the fold must not read all
-- of them again for each new one. So what the oldest come to is kept in supatoss.folded_orders, and the walk begins
-- there. It is forgotten as soon as one of those events changes, or an event comes that belongs among them: then all
-- are read.

-- What is kept of these orders and still counts: the application has written nothing since.
create function supatoss.find_folded(p_order_ids text[])
returns supatoss.folded_orders[]
language plpgsql stable
set search_path = ''
as $$
begin
  return array(
    select f from supatoss.folded_orders f left join public.payments p on p.order_id = f.order_id
    where f.order_id = any (p_order_ids) and p.application_state is not distinct from f.application);
end;
$$;

-- Keeps what all but the newest p_rest events of each order come to. Orders are left out in which an event does not
-- count or names no payment: a later event may say otherwise of it.
create function supatoss.fold_oldest(p_order_ids text[], p_folded supatoss.folded_orders[], p_rest integer)
returns void
language plpgsql
set search_path = ''
as $$
declare
  v_order record;
  v_attempts supatoss.attempt[];
begin
  for v_order in
    select o.order_id, n.told_at as until, array(
             select f from unnest(p_folded) f where f.order_id = o.order_id) as folded
    from unnest(p_order_ids) as o (order_id)
    cross join lateral (
      select e.told_at from supatoss.payment_events e
      where e.order_id = o.order_id
        and e.told_at > coalesce((select f.until from unnest(p_folded) f where f.order_id = o.order_id), '-infinity')
      order by e.told_at desc offset p_rest limit 1
    ) n
    where not exists (
      select from supatoss.payment_events e
      where e.order_id = o.order_id and (e.payment_key is null or not e.is_accepted))
  loop
    select w.attempts into v_attempts
    from supatoss.walk_events(
      case when v_order.folded = '{}' then array[v_order.order_id] else '{}' end, v_order.folded, v_order.until) w;
    insert into supatoss.folded_orders (order_id, until, application, attempts)
    values (v_order.order_id, v_order.until,
            (select p.application_state from public.payments p where p.order_id = v_order.order_id), v_attempts)
    on conflict (order_id) do update
    set until = excluded.until, application = excluded.application, attempts = excluded.attempts;
  end loop;
end;
$$;

-- Before new events are folded: forgets orders in which one of them belongs among the folded ones, unless it says the
-- same as one of those at the same time.
create function supatoss.forget_folded(p_ids uuid[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  delete from supatoss.folded_orders f
  using supatoss.payment_events e
  where e.id = any (p_ids) and f.order_id = e.order_id and least(e.told_at, e.occurred_at) <= f.until
    and not exists (
      select from supatoss.payment_events t
      where t.order_id = e.order_id and t.told_at = e.told_at and t.change = e.change and t.payment_key = e.payment_key
        and t.is_accepted and t.id <> all (p_ids));
end;
$$;

-- An event that was read before says something else now, or counts no longer.
create function supatoss.forget_folded_order()
returns trigger
language plpgsql
set search_path = ''
as $$
begin
  delete from supatoss.folded_orders f where f.order_id in (old.order_id, new.order_id);
  return null;
end;
$$;

create trigger zz_supatoss_forget_changed
  after update of order_id, payment_key, occurred_at, status, reason, change on public.webhook_events
  for each row when (
    old.status <> new.status or old.occurred_at is distinct from new.occurred_at
    or old.reason is distinct from new.reason or old.order_id is distinct from new.order_id
    or old.payment_key is distinct from new.payment_key or old.change is distinct from new.change)
  execute function supatoss.forget_folded_order();
create trigger zz_supatoss_forget_deleted after delete on public.webhook_events
  for each row execute function supatoss.forget_folded_order();

select supatoss.close_functions();
