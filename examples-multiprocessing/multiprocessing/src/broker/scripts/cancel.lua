-- A sender cancels tasks. A worker that runs one learns from its next heartbeat that it
-- no longer owns the task.
--
-- Arguments: entries.

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
