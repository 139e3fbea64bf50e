-- A worker gives tasks back that it has not run to their end. The next worker that
-- claims may take them, and this delivery does not count. Until then `nobody` owns them:
-- a heartbeat of this worker that is on its way must not renew their lease.
--
-- Arguments: the worker, the lease; then entries.

local worker, lease = ARGV[1], ARGV[2]
for i = 3, #ARGV do
  local mine = pending(ARGV[i], worker)
  if mine then
    redis.call('XCLAIM', tasks, group, 'nobody', 0, ARGV[i], 'IDLE', lease,
      'RETRYCOUNT', math.max(mine[4] - 1, 0), 'JUSTID')
  end
end
return 1
