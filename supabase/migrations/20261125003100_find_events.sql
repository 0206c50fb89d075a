-- Pages of events are keyed by created_at and id. An adopted table may have rows without a time; they get one.
update public.webhook_events set created_at = last_delivered_at where created_at is null;

-- One page of the inbox. query: {ids, statuses, types, reasons, order_id, payment_key, created_from (inclusive),
-- created_until (exclusive), after: {created_at, id} of the last event of the page before, is_ascending, limit (at most 500),
-- with_payload}; what is absent does not narrow. The answer: {events, has_more}, newest first unless is_ascending.
-- Payload and change come as text, because numbers lose digits on their way through a JSON parser.
create function public.find_webhook_events_v1(query text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_query jsonb := query::jsonb;
  v_limit integer := least(greatest(coalesce((v_query ->> 'limit')::integer, 50), 1), 500);
  v_is_ascending boolean := coalesce((v_query ->> 'is_ascending')::boolean, false);
  v_with_payload boolean := coalesce((v_query ->> 'with_payload')::boolean, false);
  v_where text := 'w.created_at is not null';
  v_column text;
  v_name text;
  v_page jsonb;
begin
  -- Only what is asked for stands in the statement, as literals: so the planner sees which index fits, partial ones included.
  if jsonb_typeof(v_query -> 'ids') = 'array' then
    v_where := v_where || format(' and w.id = any (%L::uuid[])', array(select jsonb_array_elements_text(v_query -> 'ids')));
  end if;
  foreach v_column in array array['status', 'event_type', 'reason'] loop
    v_name := case v_column when 'status' then 'statuses' when 'event_type' then 'types' else 'reasons' end;
    if jsonb_typeof(v_query -> v_name) = 'array' then
      v_where := v_where || format(' and w.%I in (%s)', v_column, coalesce(
        (select string_agg(quote_literal(t.item), ', ') from jsonb_array_elements_text(v_query -> v_name) as t (item)), 'null'));
    end if;
  end loop;
  foreach v_column in array array['order_id', 'payment_key'] loop
    if v_query ->> v_column is not null then
      v_where := v_where || format(' and w.%I = %L', v_column, v_query ->> v_column);
    end if;
  end loop;
  if v_query ->> 'created_from' is not null then
    v_where := v_where || format(' and w.created_at >= %L::timestamptz', v_query ->> 'created_from');
  end if;
  if v_query ->> 'created_until' is not null then
    v_where := v_where || format(' and w.created_at < %L::timestamptz', v_query ->> 'created_until');
  end if;
  if v_query -> 'after' ->> 'id' is not null then
    v_where := v_where || format(' and (w.created_at, w.id) %s (%L::timestamptz, %L::uuid)',
      case when v_is_ascending then '>' else '<' end, v_query -> 'after' ->> 'created_at', v_query -> 'after' ->> 'id');
  end if;

  execute format($query$
    select coalesce(jsonb_agg(
             jsonb_build_object(
               'id', f.id, 'event_key', f.event_key, 'event_type', f.event_type, 'status', f.status, 'reason', f.reason,
               'proof', f.proof, 'payment_key', f.payment_key, 'order_id', f.order_id, 'occurred_at', f.occurred_at,
               'created_at', f.created_at, 'processed_at', f.processed_at, 'attempts', f.attempts,
               'next_attempt_at', f.next_attempt_at, 'lease_until', f.lease_until, 'last_error', f.last_error,
               'delivery_count', f.delivery_count, 'last_delivered_at', f.last_delivered_at)
             || case when %4$L::boolean then jsonb_build_object(
               'payload', case jsonb_typeof(f.payload) when 'string' then f.payload #>> '{}' else f.payload::text end,
               'change', f.change::text,
               'actions', (select coalesce(jsonb_agg(jsonb_build_object(
                             'at', a.created_at, 'actor', a.actor, 'action', a.action, 'reason', a.reason,
                             'status_before', a.status_before, 'status_after', a.status_after) order by a.created_at, a.id), '[]'::jsonb)
                           from public.operator_actions a where a.event_id = f.id))
               else '{}'::jsonb end
             order by f.place), '[]'::jsonb)
    from (
      select w.*, row_number() over (order by w.created_at %2$s, w.id %2$s) as place
      from public.webhook_events w where %1$s
      order by w.created_at %2$s, w.id %2$s limit %3$s
    ) f
    $query$, v_where, case when v_is_ascending then 'asc' else 'desc' end, v_limit + 1, v_with_payload) into v_page;
  return jsonb_build_object('events', case when jsonb_array_length(v_page) > v_limit then v_page - v_limit else v_page end,
                            'has_more', jsonb_array_length(v_page) > v_limit);
end;
$$;

select supatoss.close_functions();
