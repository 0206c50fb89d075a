-- Every delivery of an event: the first is in the event's own columns, the newest 20 after it in later_deliveries.

-- What is kept of a delivery. Null where Toss was asked without one.
create function supatoss.arrival_of(p_event jsonb)
returns jsonb
language plpgsql immutable
set search_path = ''
as $$
begin
  return jsonb_strip_nulls(jsonb_build_object(
    'id', p_event -> 'transmission_id', 'sent_at', p_event -> 'transmission_time',
    'retried', p_event -> 'transmission_retried_count', 'user_agent', p_event -> 'user_agent'));
end;
$$;

-- Adds the deliveries of a reading to those that are known: one, or those that merge_readings found to be the same
-- event. p_effect: what they meant for the event (see meaning_of_repeat).
create function supatoss.add_deliveries(p_known jsonb, p_reading jsonb, p_effect text)
returns jsonb
language plpgsql stable
set search_path = ''
as $$
declare
  v_all jsonb := coalesce(p_known, '[]');
  v_arrivals jsonb := coalesce(p_reading -> 'arrivals', jsonb_build_array(supatoss.arrival_of(p_reading)));
  v_common jsonb := jsonb_build_object('at', now(), 'effect', p_effect);
begin
  for i in 0 .. jsonb_array_length(v_arrivals) - 1 loop
    v_all := v_all || (v_arrivals -> i || v_common);
  end loop;
  while jsonb_array_length(v_all) > 20 loop
    v_all := v_all - 0;
  end loop;
  return v_all;
end;
$$;

select supatoss.close_functions();
