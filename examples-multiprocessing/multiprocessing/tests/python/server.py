# A server of every ready-made type. Prints the port that the system picked.
import multiprocessing
from multiprocessing.managers import SyncManager

multiprocessing.current_process().authkey = b'abc' # for proxies inside of other objects
server = SyncManager(address=('127.0.0.1', 0), authkey=b'abc').get_server()
print(server.address[1], flush=True)
server.serve_forever()
