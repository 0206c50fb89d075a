-- New ids of the two tables that grow begin with the time, like UUIDs of version 7 (RFC 9562, section 5.7), so that they
-- come one after the other in the primary key. A random id touches another page of the index each time, and PostgreSQL
-- writes each page whole into its log when it is touched first after a checkpoint.
--
-- Built-in functions only: whoever may insert a row may run its defaults. A default of the project's own is left alone.
do $$
declare
  target record;
begin
  for target in
    select c.oid::regclass as name
    from pg_class c
    join pg_attribute a on a.attrelid = c.oid and a.attname = 'id' and a.atttypid = 'uuid'::regtype
    join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
    where c.oid in ('public.webhook_events'::regclass, 'public.payments'::regclass)
      and pg_get_expr(d.adbin, d.adrelid) = 'gen_random_uuid()'
  loop
    -- 48 bits of milliseconds in front; then the version, 4 in a random id, becomes 7 (bits 52 and 53 of the bytes).
    execute format($default$
      alter table %s alter column id set default encode(
        set_bit(set_bit(
          overlay(uuid_send(gen_random_uuid()) placing
            substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
          52, 1), 53, 1),
        'hex')::uuid
    $default$, target.name);
  end loop;
end
$$;
