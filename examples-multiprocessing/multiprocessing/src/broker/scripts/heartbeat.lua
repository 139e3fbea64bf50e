-- A worker reports that it lives, renews the leases of its tasks, and claims tasks whose
-- worker has been silent for a whole lease. Tasks that were delivered too often, or that
-- no worker can run, become dead. Workers that have gone are removed.
--
-- Arguments: the worker, its lease, its report about itself or nothing; the number of
-- tasks that it can take, or nothing if it claims none, the time after which it claims a
-- task, and where it begins to look for them, or nothing for the oldest; the number of its
-- tasks' entries, the entries; the names of its functions. Answers with a list of 1 for
-- each of its entries that the worker still owns, 0 for each other; a list of the entries
-- that it has claimed, each with its fields and values; where to begin the next time; and
-- the number of tasks that it would have claimed if it could take more.

local worker, lease, record = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local room, stale, first = tonumber(ARGV[4]), ARGV[5], ARGV[6]
local count = tonumber(ARGV[7])
local records = prefix .. 'agents'
if record ~= '' then
  redis.call('HSET', records, worker, string.format('%d ', now()) .. record)
  redis.call('SET', prefix .. 'lease', lease, 'PX', 60000)
end
local own = {}
for i = 8, 7 + count do
  if pending(ARGV[i], worker) then
    -- Without JUSTID, this would count as a delivery.
    local kept = redis.call('XCLAIM', tasks, group, worker, 0, ARGV[i], 'JUSTID')
    own[#own + 1] = #kept
  else
    own[#own + 1] = 0
  end
end
local taken = {}
if not room then return {own, taken, first, 0} end
local names = {}
for i = 8 + count, #ARGV do names[ARGV[i]] = true end
-- The broker does nothing else meanwhile, so this looks at some of the silent tasks only.
-- The next heartbeat looks at those after them, since these may be tasks that no worker
-- can take.
local at_most = 200
local silent = redis.call('XPENDING', tasks, group, 'IDLE', stale,
  first == '' and '-' or first, '+', at_most)
local next_first = #silent < at_most and '' or '(' .. silent[#silent][1]
local left = 0
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
        redis.call('XCLAIM', tasks, group, worker, stale, id)
        taken[#taken + 1] = found
      else
        left = left + 1
        next_first = first
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
  if map.pending == 0 and map.idle > 60000 + 10 * lease and map.name ~= worker then
    redis.call('XGROUP', 'DELCONSUMER', tasks, group, map.name)
  end
end
local all = redis.call('HGETALL', records)
for i = 1, #all, 2 do
  local when = tonumber(string.match(all[i + 1], '^%d+') or 0)
  if now() - when > 60000 + lease then redis.call('HDEL', records, all[i]) end
end
return {own, taken, next_first, left}
