//! The broker's atomic operations: scripts in Lua. The broker runs nothing else while it
//! runs one of them.
//!
//! The keys of a queue all begin with `mp:{QUEUE}:`, whose braces keep them on one node
//! of a cluster:
//!
//! | key | |
//! | --- | --- |
//! | `tasks` | stream: every task that waits or runs; its group is `workers` |
//! | `client:ID` | hash: a sender, and the answer to its last submission |
//! | `done:ID` | stream: the outcomes for that sender, until it has read them; it exists while the sender lives |
//! | `result:ID` | an outcome that is kept, to be looked up by the task's id; empty before the task ends |
//! | `watchers:ID` | set: senders that wait for such an outcome |
//! | `dead` | stream: tasks that were given up |
//! | `agents` | hash: for each worker, the time of its last report, a space, and the report |
//! | `counts` | hash: the number of tasks that ended, by the kind of their end |
//! | `lease` | the lease that the workers have agreed on |
//!
//! The scripts never parse arguments and results: Lua's numbers are too small for them.
//! All times are the broker's.
//!
//! A worker *owns* a task while the task's entry is pending with it. The first key of
//! every script is `tasks`; most need no other.

use redis::Script;

/// The functions that all scripts share.
const COMMON: &str = r#"
local tasks = KEYS[1]
local prefix = string.sub(tasks, 1, -6)
local group = 'workers'
local day = 86400000

local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function fields_of(entry)
  local map = {}
  for i = 1, #entry, 2 do map[entry[i]] = entry[i + 1] end
  return map
end

-- The pending entry of this id, if this worker owns it.
local function pending(id, agent)
  return redis.call('XPENDING', tasks, group, id, id, 1, agent)[1]
end

-- Adds an outcome to a sender's stream. A sender that has gone has no stream, and gets
-- nothing.
local function report(client, id, outcome)
  redis.call('XADD', prefix .. 'done:' .. client, 'NOMKSTREAM', '*',
    'id', id, 'outcome', outcome)
end

-- Records a new sender for a day, or one whose keys had expired. Its stream lives longer
-- than its hash, so that a sender with a hash has a stream.
local function add_sender(client)
  local done = prefix .. 'done:' .. string.match(client, ':client:(.*)$')
  redis.call('XADD', done, '*', 'id', '', 'outcome', '')
  redis.call('PEXPIRE', done, 2 * day)
  redis.call('PEXPIRE', client, day)
end

local function deliver(client, id, outcome, keep)
  report(client, id, outcome)
  if keep and keep ~= '' then
    -- The number comes from the task's entry, and may be out of range.
    redis.pcall('SET', prefix .. 'result:' .. id, outcome, 'PX', keep)
    local watchers = prefix .. 'watchers:' .. id
    for _, watcher in ipairs(redis.call('SMEMBERS', watchers)) do
      report(watcher, id, outcome)
    end
    redis.call('DEL', watchers)
  end
end

local function remove(entry)
  redis.call('XACK', tasks, group, entry)
  return redis.call('XDEL', tasks, entry)
end

local function bury(entry, fields, outcome, deliveries)
  remove(entry)
  local copy = {'entry', entry, 'outcome', outcome, 'deliveries', deliveries}
  -- A task has fewer fields than this; unpack fails for some thousands of values.
  for i = 1, math.min(#fields, 100) do copy[#copy + 1] = fields[i] end
  redis.call('XADD', prefix .. 'dead', 'MAXLEN', '~', 100000, '*', unpack(copy))
  redis.call('HINCRBY', prefix .. 'counts', 'dead', 1)
  local map = fields_of(fields)
  if map.id then
    local client = string.match(map.id, '^(.*)%-[^-]*$') or ''
    local keep = string.match(map.keep or '', '^%d+$')
    deliver(client, map.id, outcome, keep)
  end
end

local function lost(deliveries, worker)
  return '{"error":' .. cjson.encode(
    {Lost = {deliveries = deliveries, last_worker = worker}}) .. '}'
end

local function most_of(map)
  return tonumber(string.match(map.most or '', '^%d+$')) or 3
end
"#;

/// A sender submits tasks. It may repeat the submission if it had no answer: it then gets
/// the answer to the first.
///
/// Keys: tasks, client. Arguments: the number of the first task, the capacity; then for
/// each task the number of its fields and values, the milliseconds until it expires or
/// nothing, its id if its result is to be kept or nothing, the fields and values. Answers
/// with the entries that were made, each followed by a space: tasks for which there is no
/// room have none.
const SUBMIT: &str = r"
local client = KEYS[2]
local first, capacity = ARGV[1], tonumber(ARGV[2])
if redis.call('HGET', client, 'first') == first then
  return redis.call('HGET', client, 'entries')
end
local room = capacity - redis.call('XLEN', tasks)
local entries = {}
local i = 3
while ARGV[i] and room > 0 do
  local count, expires = tonumber(ARGV[i]), ARGV[i + 1]
  local kept = ARGV[i + 2]
  local fields = {unpack(ARGV, i + 3, i + 2 + count)}
  if expires ~= '' then
    fields[#fields + 1] = 'expires'
    fields[#fields + 1] = string.format('%d', now() + tonumber(expires))
  end
  entries[#entries + 1] = redis.call('XADD', tasks, '*', unpack(fields))
  entries[#entries + 1] = ' '
  if kept ~= '' then
    -- An empty result shows that the task has not ended, but that it is known.
    redis.call('SET', prefix .. 'result:' .. kept, '', 'PX', 7 * day, 'NX')
  end
  i = i + 3 + count
  room = room - 1
end
local made = table.concat(entries)
if made ~= '' and
    redis.call('HSET', client, 'first', first, 'entries', made) == 2 then
  add_sender(client)
end
return made
";

/// A worker reports the outcomes of tasks. It may repeat the report.
///
/// Arguments: the worker; then for each task its entry, id, sender, outcome, the kind of
/// its end, and how long to keep its result. Answers with 1 for each task that the worker
/// still owned, 0 for each that it did not own and whose outcome is dropped.
const DONE: &str = r"
local agent = ARGV[1]
local mine = {}
if #ARGV == 7 then
  if pending(ARGV[2], agent) then mine[ARGV[2]] = true end
else
  -- One query for all: a worker owns few tasks besides those that it reports.
  local all = redis.call('XPENDING', tasks, group, '-', '+', 1000000, agent)
  for _, task in ipairs(all) do mine[task[1]] = true end
end
local own, ended, counts = {}, {}, {}
for i = 2, #ARGV, 6 do
  local entry, kind = ARGV[i], ARGV[i + 4]
  if mine[entry] then
    mine[entry] = nil
    deliver(ARGV[i + 2], ARGV[i + 1], ARGV[i + 3], ARGV[i + 5])
    counts[kind] = (counts[kind] or 0) + 1
    ended[#ended + 1] = entry
    own[#own + 1] = 1
  else
    own[#own + 1] = 0
  end
end
if #ended > 0 then
  redis.call('XACK', tasks, group, unpack(ended))
  redis.call('XDEL', tasks, unpack(ended))
  for kind, count in pairs(counts) do
    redis.call('HINCRBY', prefix .. 'counts', kind, count)
  end
end
return own
";

/// A worker reports that it lives, and renews the leases of its tasks.
///
/// Arguments: the worker, its lease, its report about itself or nothing; then entries.
/// Answers with 1 for each task that the worker still owns, 0 for each other.
const HEARTBEAT: &str = r"
local agent, lease, record = ARGV[1], ARGV[2], ARGV[3]
if record ~= '' then
  redis.call('HSET', prefix .. 'agents', agent, string.format('%d ', now()) .. record)
  redis.call('SET', prefix .. 'lease', lease, 'PX', 60000)
end
local own = {}
for i = 4, #ARGV do
  if pending(ARGV[i], agent) then
    -- Without JUSTID, this would count as a delivery.
    local kept = redis.call('XCLAIM', tasks, group, agent, 0, ARGV[i], 'JUSTID')
    own[#own + 1] = #kept
  else
    own[#own + 1] = 0
  end
end
return own
";

/// Claims tasks whose worker has been silent for a whole lease. Tasks that were delivered
/// too often, or that no worker can run, become dead. Removes workers that have gone.
///
/// Arguments: the worker, the lease, the number of tasks that it can take; then the names
/// of its functions. Answers with the entries, each with its fields and values.
const CLAIM: &str = r#"
local agent, lease, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local names = {}
for i = 4, #ARGV do names[ARGV[i]] = true end
local taken = {}
local stale = redis.call('XPENDING', tasks, group, 'IDLE', lease, '-', '+', 200)
for _, task in ipairs(stale) do
  local id, owner, idle, deliveries = task[1], task[2], task[3], task[4]
  local found = redis.call('XRANGE', tasks, id, id)[1]
  if not found then
    redis.call('XACK', tasks, group, id)
  else
    local map = fields_of(found[2])
    local most = most_of(map)
    if deliveries >= most then
      bury(id, found[2], lost(deliveries, owner), deliveries)
    elseif map.task and names[map.task] then
      if #taken < room then
        redis.call('XCLAIM', tasks, group, agent, lease, id)
        taken[#taken + 1] = found
      end
    elseif idle >= lease * (most + 1) then
      local outcome = '{"error":' .. cjson.encode(
        {Unregistered = map.task or ''}) .. '}'
      bury(id, found[2], outcome, deliveries)
    end
  end
end
-- Workers that have gone are removed once they own no tasks.
local agents = prefix .. 'agents'
for _, other in ipairs(redis.call('XINFO', 'CONSUMERS', tasks, group)) do
  local map = fields_of(other)
  if map.pending == 0 and map.idle > 60000 + 10 * lease and map.name ~= agent then
    redis.call('XGROUP', 'DELCONSUMER', tasks, group, map.name)
  end
end
local reports = redis.call('HGETALL', agents)
for i = 1, #reports, 2 do
  local when = tonumber(string.match(reports[i + 1], '^%d+') or 0)
  if now() - when > 60000 + lease then redis.call('HDEL', agents, reports[i]) end
end
return taken
"#;

/// A worker's process died while it ran a task. The task may run again, unless it was
/// delivered too often.
///
/// Arguments: the worker, the entry, the worker's name with the end of the process.
/// Answers `again`, `dead`, or `lost` if the worker no longer owns the task.
const RETRY: &str = r"
local agent, entry, died = ARGV[1], ARGV[2], ARGV[3]
local mine = pending(entry, agent)
if not mine then return 'lost' end
local found = redis.call('XRANGE', tasks, entry, entry)[1]
if not found then
  redis.call('XACK', tasks, group, entry)
  return 'lost'
end
local deliveries = mine[4]
if deliveries >= most_of(fields_of(found[2])) then
  bury(entry, found[2], lost(deliveries, died), deliveries)
  return 'dead'
end
redis.call('XCLAIM', tasks, group, agent, 0, entry)
return 'again'
";

/// A worker gives tasks back that it has not run to their end. The next worker that
/// claims may take them, and this delivery does not count.
///
/// Arguments: the worker, the lease; then entries.
const RELEASE: &str = r"
local agent, lease = ARGV[1], ARGV[2]
for i = 3, #ARGV do
  local mine = pending(ARGV[i], agent)
  if mine then
    redis.call('XCLAIM', tasks, group, agent, 0, ARGV[i], 'IDLE', lease,
      'RETRYCOUNT', math.max(mine[4] - 1, 0), 'JUSTID')
  end
end
return 1
";

/// Makes an entry dead that is not a task. Arguments: the worker, the entry, the outcome.
const BURY: &str = r"
local mine = pending(ARGV[2], ARGV[1])
local found = redis.call('XRANGE', tasks, ARGV[2], ARGV[2])[1]
if mine and found then bury(ARGV[2], found[2], ARGV[3], mine[4]) end
return 1
";

/// Checks whether a task that expires may still begin. If it may not, the task ends as
/// expired. Arguments: the worker, the entry. Answers 1 if the task may begin, otherwise 0.
const MAY_BEGIN: &str = r#"
local agent, entry = ARGV[1], ARGV[2]
if not pending(entry, agent) then return 0 end
local found = redis.call('XRANGE', tasks, entry, entry)[1]
if not found then return 0 end
local map = fields_of(found[2])
if now() <= (tonumber(map.expires) or math.huge) then return 1 end
local client = string.match(map.id or '', '^(.*)%-[^-]*$') or ''
deliver(client, map.id or '', '{"error":"Expired"}', map.keep)
redis.call('HINCRBY', prefix .. 'counts', 'failed', 1)
remove(entry)
return 0
"#;

/// A sender cancels tasks. A worker that runs one learns from its next heartbeat that it
/// no longer owns the task.
///
/// Arguments: entries.
const CANCEL: &str = r"
for i = 1, #ARGV do
  redis.call('HINCRBY', prefix .. 'counts', 'cancelled', remove(ARGV[i]))
end
return 1
";

/// A sender reports that it lives, and asks which of its tasks the broker still has.
///
/// Keys: tasks, client. Arguments: entries. Answers with 1 for each task that the broker
/// has, 0 for each other.
const CHECK: &str = r"
redis.call('PEXPIRE', KEYS[2], day)
redis.call('PEXPIRE', prefix .. 'done:' .. string.match(KEYS[2], ':client:(.*)$'), 2 * day)
local there = {}
for i = 1, #ARGV do
  there[i] = #redis.call('XRANGE', tasks, ARGV[i], ARGV[i])
end
return there
";

/// A sender asks for the outcome of a task by its id. It may repeat the request.
///
/// Keys: tasks, client. Arguments: the sender, the task's id.
const WATCH: &str = r#"
if redis.call('HSETNX', KEYS[2], 'entries', '') == 1 then
  redis.call('HSET', KEYS[2], 'first', '')
  add_sender(KEYS[2])
end
local outcome = redis.call('GET', prefix .. 'result:' .. ARGV[2])
if not outcome then
  report(ARGV[1], ARGV[2], '{"error":"Forgotten"}')
elseif outcome ~= '' then
  report(ARGV[1], ARGV[2], outcome)
else
  local watchers = prefix .. 'watchers:' .. ARGV[2]
  redis.call('SADD', watchers, ARGV[1])
  redis.call('PEXPIRE', watchers, day)
end
return 1
"#;

/// A worker joins the queue, whose group is made if there is none. Arguments: the lease
/// that it asks for. Answers with the lease in force.
const JOIN: &str = r"
local made = redis.pcall('XGROUP', 'CREATE', tasks, group, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
redis.call('SET', prefix .. 'lease', ARGV[1], 'PX', 60000, 'NX')
return redis.call('GET', prefix .. 'lease')
";

/// A worker leaves the queue. Arguments: the worker.
const LEAVE: &str = r"
redis.call('HDEL', prefix .. 'agents', ARGV[1])
return 1
";

/// The state of the queue. Answers with the number of its tasks, the number that workers
/// own, the number of dead tasks, the counts, the time, the reports of the workers, and
/// the first thousand tasks that they own.
const STATS: &str = r"
local running = {}
local held = 0
local groups = redis.pcall('XPENDING', tasks, group)
if not groups.err then
  held = groups[1]
  for _, task in ipairs(redis.call('XPENDING', tasks, group, '-', '+', 1000)) do
    local found = redis.call('XRANGE', tasks, task[1], task[1])[1]
    local map = fields_of(found and found[2] or {})
    running[#running + 1] = {task[1], task[2], task[4], map.id or '', map.task or ''}
  end
end
return {redis.call('XLEN', tasks), held, redis.call('XLEN', prefix .. 'dead'),
  redis.call('HGETALL', prefix .. 'counts'), string.format('%d', now()),
  redis.call('HGETALL', prefix .. 'agents'), running}
";

/// Puts a dead task back into the queue. Arguments: its place among the dead tasks.
/// Answers 1, or 0 if there is no such task.
const RETRY_DEAD: &str = r"
local dead = prefix .. 'dead'
local found = redis.call('XRANGE', dead, ARGV[1], ARGV[1])[1]
if not found then return 0 end
local fields = found[2]
-- The first six values were added when the task became dead.
redis.call('XADD', tasks, '*', unpack(fields, 7))
redis.call('XDEL', dead, ARGV[1])
return 1
";

/// All scripts, made once.
pub(super) struct Scripts {
    pub(super) submit: Script,
    pub(super) done: Script,
    pub(super) heartbeat: Script,
    pub(super) claim: Script,
    pub(super) retry: Script,
    pub(super) release: Script,
    pub(super) bury: Script,
    pub(super) may_begin: Script,
    pub(super) cancel: Script,
    pub(super) check: Script,
    pub(super) watch: Script,
    pub(super) join: Script,
    pub(super) leave: Script,
    pub(super) stats: Script,
    pub(super) retry_dead: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        // These end tasks, which frees memory, so they run also if memory is short.
        let ends = |body: &str| {
            Script::new(&format!("#!lua flags=allow-oom\n{COMMON}{body}"))
        };
        let other = |body: &str| Script::new(&format!("{COMMON}{body}"));
        Self {
            submit: other(SUBMIT),
            done: ends(DONE),
            heartbeat: ends(HEARTBEAT),
            claim: ends(CLAIM),
            retry: ends(RETRY),
            release: ends(RELEASE),
            bury: ends(BURY),
            may_begin: ends(MAY_BEGIN),
            cancel: ends(CANCEL),
            check: ends(CHECK),
            watch: ends(WATCH),
            join: ends(JOIN),
            leave: ends(LEAVE),
            stats: ends(STATS),
            retry_dead: other(RETRY_DEAD),
        }
    }
}
