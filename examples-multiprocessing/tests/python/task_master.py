# The notebook's task_master.py, with its second registration mended, its port given as
# an argument, and no pauses.
import multiprocessing, random, sys, queue
from multiprocessing.managers import BaseManager

multiprocessing.set_start_method('fork') # Python 3.14 would try to pickle the lambdas.

task_queue = queue.Queue()
result_queue = queue.Queue()

class QueueManager(BaseManager):
    pass

QueueManager.register('get_task_queue', callable=lambda: task_queue)
QueueManager.register('get_result_queue', callable=lambda: result_queue)

manager = QueueManager(address=('127.0.0.1', int(sys.argv[1])), authkey=b'abc')
manager.start()

task = manager.get_task_queue()
result = manager.get_result_queue()

for i in range(10):
    n = random.randint(0, 10000)
    print('Put task %d...' % n)
    task.put(n)

print('Try get results...')

for i in range(10):
    r = result.get(timeout=10)
    print('Result: %s' % r)

manager.shutdown()
print('master exit.')
