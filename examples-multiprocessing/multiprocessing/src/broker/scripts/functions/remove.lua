local function remove(entry)
  redis.call('XACK', tasks, group, entry)
  return redis.call('XDEL', tasks, entry)
end
