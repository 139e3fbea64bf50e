# Uses every ready-made type of the server at the port or path in the argument, and
# fails where anything is not as it would be with Python's own server.
import datetime, decimal, multiprocessing, queue, sys, threading
from multiprocessing.managers import RemoteError, SyncManager

def raises(kind, function, *args):
    try:
        function(*args)
    except kind as error:
        return error
    raise AssertionError('no %s' % kind.__name__)

address = sys.argv[1]
address = ('127.0.0.1', int(address)) if address.isdigit() else address
multiprocessing.current_process().authkey = b'abc' # for proxies inside of other objects
m = SyncManager(address=address, authkey=b'abc')
m.connect()

q = m.Queue(2)
q.put('a')
q.put({'k': [1, 2.5, None, (True,)]}, timeout=1)
assert q.full() and q.qsize() == 2
raises(queue.Full, q.put_nowait, 1)
assert (q.get(), q.get(timeout=1)) == ('a', {'k': [1, 2.5, None, (True,)]})
raises(queue.Empty, q.get_nowait)
raises(queue.Empty, q.get, True, 0.01)
q.task_done(); q.task_done(); q.join()
assert 'too many times' in str(raises(ValueError, q.task_done))
values = [datetime.datetime(2020, 1, 1), decimal.Decimal('1.5'), 10**40, -10**40, 1 << 63,
          -1, -2**31, {1, 2}, frozenset([3]), b'x', bytearray(b'y'), 'ü€😀', float('inf'),
          2j, range(3), (), ((),), [[]], {}, 'a' * 300, b'b' * 70000, KeyError('k')]
q.put(values)
got = q.get()
assert got[:-1] == values[:-1] and repr(got[-1]) == "KeyError('k')", got
shared = [1]
q.put([shared, shared])
got = q.get()
assert got == [[1], [1]] and got[0] is got[1]
class Unknown: pass
assert 'Unknown' in str(raises(RemoteError, q.put, Unknown()))
q.put('still there')
assert q.get() == 'still there'

l = m.list(range(5))
l.append('x')
assert (l[-1], l[1:3], l[::-1], 3 in l, l.index(3), len(l)) == (
    'x', [1, 2], ['x', 4, 3, 2, 1, 0], True, 3, 6)
assert str(l) == "[0, 1, 2, 3, 4, 'x']"
l[0:2] = ['p', 'q', 'r']
del l[-1]
l.extend((9, 8))
l += [7]
assert list(l) == l._getvalue() == ['p', 'q', 'r', 2, 3, 4, 9, 8, 7]
assert l + [1] == list(l) + [1] and l * 2 == list(l) * 2
assert l.pop() == 7 and l.pop(0) == 'p'
l.remove('q'); l.insert(1, 'i'); l.reverse()
assert list(l) == [8, 9, 4, 3, 2, 'i', 'r'] and l.count(9) == 1
raises(IndexError, l.__getitem__, 100)
raises(TypeError, l.sort)
raises(ValueError, l.remove, 'zz')
n = m.list([0, 1]); n[:1] = n
assert list(n) == [0, 1, 1]
n = m.list([3, 1, 2]); n.sort(reverse=True)
assert list(n) == [3, 2, 1]

d = m.dict(a=1)
d['b'] = [1, 2]; d[1] = 1.5; d[True] = 'one'
assert str(d) == "{'a': 1, 'b': [1, 2], 1: 'one'}"
assert (d.get('zz'), d.keys(), d.values()) == (None, ['a', 'b', 1], [1, [1, 2], 'one'])
assert d.items() == [('a', 1), ('b', [1, 2]), (1, 'one')] and [k for k in d] == ['a', 'b', 1]
assert raises(KeyError, d.__getitem__, 'zz').args == ('zz',)
assert 'unhashable' in str(raises(TypeError, d.__setitem__, [1], 2))
assert (d.pop('a'), d.popitem(), d.setdefault('n', 3), len(d)) == (1, (1, 'one'), 3, 2)
d.update([('x', 1)], y=2)
assert d.copy() == {'b': [1, 2], 'n': 3, 'x': 1, 'y': 2}
d.clear()
assert 'b' not in d

ns = m.Namespace(); ns.x = 10
assert ns.x == 10 and str(ns) == 'Namespace(x=10)'
raises(AttributeError, getattr, ns, 'y')
v = m.Value('i', 5); v.value += 1
assert v.value == 6 and str(v) == "Value('i', 6)"
a = m.Array('i', [1, 2, 3]); a[1] = 7
assert (a[1], list(a[0:2]), len(a), str(a)) == (7, [1, 7], 3, "array('i', [1, 7, 3])")
raises(OverflowError, a.__setitem__, 0, 1 << 40)

lock = m.Lock()
assert (lock.acquire(), lock.acquire(False), lock.acquire(True, 0.01)) == (True, False, False)
lock.release()
raises(RuntimeError, lock.release)
rlock = m.RLock()
assert rlock.acquire() and rlock.acquire()
rlock.release(); rlock.release()
raises((RuntimeError, AssertionError), rlock.release)
with m.Semaphore(2) as acquired:
    assert acquired
raises(ValueError, m.BoundedSemaphore(1).release)
condition = m.Condition()
def tell():
    with condition:
        condition.notify_all()
with condition:
    teller = threading.Thread(target=tell); teller.start()
    assert condition.wait(10) and not condition.wait(0.01)
teller.join()
raises(RuntimeError, condition.notify)
with m.Condition(lock):
    assert not lock.acquire(False)
event = m.Event()
assert not event.wait(0.01)
event.set()
assert event.wait() and event.is_set()
barrier = m.Barrier(2)
other = threading.Thread(target=barrier.wait); other.start()
assert barrier.wait() in (0, 1) and (barrier.parties, barrier.broken) == (2, False)
other.join()
raises(threading.BrokenBarrierError, barrier.wait, 0.01)
assert barrier.broken
barrier.reset()

inner = m.dict(x=1)
outer = m.list([inner])
del inner
assert outer[0]['x'] == 1
outer[0]['x'] = 2
assert outer[0]['x'] == 2
print('all as in Python')
