-- Takes the locks of recording for these events, under what is stored of them and under what their new reading says.
create function supatoss.lock_stored_events_v1(p_ids uuid[], p_readings jsonb[])
returns void
language plpgsql
set search_path = ''
as $$
begin
  perform supatoss.lock_subjects_v1(p_readings || array(
    select jsonb_build_object('event_key', w.event_key, 'order_id', w.order_id, 'payment_key', w.payment_key, 'change', w.change)
    from public.webhook_events w where w.id = any (p_ids)));
end;
$$;

-- Records one event anew as p_reading says: {event, seen_status, seen_reason, status, reason, last_error, change, payment_key,
-- order_id, occurred_at}. Null in change, payment_key, order_id and occurred_at keeps what is stored.
create function supatoss.replay_event_v1(p_reading jsonb, p_actor text)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_before public.webhook_events;
  v_after public.webhook_events;
  v_status text := p_reading ->> 'status';
begin
  -- Claiming takes no advisory lock, so the row is locked before its lease is looked at.
  select * into v_before from public.webhook_events w where w.id = (p_reading ->> 'event')::uuid for update;
  if not found then
    return jsonb_build_object('event', p_reading ->> 'event', 'outcome', 'missing', 'status', null, 'reason', null);
  end if;
  if v_before.lease_until > now() then
    -- A worker is asking Toss, or approving: what it learns must find the event as it left it.
    return jsonb_build_object('event', v_before.id, 'outcome', 'in_hand', 'status', v_before.status, 'reason', v_before.reason);
  end if;
  if (v_before.status, v_before.reason) is distinct from (p_reading ->> 'seen_status', p_reading ->> 'seen_reason') then
    return jsonb_build_object('event', v_before.id, 'outcome', 'changed', 'status', v_before.status, 'reason', v_before.reason);
  end if;
  if v_before.status = 'processed' and (v_status <> 'processed' or v_before.change ->> 'kind' = 'billing') then
    -- Money that counts is never taken back here, and a billing key is no fold: an application may have paused its
    -- subscription since, and a second application of the event would wake it.
    return jsonb_build_object('event', v_before.id, 'outcome', 'unchanged', 'status', v_before.status, 'reason', v_before.reason);
  end if;

  begin
    update public.webhook_events w
    set status = v_status,
        processed = v_status in ('processed', 'ignored'),
        processed_at = case when v_status = w.status then w.processed_at when v_status in ('processed', 'ignored') then now() end,
        reason = p_reading ->> 'reason',
        last_error = p_reading ->> 'last_error',
        change = coalesce(nullif(p_reading -> 'change', 'null'), w.change),
        payment_key = coalesce(p_reading ->> 'payment_key', w.payment_key),
        order_id = coalesce(p_reading ->> 'order_id', w.order_id),
        occurred_at = coalesce((p_reading ->> 'occurred_at')::timestamptz, w.occurred_at),
        attempts = 0,
        waiting_since = now(),
        next_attempt_at = case when v_status = 'pending' then now() end,
        lease_token = null, lease_until = null
    where w.id = v_before.id;
    if v_status = 'processed' then
      perform supatoss.apply_events_v1(array[v_before.id]);
    end if;
  exception when data_exception or integrity_constraint_violation or program_limit_exceeded or raise_exception then
    if v_before.status = 'processed' then
      return jsonb_build_object('event', v_before.id, 'outcome', 'unchanged', 'status', v_before.status, 'reason', 'refused_by_database');
    end if;
    update public.webhook_events w
    set status = 'failed', processed = false, processed_at = null, reason = 'refused_by_database',
        last_error = format('%s (SQLSTATE %s)', sqlerrm, sqlstate), next_attempt_at = null, lease_token = null, lease_until = null
    where w.id = v_before.id;
  end;

  select * into v_after from public.webhook_events w where w.id = v_before.id;
  insert into public.operator_actions (actor, action, event_id, status_before, status_after)
  values (p_actor, 'replay', v_before.id, v_before.status, v_after.status);
  return jsonb_build_object('event', v_after.id, 'outcome', 'replayed', 'status', v_after.status, 'reason', v_after.reason);
end;
$$;

-- Records stored events anew, with what is read of them today (see supatoss.replay_event_v1), under the locks of recording.
-- One answer a reading, in order: {event, outcome, status, reason}. outcome: replayed; unchanged (its effect stands);
-- in_hand (a worker has it); changed (not as the reading saw it); missing.
-- dry_run does all of it, takes it back, and answers what would have come of it.
create function public.replay_webhook_events_v1(readings text, actor text, dry_run boolean)
returns jsonb
language plpgsql
set search_path = ''
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_readings jsonb[] := array(select e.item from jsonb_array_elements(readings::jsonb) with ordinality as e (item, place) order by e.place);
  v_reading jsonb;
  v_outcomes jsonb := '[]'::jsonb;
begin
  perform supatoss.lock_stored_events_v1(
    array(select (r.item ->> 'event')::uuid from unnest(v_readings) as r (item)), v_readings);
  begin
    foreach v_reading in array v_readings loop
      v_outcomes := v_outcomes || jsonb_build_array(supatoss.replay_event_v1(v_reading, actor));
    end loop;
    if dry_run then
      raise exception 'dry run' using errcode = 'SUPA1';
    end if;
  exception when sqlstate 'SUPA1' then
    null;  -- The rows are as before; the variable is not.
  end;
  return v_outcomes;
end;
$$;

-- Sets failed and pending events aside: a person says that nothing is to be done about them. Events whose effect counts are
-- left alone, so no money is taken back. event_ids: a JSON array. One answer an id, in order: {event, outcome, status, reason};
-- outcome: ignored; unchanged (neither failed nor pending); in_hand (a worker has it); missing.
create function public.ignore_webhook_events_v1(event_ids text, reason text, actor text, dry_run boolean)
returns jsonb
language plpgsql
set search_path = ''
as $$
#variable_conflict use_column
declare
  v_ids uuid[] := array(select e.item::uuid from jsonb_array_elements_text(event_ids::jsonb) with ordinality as e (item, place) order by e.place);
  v_id uuid;
  v_event public.webhook_events;
  v_outcome text;
  v_outcomes jsonb := '[]'::jsonb;
  v_reason text := btrim(coalesce($2, ''), E' \t\r\n');
begin
  if length(v_reason) not between 1 and 500 then
    raise exception 'a reason of 1 to 500 characters is needed' using errcode = 'check_violation';
  end if;
  perform supatoss.lock_stored_events_v1(v_ids, array[]::jsonb[]);
  begin
    foreach v_id in array v_ids loop
      select * into v_event from public.webhook_events w where w.id = v_id for update;
      v_outcome := case when not found then 'missing'
                        when v_event.status not in ('pending', 'failed') then 'unchanged'
                        when v_event.lease_until > now() then 'in_hand'
                        else 'ignored' end;
      if v_outcome = 'ignored' then
        insert into public.operator_actions (actor, action, event_id, reason, status_before, status_after)
        values ($3, 'ignore', v_id, v_reason, v_event.status, 'ignored');
        update public.webhook_events w
        set status = 'ignored', processed = true, processed_at = now(), reason = 'operator',
            last_error = concat_ws(E'\n', w.last_error, format('ignored by %s: %s', $3, v_reason)),
            next_attempt_at = null, lease_token = null, lease_until = null
        where w.id = v_id
        returning w.* into v_event;
      end if;
      v_outcomes := v_outcomes || jsonb_build_array(jsonb_build_object(
        'event', v_id, 'outcome', v_outcome,
        'status', case when v_outcome <> 'missing' then v_event.status end,
        'reason', case when v_outcome <> 'missing' then v_event.reason end));
    end loop;
    if dry_run then
      raise exception 'dry run' using errcode = 'SUPA1';
    end if;
  exception when sqlstate 'SUPA1' then
    null;
  end;
  return v_outcomes;
end;
$$;

select supatoss.close_functions();
