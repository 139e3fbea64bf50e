-- The pending entry of this id, if this worker owns it.
local function pending(id, worker)
  return redis.call('XPENDING', tasks, group, id, id, 1, worker)[1]
end
