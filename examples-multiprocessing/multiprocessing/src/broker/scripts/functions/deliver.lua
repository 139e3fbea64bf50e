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
