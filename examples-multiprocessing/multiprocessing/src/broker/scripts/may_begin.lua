-- Checks whether a task that expires may still begin. If it may not, the task ends as
-- expired. Arguments: the worker, the entry. Answers 1 if the task may begin, otherwise 0.

local worker, entry = ARGV[1], ARGV[2]
if not pending(entry, worker) then return 0 end
local found = redis.call('XRANGE', tasks, entry, entry)[1]
if not found then return 0 end
local map = fields_of(found[2])
if now() <= (tonumber(map.expires) or math.huge) then return 1 end
deliver(map.id or '', '{"error":"Expired"}', map.keep)
redis.call('HINCRBY', prefix .. 'counts', 'failed', 1)
remove(entry)
return 0
