-- A worker's process died while it ran a task. The task may run again, unless it was
-- delivered too often.
--
-- Arguments: the worker, the entry, the worker's name with the end of the process.
-- Answers `again`, `dead`, or `lost` if the worker no longer owns the task.

local worker, entry, died = ARGV[1], ARGV[2], ARGV[3]
local mine = pending(entry, worker)
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
redis.call('XCLAIM', tasks, group, worker, 0, entry)
return 'again'
