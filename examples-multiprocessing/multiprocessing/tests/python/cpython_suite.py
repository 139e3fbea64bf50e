# Runs CPython's own tests of managers with another server in the place of Python's.
#
#     cpython_suite.py SERVER
#
# SERVER is a program that is started as `SERVER serve KEY ADDRESS FD`: with the key in
# hexadecimal, where to listen, and a descriptor that it writes its address to. Prints a
# line for every class, `CLASS passed N failed N skipped N`, and one for every test that
# fails, `FAILED CLASS.TEST: the last line of its traceback`.
import multiprocessing, os, signal, sys, types, unittest
from multiprocessing import connection, managers

SERVER = sys.argv[1]

def run_server(cls, registry, address, authkey, serializer, writer,
               initializer=None, initargs=()):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if initializer is not None:
        initializer(*initargs)
    if address is None:
        address = connection.arbitrary_address('AF_UNIX')
    if isinstance(address, tuple):
        address = '%s:%d' % address
    os.set_inheritable(writer.fileno(), True)
    key = bytes(authkey).hex()
    os.execv(SERVER, [SERVER, 'serve', key, address, str(writer.fileno())])

managers.BaseManager._run_server = classmethod(run_server)

class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.classes = {}

    def count(self, test, what):
        counts = self.classes.setdefault(type(test).__name__, {})
        counts[what] = counts.get(what, 0) + 1

    def addSuccess(self, test):
        self.count(test, 'passed')

    def addSkip(self, test, reason):
        self.count(test, 'skipped')

    def fail(self, test, error):
        self.count(test, 'failed')
        lines = self._exc_info_to_string(error, test).strip().splitlines()
        name = test.id().replace('manager_suite.', '')
        print('FAILED %s: %s' % (name, lines[-1]), flush=True)
        if '-v' in sys.argv:
            print('\n'.join(lines), flush=True)

    def addError(self, test, error):
        self.fail(test, error)

    def addFailure(self, test, error):
        self.fail(test, error)

def main():
    try:
        import test._test_multiprocessing as suite
    except ImportError:
        print('NO test PACKAGE')
        return
    # Its tests of remote managers use XML-RPC, which ours do not speak, and in which a
    # tuple becomes a list.
    suite.SERIALIZER = 'pickle'
    suite._TestRemoteManager.result = tuple(suite._TestRemoteManager.values)
    module = types.ModuleType('manager_suite')
    sys.modules['manager_suite'] = module
    # What the tests pickle is looked up in the module that they are in.
    suite.install_tests_in_module_dict(module.__dict__, 'fork')
    only = [name for name in sys.argv[2:] if not name.startswith('-')]
    tests = unittest.TestSuite()
    for name, case in sorted(module.__dict__.items()):
        if name == 'WithManagerTestPool':
            # All of it needs a managed pool, whose tasks are Python functions.
            print(name, 'not run')
            continue
        wanted = name.startswith('WithManager') or name == 'TestSyncManagerTypes'
        if wanted and (not only or name in only):
            tests.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(case))
    result = Result()
    tests.run(result)
    for name, counts in sorted(result.classes.items()):
        print(name, *('%s %d' % (what, counts.get(what, 0))
                      for what in ('passed', 'failed', 'skipped')))

main()
