-- For `supatoss doctor`: what a project's own policies, views and functions open of our tables. Nothing is changed.

-- Whether a role that owns no row sees rows of a table: rows, none, refused, or unknown where a policy raises. It looks
-- at some 10,000 rows of a large table, as a policy may cost something for each of them.
create function supatoss.stranger_sees(p_table regclass, p_role text)
returns text
language plpgsql
set search_path = ''
as $$
declare
  v_role text := current_setting('role');
  v_claims text := coalesce(current_setting('request.jwt.claims', true), '');
  v_query text;
  v_sees boolean;
begin
  select format('select exists (select from %s tablesample system (%s))', p_table,
                round(least(100, 1000000 / greatest(c.reltuples, 1))::numeric, 4))
  into v_query
  from pg_catalog.pg_class c where c.oid = p_table;
  begin
    perform set_config('request.jwt.claims', jsonb_build_object(
      'role', p_role, 'sub', case when p_role = 'authenticated' then gen_random_uuid() end)::text, true);
    perform set_config('search_path', 'public, extensions', true);  -- as the Data API sets it, for the policies
    perform set_config('role', p_role, true);
    execute v_query into v_sees;
  exception
    when insufficient_privilege then
      return 'refused';
    when others then
      return 'unknown';
  end;
  perform set_config('role', v_role, true);
  perform set_config('request.jwt.claims', v_claims, true);
  return case when v_sees then 'rows' else 'none' end;
end;
$$;

-- Our tables that the Data API can expose.
create function supatoss.exposed_tables()
returns regclass[]
language sql stable
set search_path = ''
as $$
  select array['public.payments'::regclass, 'public.subscriptions'::regclass, 'public.settlements'::regclass,
               'public.webhook_events'::regclass]
$$;

-- Whether a text of SQL looks at who asks.
create function supatoss.asks_who(p_text text)
returns boolean
language sql immutable
set search_path = ''
as $$ select coalesce(p_text, '') ~* '\mauth\.|current_setting|current_user|session_user|current_role|request\.jwt' $$;

-- Permissive policies of the project's own that a user's grants make effective. asks: whether the expression calls a
-- function of the project or of Supabase (auth.uid(), is_admin()), or names the role; `true` does not.
create function supatoss.foreign_policies()
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'policy', format('%I on %s', p.polname, p.polrelid::regclass), 'command', k.command, 'roles', u.roles,
           'expression', concat_ws(' with check ', pg_get_expr(p.polqual, p.polrelid),
                                   pg_get_expr(p.polwithcheck, p.polrelid)),
           'asks', supatoss.asks_who(pg_get_expr(p.polqual, p.polrelid) || pg_get_expr(p.polwithcheck, p.polrelid))
                   or exists (
                     select from pg_catalog.pg_depend d
                     where d.classid = 'pg_catalog.pg_policy'::regclass and d.objid = p.oid
                       and d.refclassid = 'pg_catalog.pg_proc'::regclass))
         order by p.polrelid::regclass::text, p.polname), '[]'::jsonb)
  from pg_catalog.pg_policy p
  cross join lateral (
    select case p.polcmd when 'r' then 'select' when 'a' then 'insert' when 'w' then 'update' when 'd' then 'delete'
                         else 'all' end as command) k
  cross join lateral (
    select jsonb_agg(r.role order by r.role) as roles
    from unnest(array['anon', 'authenticated']) as r (role)
    where exists (select from unnest(p.polroles) as x (role)
                  where x.role = 0 or pg_has_role(r.role, x.role, 'member'))
      and (k.command in ('select', 'all') and has_any_column_privilege(r.role, p.polrelid, 'select')
           or k.command in ('insert', 'all') and has_any_column_privilege(r.role, p.polrelid, 'insert')
           or k.command in ('update', 'all') and has_any_column_privilege(r.role, p.polrelid, 'update')
           or k.command in ('delete', 'all') and has_table_privilege(r.role, p.polrelid, 'delete'))) u
  where p.polrelid = any (supatoss.exposed_tables()) and p.polpermissive and p.polname not like 'supatoss\_%'
    and u.roles is not null
$$;

-- Views that read our tables, or views of them, with the rights of their owner, whom row level security does not
-- stop. writes: whether these roles can also write through it.
create function supatoss.open_views()
returns jsonb
language sql stable
set search_path = ''
as $$
  with recursive reads as (
    select distinct r.ev_class as view, d.refobjid as relation, c.relkind = 'm' or not exists (
             select from pg_options_to_table(c.reloptions) o
             where o.option_name = 'security_invoker' and o.option_value::boolean) as is_owners
    from pg_catalog.pg_depend d
    join pg_catalog.pg_rewrite r on r.oid = d.objid
    join pg_catalog.pg_class c on c.oid = r.ev_class and c.relkind in ('v', 'm')
    where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
      and r.ev_class <> d.refobjid
  ),
  readers as (
    select r.view, r.relation as table_id, r.is_owners from reads r where r.relation = any (supatoss.exposed_tables())
    union
    select r.view, o.table_id, r.is_owners or o.is_owners from reads r join readers o on o.view = r.relation
  ),
  found as (
    select o.view, array_agg(distinct o.table_id::regclass::text) as tables from readers o
    where o.is_owners group by o.view
  )
  select coalesce(jsonb_agg(jsonb_build_object(
           'view', f.view::regclass, 'kind', case c.relkind when 'm' then 'materialized view' else 'view' end,
           'tables', f.tables, 'roles', u.roles, 'writes', u.writes,
           'asks', supatoss.asks_who(pg_get_viewdef(f.view))) order by f.view::regclass::text), '[]'::jsonb)
  from found f
  join pg_catalog.pg_class c on c.oid = f.view
  cross join lateral (
    select jsonb_agg(r.role order by r.role) as roles,
           coalesce(bool_or(
             has_any_column_privilege(r.role, f.view, 'update') and b.bits & 4 > 0
             or has_any_column_privilege(r.role, f.view, 'insert') and b.bits & 8 > 0
             or has_table_privilege(r.role, f.view, 'delete') and b.bits & 16 > 0), false) as writes
    from unnest(array['anon', 'authenticated']) as r (role), pg_relation_is_updatable(f.view, false) as b (bits)
    where has_schema_privilege(r.role, c.relnamespace, 'usage')
      and (has_any_column_privilege(r.role, f.view, 'select') or has_any_column_privilege(r.role, f.view, 'insert')
           or has_any_column_privilege(r.role, f.view, 'update') or has_table_privilege(r.role, f.view, 'delete'))) u
  where u.roles is not null
$$;

-- Functions of the project's own that users can call: those that run with their owner's rights and name our tables, and
-- those that we call for a change, whom anybody could tell of a payment that nobody made (is_hook).
create function supatoss.open_functions()
returns jsonb
language sql stable
set search_path = ''
as $$
  select coalesce(jsonb_agg(jsonb_build_object(
           'function', p.oid::regprocedure, 'roles', u.roles, 'asks', supatoss.asks_who(b.body), 'is_hook', k.is_hook)
         order by p.oid::regprocedure::text), '[]'::jsonb)
  from pg_catalog.pg_proc p
  cross join lateral (select coalesce(pg_get_function_sqlbody(p.oid), p.prosrc) as body) b
  cross join lateral (
    select p.pronamespace = 'public'::regnamespace
           and p.proname in ('on_payment_changed', 'on_subscription_changed') as is_hook) k
  cross join lateral (
    select jsonb_agg(r.role order by r.role) as roles
    from unnest(array['anon', 'authenticated']) as r (role)
    where has_schema_privilege(r.role, p.pronamespace, 'usage') and has_function_privilege(r.role, p.oid, 'execute')
  ) u
  where p.prokind in ('f', 'p') and u.roles is not null
    and p.prorettype not in ('trigger'::regtype, 'event_trigger'::regtype)
    and not exists (select from pg_catalog.pg_depend d
                    where d.classid = 'pg_catalog.pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
    and (k.is_hook or p.prosecdef and b.body ~* (
      select '\m(' || string_agg(c.relname, '|') || ')\M' from pg_catalog.pg_class c
      where c.oid = any (supatoss.exposed_tables())))
$$;

-- {strangers, unprotected, policies, views, functions, triggers}. unprotected: tables without row level security that
-- users have grants on. triggers: the project's own that ask for the role of the token; in a call of supatoss_service
-- they see that name.
create function public.supatoss_read_exposure_v1()
returns jsonb
language plpgsql
set search_path = ''
as $$
declare
  v_table regclass;
  v_role text;
  v_strangers jsonb := '[]'::jsonb;
begin
  foreach v_table in array supatoss.exposed_tables() loop
    foreach v_role in array array['anon', 'authenticated'] loop
      v_strangers := v_strangers || jsonb_build_array(jsonb_build_object(
        'table', v_table, 'role', v_role, 'sees', supatoss.stranger_sees(v_table, v_role)));
    end loop;
  end loop;
  return jsonb_build_object(
    'strangers', v_strangers,
    'unprotected', (
      select coalesce(jsonb_agg(c.oid::regclass order by c.oid::regclass::text), '[]'::jsonb)
      from pg_catalog.pg_class c
      where c.oid = any (supatoss.exposed_tables()) and not c.relrowsecurity
        and exists (select from unnest(array['anon', 'authenticated']) as r (role),
                                unnest(array['select', 'insert', 'update', 'delete']) as k (privilege)
                    where has_table_privilege(r.role, c.oid, k.privilege))),
    'policies', supatoss.foreign_policies(),
    'views', supatoss.open_views(),
    'functions', supatoss.open_functions(),
    'triggers', (
      select coalesce(jsonb_agg(format('%I on %s', t.tgname, t.tgrelid::regclass) order by t.tgname), '[]'::jsonb)
      from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
      where t.tgrelid = any (supatoss.exposed_tables()) and not t.tgisinternal
        and p.prosrc ~* '\mauth\.(role|jwt)\M|request\.jwt'));
end;
$$;

select supatoss.close_functions();
