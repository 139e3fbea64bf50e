-- Makes a task dead. It needs `fields_of`, `deliver` and `remove`.
local function bury(entry, fields, outcome, deliveries)
  remove(entry)
  local copy = {'entry', entry, 'outcome', outcome, 'deliveries', deliveries}
  -- A task has far fewer fields. The rest of an entry that is none is lost: `unpack` fails
  -- for 8000 values.
  for i = 1, math.min(#fields, 7000) do copy[#copy + 1] = fields[i] end
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
