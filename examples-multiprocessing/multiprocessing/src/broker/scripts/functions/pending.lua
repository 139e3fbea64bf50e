-- The pending entry of this id, if this worker owns it.
local function pending(id, agent)
  return redis.call('XPENDING', tasks, group, id, id, 1, agent)[1]
end
