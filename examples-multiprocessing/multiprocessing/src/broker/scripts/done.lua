-- A worker reports the outcomes of tasks. It may repeat the report.
--
-- Arguments: the worker; then for each task, in the order of the entries, its entry, its
-- id, its outcome, and nothing if it ended with a value that is not kept, otherwise the
-- kind of its end, a space, and how long to keep its result or nothing. The outcome of a
-- task that the worker no longer owns is dropped.

local worker = ARGV[1]
local mine = {}
if #ARGV == 5 then
  if pending(ARGV[2], worker) then mine[ARGV[2]] = true end
else
  -- One query for all: a worker owns few tasks between those that it reports.
  local first, last = ARGV[2], ARGV[#ARGV - 3]
  local all = redis.call('XPENDING', tasks, group, first, last, 1000000, worker)
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
