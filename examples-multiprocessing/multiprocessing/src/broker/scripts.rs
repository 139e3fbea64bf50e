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
//! | `done:ID` | stream: the outcomes for that sender, one or more in an entry, until it has read them; it exists while the sender lives |
//! | `result:ID` | an outcome that is kept, to be looked up by the task's id; empty before the task ends. A task with a key is submitted only if there is none |
//! | `watchers:ID` | set: senders that wait for such an outcome |
//! | `dead` | stream: tasks that were given up |
//! | `agents` | hash: for each worker, the time of its last report, a space, and the report |
//! | `counts` | hash: the number of tasks that ended without a value, by the kind of their end |
//! | `lease` | the lease that the workers have agreed on |
//!
//! The scripts never parse arguments and results: Lua's numbers are too small for them.
//! All times are the broker's.
//!
//! A worker *owns* a task while the task's entry is pending with it. The first key of
//! every script is `tasks`; most need no other.

use redis::Script;

/// The beginning of every script.
const HEAD: &str = r"
local tasks = KEYS[1]
local prefix = string.sub(tasks, 1, -6)
local group = 'workers'
local day = 86400000
";

// The functions that scripts share. A script defines its functions whenever it runs,
// which takes about as long as a command, so each script has only those that it needs.

const NOW: &str = r"
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
";

const FIELDS_OF: &str = r"
local function fields_of(entry)
  local map = {}
  for i = 1, #entry, 2 do map[entry[i]] = entry[i + 1] end
  return map
end
";

const PENDING: &str = r"
-- The pending entry of this id, if this worker owns it.
local function pending(id, agent)
  return redis.call('XPENDING', tasks, group, id, id, 1, agent)[1]
end
";

const SENDER: &str = r"
-- The stream of the sender that has this hash.
local function done_of(client)
  return prefix .. 'done:' .. string.sub(client, #prefix + #'client:' + 1)
end

-- Records a new sender for a day, or one whose keys had expired. Its stream lives longer
-- than its hash, so that a sender with a hash has a stream.
local function add_sender(client)
  local done = done_of(client)
  redis.call('XADD', done, '*', 'id', '', 'outcome', '')
  redis.call('PEXPIRE', done, 2 * day)
  redis.call('PEXPIRE', client, day)
end
";

const DELIVER: &str = r"
-- Adds outcomes to a sender's stream: for each, `id`, its id, `outcome` and the outcome.
-- A sender that has gone has no stream, and gets nothing.
local function report(client, ...)
  redis.call('XADD', prefix .. 'done:' .. client, 'NOMKSTREAM', '*', ...)
end

local function client_of(id)
  return string.match(id, '^(.*)%-[^-]*$') or ''
end

-- Keeps an outcome that is to be kept, and gives it to the senders that wait for it.
local function keep_result(id, outcome, keep)
  if keep and keep ~= '' then
    -- The number comes from the task's entry, and may be out of range.
    redis.pcall('SET', prefix .. 'result:' .. id, outcome, 'PX', keep)
    local watchers = prefix .. 'watchers:' .. id
    for _, watcher in ipairs(redis.call('SMEMBERS', watchers)) do
      report(watcher, 'id', id, 'outcome', outcome)
    end
    redis.call('DEL', watchers)
  end
end

local function deliver(id, outcome, keep)
  report(client_of(id), 'id', id, 'outcome', outcome)
  keep_result(id, outcome, keep)
end
";

const REMOVE: &str = r"
local function remove(entry)
  redis.call('XACK', tasks, group, entry)
  return redis.call('XDEL', tasks, entry)
end
";

/// It needs `FIELDS_OF`, `DELIVER` and `REMOVE`.
const BURY_TASK: &str = r#"
local function bury(entry, fields, outcome, deliveries)
  remove(entry)
  local copy = {'entry', entry, 'outcome', outcome, 'deliveries', deliveries}
  -- A task has fewer fields than this; unpack fails for some thousands of values.
  for i = 1, math.min(#fields, 100) do copy[#copy + 1] = fields[i] end
  redis.call('XADD', prefix .. 'dead', 'MAXLEN', '~', 100000, '*', unpack(copy))
  redis.call('HINCRBY', prefix .. 'counts', 'dead', 1)
  local map = fields_of(fields)
  if map.id then
    deliver(map.id, outcome, string.match(map.keep or '', '^%d+$'))
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
/// Keys: tasks, client. Arguments: the number of the first task, `again` if this may be a
/// repetition or nothing, the capacity, the milliseconds until the tasks expire or
/// nothing; then for each task the number of its fields and values, after a `k` if its
/// result is to be kept, and the fields and values, `id` first. Answers with the entries
/// that were made, each followed by a space: tasks for which there is no room have none.
/// It is `-` for a task whose result is known, or will be: its key was used before.
const SUBMIT: &str = r"
local client = KEYS[2]
local first, capacity, expires = ARGV[1], tonumber(ARGV[3]), ARGV[4]
-- Each command in a script takes the broker as long as one that a client sends, so the
-- usual submission does without this.
if ARGV[2] == 'again' and redis.call('HGET', client, 'first') == first then
  return redis.call('HGET', client, 'entries')
end
local room = capacity - redis.call('XLEN', tasks)
local entries = {}
local i = 5
while ARGV[i] and room > 0 do
  local keeps, count = string.match(ARGV[i], '^(k?)(%d+)$')
  local from, last = i + 1, i + count
  -- An empty result shows that the task has not ended, but that it is known.
  if keeps == '' or
      redis.call('SET', prefix .. 'result:' .. ARGV[i + 2], '', 'PX', 7 * day, 'NX') then
    if expires == '' then
      entries[#entries + 1] = redis.call('XADD', tasks, '*', unpack(ARGV, from, last))
    else
      local time = string.format('%d', now() + tonumber(expires))
      entries[#entries + 1] = redis.call('XADD', tasks, '*', 'expires', time,
        unpack(ARGV, from, last))
    end
  else
    entries[#entries + 1] = '-'
  end
  entries[#entries + 1] = ' '
  i = last + 1
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
/// Arguments: the worker; then for each task, in the order of the entries, its entry, its
/// id, its outcome, and nothing if it ended with a value that is not kept, otherwise the
/// kind of its end, a space, and how long to keep its result or nothing. The outcome of a
/// task that the worker no longer owns is dropped.
const DONE: &str = r"
local agent = ARGV[1]
local mine = {}
if #ARGV == 5 then
  if pending(ARGV[2], agent) then mine[ARGV[2]] = true end
else
  -- One query for all: a worker owns few tasks between those that it reports.
  local first, last = ARGV[2], ARGV[#ARGV - 3]
  local all = redis.call('XPENDING', tasks, group, first, last, 1000000, agent)
  for _, task in ipairs(all) do mine[task[1]] = true end
end
local ended, reports = {}, {}
for i = 2, #ARGV, 4 do
  local entry, id, outcome, how = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if mine[entry] then
    mine[entry] = nil
    ended[#ended + 1] = entry
    local client = client_of(id)
    local outcomes = reports[client] or {}
    reports[client] = outcomes
    local n = #outcomes
    outcomes[n + 1], outcomes[n + 2] = 'id', id
    outcomes[n + 3], outcomes[n + 4] = 'outcome', outcome
    if how ~= '' then
      local kind, keep = string.match(how, '^(%a+) (%d*)$')
      keep_result(id, outcome, keep)
      -- Tasks that ended with a value are all that are not counted otherwise.
      if kind ~= 'done' then redis.call('HINCRBY', prefix .. 'counts', kind, 1) end
    end
  end
end
if #ended > 0 then
  for client, outcomes in pairs(reports) do report(client, unpack(outcomes)) end
  redis.call('XACK', tasks, group, unpack(ended))
  redis.call('XDEL', tasks, unpack(ended))
end
return #ended
";

/// A worker reports that it lives, renews the leases of its tasks, and claims tasks whose
/// worker has been silent for a whole lease. Tasks that were delivered too often, or that
/// no worker can run, become dead. Workers that have gone are removed.
///
/// Arguments: the worker, its lease, its report about itself or nothing; the number of
/// tasks that it can take, or nothing if it claims none, and the time after which it
/// claims a task; the number of its tasks' entries, the entries; the names of its
/// functions. Answers with two lists: 1 for each of its entries that the worker still
/// owns, 0 for each other; and the entries that it has claimed, each with its fields and
/// values.
const HEARTBEAT: &str = r#"
local agent, lease, record = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local room, stale, count = tonumber(ARGV[4]), ARGV[5], tonumber(ARGV[6])
local agents = prefix .. 'agents'
if record ~= '' then
  redis.call('HSET', agents, agent, string.format('%d ', now()) .. record)
  redis.call('SET', prefix .. 'lease', lease, 'PX', 60000)
end
local own = {}
for i = 7, 6 + count do
  if pending(ARGV[i], agent) then
    -- Without JUSTID, this would count as a delivery.
    local kept = redis.call('XCLAIM', tasks, group, agent, 0, ARGV[i], 'JUSTID')
    own[#own + 1] = #kept
  else
    own[#own + 1] = 0
  end
end
local taken = {}
if not room then return {own, taken} end
local names = {}
for i = 7 + count, #ARGV do names[ARGV[i]] = true end
local silent = redis.call('XPENDING', tasks, group, 'IDLE', stale, '-', '+', 200)
for _, task in ipairs(silent) do
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
        redis.call('XCLAIM', tasks, group, agent, stale, id)
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
return {own, taken}
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
/// claims may take them, and this delivery does not count. Until then `nobody` owns them:
/// a heartbeat of this worker that is on its way must not renew their lease.
///
/// Arguments: the worker, the lease; then entries.
const RELEASE: &str = r"
local agent, lease = ARGV[1], ARGV[2]
for i = 3, #ARGV do
  local mine = pending(ARGV[i], agent)
  if mine then
    redis.call('XCLAIM', tasks, group, 'nobody', 0, ARGV[i], 'IDLE', lease,
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
deliver(map.id or '', '{"error":"Expired"}', map.keep)
redis.call('HINCRBY', prefix .. 'counts', 'failed', 1)
remove(entry)
return 0
"#;

/// A sender cancels tasks. A worker that runs one learns from its next heartbeat that it
/// no longer owns the task.
///
/// Arguments: entries.
const CANCEL: &str = r#"
for i = 1, #ARGV do
  local found = redis.call('XRANGE', tasks, ARGV[i], ARGV[i])[1]
  if found then
    local map = fields_of(found[2])
    remove(ARGV[i])
    redis.call('HINCRBY', prefix .. 'counts', 'cancelled', 1)
    -- Other senders may wait for its result. This one is not waiting any more.
    keep_result(map.id or '', '{"error":"Cancelled"}', map.keep)
  end
end
return 1
"#;

/// A sender reports that it lives, and asks which of its tasks the broker still has.
///
/// Keys: tasks, client. Arguments: entries. Answers with 1 for each task that the broker
/// has, 0 for each other.
const CHECK: &str = r"
redis.call('PEXPIRE', KEYS[2], day)
redis.call('PEXPIRE', done_of(KEYS[2]), 2 * day)
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
  report(ARGV[1], 'id', ARGV[2], 'outcome', '{"error":"Forgotten"}')
elseif outcome ~= '' then
  report(ARGV[1], 'id', ARGV[2], 'outcome', outcome)
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
/// own, the number of dead tasks, the counts, the time, the reports of the workers, the
/// first thousand tasks that they own, and the number of tasks that it has ever had.
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
local stream = redis.pcall('XINFO', 'STREAM', tasks)
local ever = stream.err and 0 or fields_of(stream)['entries-added']
return {redis.call('XLEN', tasks), held, redis.call('XLEN', prefix .. 'dead'),
  redis.call('HGETALL', prefix .. 'counts'), string.format('%d', now()),
  redis.call('HGETALL', prefix .. 'agents'), running, ever}
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
        let script = |flags: &str, parts: &[&str]| {
            Script::new(&format!("{flags}{HEAD}{}", parts.concat()))
        };
        // These end tasks, which frees memory, or need little of it, so they run even
        // if memory is short.
        let always = |parts: &[&str]| script("#!lua flags=allow-oom", parts);
        let other = |parts: &[&str]| script("", parts);
        Self {
            submit: other(&[NOW, SENDER, SUBMIT]),
            done: always(&[PENDING, DELIVER, DONE]),
            heartbeat: always(&[
                NOW, FIELDS_OF, PENDING, DELIVER, REMOVE, BURY_TASK, HEARTBEAT,
            ]),
            retry: always(&[FIELDS_OF, PENDING, DELIVER, REMOVE, BURY_TASK, RETRY]),
            release: always(&[PENDING, RELEASE]),
            bury: always(&[FIELDS_OF, PENDING, DELIVER, REMOVE, BURY_TASK, BURY]),
            may_begin: always(&[
                NOW, FIELDS_OF, PENDING, DELIVER, REMOVE, MAY_BEGIN,
            ]),
            cancel: always(&[FIELDS_OF, DELIVER, REMOVE, CANCEL]),
            check: always(&[SENDER, CHECK]),
            watch: always(&[SENDER, DELIVER, WATCH]),
            join: always(&[JOIN]),
            leave: always(&[LEAVE]),
            stats: always(&[NOW, FIELDS_OF, STATS]),
            retry_dead: other(&[RETRY_DEAD]),
        }
    }
}
