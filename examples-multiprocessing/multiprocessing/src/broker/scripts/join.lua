-- A worker joins the queue, whose group is made if there is none. Arguments: the lease
-- that it asks for. Answers with the lease in force.

local made = redis.pcall('XGROUP', 'CREATE', tasks, group, '0', 'MKSTREAM')
if made.err and not string.find(made.err, 'BUSYGROUP') then return made end
redis.call('SET', prefix .. 'lease', ARGV[1], 'PX', 60000, 'NX')
return redis.call('GET', prefix .. 'lease')
