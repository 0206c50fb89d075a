-- What an operator types into the search box, as conditions of find_webhook_events_v1.

-- Ids that end with these eight hex digits or more, the last ones first. The index of them is lossy, so PostgreSQL
-- takes it for expensive, and would read the whole primary key instead.
create function supatoss.event_ids_of_end(p_digits text, p_max integer)
returns uuid[]
language plpgsql stable
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_indexscan = off
set enable_indexonlyscan = off
as $$
begin
  return array(
    select w.id from public.webhook_events w
    where substr(uuid_send(w.id), 13) = decode(right(p_digits, 8), 'hex')
      and right(encode(uuid_send(w.id), 'hex'), length(p_digits)) = p_digits
    order by w.id desc limit p_max);
end;
$$;

-- Ids that begin with these hex digits, or else end with them, the last ones first. Fewer than eight digits are looked
-- for at the ends of the newest 20,000 ids: of more, they would name too many.
create function supatoss.event_ids_of_part(p_digits text, p_max integer)
returns uuid[]
language plpgsql stable
set search_path = ''
as $$
declare
  v_ids uuid[] := array(
    select w.id from public.webhook_events w
    where w.id between rpad(p_digits, 32, '0')::uuid and rpad(p_digits, 32, 'f')::uuid
    order by w.id desc limit p_max);
begin
  return case
    when v_ids <> '{}' then v_ids
    when length(p_digits) >= 8 then supatoss.event_ids_of_end(p_digits, p_max)
    else array(
      select n.id
      from (select w.id, w.created_at from public.webhook_events w
            where w.created_at is not null order by w.created_at desc limit 20000) n
      where right(encode(uuid_send(n.id), 'hex'), length(p_digits)) = p_digits
      order by n.created_at desc limit p_max)
    end;
end;
$$;

-- A pattern of LIKE that finds the text anywhere.
create function supatoss.like_pattern(p_text text)
returns text
language plpgsql immutable
set search_path = ''
as $$
begin
  return '%' || regexp_replace(p_text, '([\\%_])', '\\\1', 'g') || '%';
end;
$$;

-- Events that this names: an order or a part of its id, a payment key, a customer key, or the beginning or the end of
-- an event's id. {condition} where an index answers it. {window} where so many orders are meant that the newest events
-- are looked through instead. A part of an order id is looked for in the whole index of order ids, which takes about
-- 0.15 s a million events; with more than a million, in the newest events.
create function supatoss.search_by_key(p_text text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_digits text := lower(replace(p_text, '-', ''));
  v_pattern text := supatoss.like_pattern(p_text);
  v_condition text := format('w.change ->> ''kind'' = ''billing'' and w.change ->> ''customer_key'' = %L', p_text);
  v_orders text[];
  v_is_found boolean;
begin
  if exists (select from public.webhook_events w where w.order_id = p_text)
    or exists (select from public.webhook_events w where w.payment_key = p_text) then
    return jsonb_build_object('condition', format('w.order_id = %1$L or w.payment_key = %1$L', p_text));
  end if;
  if v_digits ~ '^[0-9a-f]{4,32}$' then
    v_condition := v_condition || format(' or w.id = any (%L::uuid[])', supatoss.event_ids_of_part(v_digits, 500));
  end if;
  if (select c.reltuples <= 1e6 from pg_catalog.pg_class c where c.oid = 'public.webhook_events'::regclass) then
    v_orders := array(
      select distinct w.order_id from public.webhook_events w
      where w.order_id is not null and w.order_id like v_pattern limit 501);
    if cardinality(v_orders) <= 500 then
      return jsonb_build_object(
        'condition', v_condition || format(' or w.order_id = any (%L::text[])', v_orders));
    end if;
  end if;
  execute format('select exists (select from public.webhook_events w where %s)', v_condition) into v_is_found;
  return case when v_is_found then jsonb_build_object('condition', v_condition)
              else jsonb_build_object('window', format('w.order_id like %L', v_pattern)) end;
end;
$$;

-- Events with this amount, or with this text in the order's or the customer's name: looked for in the newest events,
-- because no index has them. p_amount: decimal text without trailing zeros, or null.
create function supatoss.search_by_content(p_text text, p_amount text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
begin
  return jsonb_build_object('window', format($condition$
    %2$L is not null and (
      coalesce(w.change ->> 'amount',
               (select trim_scale(p.amount::numeric)::text from public.payments p where p.order_id = w.order_id)) = %2$L
      or w.change ->> 'pay_out_amount' = %2$L
      or w.change -> 'cancels' @> jsonb_build_array(jsonb_build_object('cancelAmount', %2$L::numeric)))
    or w.change ->> 'order_name' ilike %1$L
    or w.change #>> '{virtual_account,customerName}' ilike %1$L
    or w.change ->> 'customer_key' ilike %1$L
    $condition$, supatoss.like_pattern(p_text), p_amount));
end;
$$;

select supatoss.close_functions();
