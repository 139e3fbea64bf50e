-- Puts a dead task back into the queue. Arguments: its place among the dead tasks.
-- Answers 1, or 0 if there is no such task.

local dead = prefix .. 'dead'
local found = redis.call('XRANGE', dead, ARGV[1], ARGV[1])[1]
if not found then return 0 end
local fields = found[2]
-- The first six values were added when the task became dead.
redis.call('XADD', tasks, '*', unpack(fields, 7))
redis.call('XDEL', dead, ARGV[1])
return 1
