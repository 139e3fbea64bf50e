-- Makes an entry dead that is not a task. Arguments: the worker, the entry, the outcome.

local mine = pending(ARGV[2], ARGV[1])
local found = redis.call('XRANGE', tasks, ARGV[2], ARGV[2])[1]
if mine and found then bury(ARGV[2], found[2], ARGV[3], mine[4]) end
return 1
