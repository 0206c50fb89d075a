-- Takes back that an operator ignored an event.

-- The event is as it was before it was ignored: failed or pending, with its reason and error. One that waits for Toss
-- is due at once. The answer: {event, outcome, status, reason}; outcome: unignored; unchanged (not ignored by an
-- operator); missing.
create function supatoss.unignore_event(p_id uuid, p_actor text, p_address text)
returns jsonb
language plpgsql
set search_path = pg_catalog, public, extensions, pg_temp
as $$
declare
  v_event public.webhook_events;
  v_ignored supatoss.operator_actions;
  v_outcome text;
  v_note text;
begin
  select * into v_event from public.webhook_events w where w.id = p_id for update;
  if not found then
    return jsonb_build_object('event', p_id, 'outcome', 'missing', 'status', null, 'reason', null);
  end if;
  select * into v_ignored from supatoss.operator_actions a
  where a.event_id = p_id and a.action = 'ignore' order by a.created_at desc limit 1;
  v_outcome := case when found and v_event.status = 'ignored' and v_event.reason = 'operator'
                    then 'unignored' else 'unchanged' end;
  if v_outcome = 'unignored' then
    v_note := format('ignored by %s: %s', v_ignored.actor, v_ignored.reason);
    update public.webhook_events w
    set status = v_ignored.status_before, processed = false, processed_at = null,
        reason = v_ignored.event_reason_before,
        last_error = case when right(w.last_error, length(v_note)) = v_note
                          then nullif(rtrim(left(w.last_error, -length(v_note)), E'\n'), '') else w.last_error end,
        attempts = 0, waiting_since = now(),
        next_attempt_at = case when v_ignored.status_before = 'pending' then now() end
    where w.id = p_id
    returning w.* into v_event;
    insert into supatoss.operator_actions (actor, address, action, event_id, status_before, status_after)
    values (p_actor, left(p_address, 100), 'unignore', p_id, 'ignored', v_event.status);
  end if;
  return jsonb_build_object('event', p_id, 'outcome', v_outcome, 'status', v_event.status, 'reason', v_event.reason);
end;
$$;

-- Takes back that these events, a JSON array of ids, were ignored. One answer an id, in order (see unignore_event).
-- dry_run does all of it, takes it back, and answers what would have come of it.
create function public.unignore_webhook_events_v1(
  event_ids text, actor text, dry_run boolean, address text default null)
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_ids uuid[] := array(select e.item::uuid from jsonb_array_elements_text(event_ids::jsonb)
                        with ordinality as e (item, place) order by e.place);
  v_id uuid;
  v_outcomes jsonb := '[]'::jsonb;
begin
  perform supatoss.lock_stored_events(v_ids, array[]::jsonb[]);
  begin
    foreach v_id in array v_ids loop
      v_outcomes := v_outcomes || jsonb_build_array(supatoss.unignore_event(v_id, actor, address));
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
