-- A worker leaves the queue. Arguments: the worker.

redis.call('HDEL', prefix .. 'agents', ARGV[1])
return 1
