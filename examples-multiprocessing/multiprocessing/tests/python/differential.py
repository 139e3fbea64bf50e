# Makes the same random calls on Python's own server and on another, and compares what
# they return and the types of what they raise.
#
#     differential.py SERVER CALLS [SEED]
#
# Prints the seed, and every difference. See cpython_suite.py for SERVER.
import array, collections, copy, datetime, decimal, fractions, multiprocessing, os
import queue, random, signal, sys, uuid
from multiprocessing import connection, managers
from multiprocessing.managers import SyncManager

SERVER, CALLS = sys.argv[1], int(sys.argv[2])
SEED = int(sys.argv[3]) if sys.argv[3:4] > [''] else random.SystemRandom().randrange(10**9)
R = random.Random(SEED)

class Other(SyncManager):
    pass

def run_server(cls, registry, address, authkey, serializer, writer,
               initializer=None, initargs=()):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.set_inheritable(writer.fileno(), True)
    address = connection.arbitrary_address('AF_UNIX')
    os.execv(SERVER, [SERVER, 'serve', bytes(authkey).hex(), address,
                      str(writer.fileno())])

Other._run_server = classmethod(run_server)

utc = datetime.timezone.utc
east = datetime.timezone(datetime.timedelta(hours=5, minutes=30), 'IST')
ATOMS = [
    None, True, False, 0, 1, 2, 3, -1, 255, 256, -2**31, 2**63 - 1, 2**63, -2**63, 2**70,
    10**30, 0.0, 1.0, -0.0, 0.5, 1e16, 1.5e-7, 1e300, 2.0**70, float('inf'), float('-inf'),
    '', 'a', 'b', 'ab', 'xyz', "it's", 'say "x"', '\n\x00\x7f', 'ü€😀', '\u200b\xad', 'é',
    b'', b'a', b"\x00'\xff", bytearray(b'a'), 1j, 1 + 0j, -2.5j, complex(-0.0, 2),
    decimal.Decimal('1'), decimal.Decimal('1.00'), decimal.Decimal('0.5'),
    decimal.Decimal('-1E+40'), decimal.Decimal('Infinity'),
    fractions.Fraction(1, 2), fractions.Fraction(3), fractions.Fraction(-7, 3),
    datetime.date(2020, 1, 2), datetime.date(1, 1, 1), datetime.datetime(2020, 1, 2),
    datetime.datetime(2020, 1, 2, 3, 4, 5, 6, tzinfo=utc),
    datetime.datetime(2020, 1, 2, 8, 34, 5, 6, tzinfo=east),
    datetime.datetime(2020, 1, 2, 3, 4, 5, fold=1),
    datetime.time(1, 2), datetime.time(1, 2, 3, 4, tzinfo=utc),
    datetime.timedelta(), datetime.timedelta(-1, 5, 7), utc, east,
    uuid.UUID(int=5), uuid.UUID('12345678123456781234567812345678'),
    range(3), range(0), range(5, 1, -2), range(0, 4, 2), range(0, 3, 2),
    ValueError('x'), KeyError('k', 1), queue.Empty(),
]

def atom():
    return R.choice(ATOMS)

def hashable(depth=0):
    kind = R.randrange(12) if depth < 2 else 0
    if kind == 10:
        return tuple(hashable(depth + 1) for _ in range(R.randrange(3)))
    if kind == 11:
        return frozenset(hashable(depth + 1) for _ in range(R.randrange(3)))
    while True:
        value = atom()
        try:
            hash(value)
            return value
        except TypeError:
            pass

def value(depth=0):
    kind = R.randrange(28) if depth < 2 else 0
    items = lambda: [value(depth + 1) for _ in range(R.randrange(4))]
    keys = lambda: [hashable(depth + 1) for _ in range(R.randrange(4))]
    numbers = lambda: [R.randrange(-100, 100) for _ in range(R.randrange(4))]
    return [
        lambda: items(), lambda: tuple(items()), lambda: {k: value(depth + 1) for k in keys()},
        lambda: set(keys()), lambda: frozenset(keys()),
        lambda: array.array(R.choice('bhilq'), numbers()),
        lambda: array.array(R.choice('fd'), numbers()), lambda: array.array('Q', [2**63 + 1]),
        lambda: collections.deque(items(), R.choice([None, 2])),
        lambda: collections.OrderedDict((k, value(depth + 1)) for k in keys()),
        lambda: collections.defaultdict(R.choice([int, list, None]), {k: 1 for k in keys()}),
        lambda: collections.Counter('abac'[:R.randrange(5)]),
        # From 3.12 on a slice can be hashed; ours cannot.
        lambda: a_slice() if sys.version_info < (3, 12) else None,
    ][kind - 15]() if kind >= 15 else atom()

def index():
    return R.choice([0, 1, 2, -1, -2, 5, -7, True, 10**30, -10**30, 1.0, None, 'x', 2**63])

def a_slice():
    part = lambda: R.choice([None, None, 0, 1, 2, -1, -2, 9, 10**30])
    return slice(part(), part(), R.choice([None, None, None, 1, 2, -1, -2, 0]))

def subscript():
    return index() if R.randrange(2) else a_slice()

def in_order():
    # Neither a set nor a sequence with a set in it, which a dict would take for a pair: the
    # order of a set is an accident of hashing.
    made = value()
    items = made if isinstance(made, (list, tuple, collections.deque)) else []
    sets = [item for item in (made, *items) if isinstance(item, (set, frozenset))]
    return [[made]] if sets else made

def element():
    # An array of Python up to 3.9 takes whatever has an __int__, and ours does not.
    made = value()
    converts = hasattr(made, '__int__') and not hasattr(made, '__index__')
    return 0.5 if converts and sys.version_info < (3, 10) else made

def elements():
    return [element()] if sys.version_info < (3, 10) else iterable()

def iterable():
    return R.choice([in_order, lambda: [in_order() for _ in range(R.randrange(4))],
                     lambda: 'xy', lambda: range(3), lambda: b'ab', lambda: 5,
                     lambda: [(hashable(), value())], lambda: ['ab', 'cd'], lambda: ['abc'],
                     lambda: {hashable(): value()}])()

def some(*makers):
    # Now and then one argument too few or too many.
    args = [make() for make in makers]
    if R.randrange(25) == 0:
        args = args[:-1] if args and R.randrange(2) else args + [value()]
    return args

def comparable():
    numbers = [0, 1, -5, 2.5, True, 10**30, -2**70, 1e300, decimal.Decimal('0.1'),
               fractions.Fraction(1, 3), float('inf'), 0.1, decimal.Decimal('1E+400')]
    kinds = [lambda: R.choice(numbers), lambda: R.choice(['a', 'b', 'ü', '']),
             lambda: (R.choice(numbers), R.choice('ab')), lambda: [R.choice(numbers)],
             lambda: R.choice([b'a', b'', bytearray(b'b')]),
             lambda: datetime.date(2020, 1, R.randrange(1, 9)),
             lambda: datetime.datetime(2020, 1, 1, R.randrange(9), tzinfo=R.choice([utc, east])),
             lambda: datetime.timedelta(R.randrange(-3, 3)),
             lambda: frozenset(range(R.randrange(3))), lambda: uuid.UUID(int=R.randrange(9)),
             lambda: array.array(R.choice('bd'), [R.randrange(3) for _ in range(2)])]
    kind = R.choice(kinds)
    values = [kind() for _ in range(R.randrange(7))]
    if R.randrange(4) == 0:
        values.append(value())
    return values

LIST = {
    'append': lambda: some(value), 'extend': lambda: some(iterable),
    'insert': lambda: some(index, value), 'pop': lambda: some(*[index] * R.randrange(2)),
    'remove': lambda: some(value), 'index': lambda: some(value, *[index] * R.randrange(3)),
    'count': lambda: some(value), 'reverse': lambda: some(),
    'sort': lambda: some(), '__getitem__': lambda: some(subscript),
    '__setitem__': lambda: some(subscript, R.choice([in_order, iterable])),
    '__delitem__': lambda: some(subscript), '__len__': lambda: some(),
    '__contains__': lambda: some(value), '__add__': lambda: some(iterable),
    '__mul__': lambda: some(index), '__rmul__': lambda: some(index),
    '#GETVALUE': lambda: [], '__str__': lambda: [],
}
DICT = {
    '__setitem__': lambda: some(value, value), '__getitem__': lambda: some(value),
    '__delitem__': lambda: some(value), '__contains__': lambda: some(value),
    '__len__': lambda: some(), 'get': lambda: some(value, *[value] * R.randrange(2)),
    'pop': lambda: some(value, *[value] * R.randrange(2)), 'popitem': lambda: some(),
    'setdefault': lambda: some(value, value), 'update': lambda: some(iterable),
    'keys': lambda: some(), 'values': lambda: some(), 'items': lambda: some(),
    'copy': lambda: some(), '#GETVALUE': lambda: [], '__str__': lambda: [],
}
ARRAY = {
    '__getitem__': lambda: some(subscript),
    '__setitem__': lambda: some(subscript, R.choice([element, lambda: R.randrange(-300, 300)])),
    '__len__': lambda: some(), '#GETVALUE': lambda: [], '__str__': lambda: [],
}
VALUE = {'get': lambda: some(), 'set': lambda: some(value), '__str__': lambda: []}
name = lambda: R.choice(['x', 'y', 'z', 5])
NAMESPACE = {
    '__getattribute__': lambda: some(name), '__setattr__': lambda: some(name, value),
    '__delattr__': lambda: some(name), '__str__': lambda: [],
}
QUEUE = {
    # Never one argument too few, which would wait for ever.
    'put': lambda: [value(), R.choice([False, 0, None])],
    'get': lambda: [R.choice([False, 0, None])],
    'put_nowait': lambda: some(value), 'get_nowait': lambda: some(),
    'qsize': lambda: some(), 'empty': lambda: some(), 'full': lambda: some(),
    'task_done': lambda: some(),
}
LOCK = {
    'acquire': lambda: R.choice([[False], [0], [False, 1], [True, 0.001], [True, -2],
                                 [True, float('nan')], [True, 10**30], [True, 'x'], [1, 2, 3]]),
    'release': lambda: some(),
}
EVENT = {'is_set': lambda: some(), 'set': lambda: some(), 'clear': lambda: some(),
         'wait': lambda: R.choice([[0], [0.001], [-1], ['x']])}

def typecode():
    return R.choice('bBhHiIlLqQfdu') if R.randrange(10) else R.choice(['x', 'ii', 5])

TYPES = [
    ('list', lambda: [iterable()] if R.randrange(4) else [], LIST, 6),
    ('list', lambda: [comparable()], LIST, 3),
    ('dict', lambda: [iterable()] if R.randrange(2) else [], DICT, 6),
    ('Array', lambda: [typecode(), R.choice([lambda: [R.randrange(-9, 300) for _ in range(4)],
                       lambda: 'abc', lambda: b'ab\0\0' * 2, elements])()], ARRAY, 2),
    ('Value', lambda: ['i', value()], VALUE, 1), ('Namespace', lambda: [], NAMESPACE, 1),
    ('Queue', lambda: [R.choice([0, 2, -1])], QUEUE, 2), ('Lock', lambda: [], LOCK, 1),
    ('RLock', lambda: [], LOCK, 1), ('Event', lambda: [], EVENT, 1),
    ('BoundedSemaphore', lambda: [R.choice([1, 2, -1, 'x'])],
     {'acquire': lambda: [False],
      # It takes no number before 3.9.
      'release': lambda: R.choice([[], [0], [1], [2], [5], [-1], [True]]
                                  if sys.version_info >= (3, 9) else [[]])}, 1),
]
WEIGHTS = [weight for *_, weight in TYPES]

def outcome(call):
    try:
        return 'returned', call()
    except Exception as error:
        return 'raised', error

def plain(value):
    # Texts of what equal values of one type share, but different ones do not: the order
    # of sets and what Python shows of memory apart.
    if isinstance(value, (set, frozenset)):
        return type(value).__name__ + str(sorted(map(plain, value)))
    if isinstance(value, (list, tuple, collections.deque)):
        return type(value).__name__ + '[' + ', '.join(map(plain, value)) + ']'
    if isinstance(value, dict):
        pairs = ['%s: %s' % (plain(k), plain(v)) for k, v in value.items()]
        return type(value).__name__ + '{' + ', '.join(pairs) + '}'
    if isinstance(value, managers.Namespace):
        return 'Namespace' + plain(value.__dict__)
    return type(value).__name__ + repr(value)

def shown(kind, result):
    if kind == 'raised':
        return 'raised ' + type(result).__name__
    return plain(result)

def same_text(ours, theirs):
    # A set's order is an accident of hashing, and OrderedDict's text of the version.
    return sorted(ours) == sorted(theirs) or 'OrderedDict' in theirs

def main():
    print('SEED %d, %d calls' % (SEED, CALLS))
    theirs, ours = SyncManager(), Other()
    theirs.start(); ours.start()
    made = differences = 0
    while made < CALLS:
        typeid, arguments, methods, _ = R.choices(TYPES, WEIGHTS)[0]
        arguments = arguments()
        pair = [outcome(lambda: getattr(m, typeid)(*copy.deepcopy(arguments)))
                for m in (theirs, ours)]
        made += 1
        kinds = [kind for kind, _ in pair]
        history = ['%s%r' % (typeid, tuple(arguments))]
        if kinds[0] != kinds[1]:
            differences += 1
            print('DIFFERENT', history[0], pair)
            continue
        if kinds[0] == 'raised':
            continue
        for _ in range(R.randrange(1, 12)):
            method = R.choice(sorted(methods))
            args = methods[method]()
            kwargs = {}
            if method == 'sort' and R.randrange(2):
                kwargs = {'reverse': R.choice([True, 1, False, 0])}
            if method in ('wait', 'acquire') and typeid == 'RLock' and args[:1] == [True]:
                continue
            results = [outcome(lambda: proxy._callmethod(method, tuple(args), kwargs))
                       for _, proxy in pair]
            made += 1
            history.append('%s%r %r' % (method, tuple(args), kwargs))
            texts = [shown(*result) for result in results]
            if texts[0] == texts[1]:
                if method == 'sort' and texts[0] == 'raised TypeError':
                    # Python leaves such a list half sorted, and ours as it was.
                    break
                continue
            if method == '__str__' and same_text(*texts):
                continue
            differences += 1
            print('DIFFERENT after', '; '.join(history[:-1])[-300:])
            print('   ', history[-1], kwargs)
            print('    Python:', texts[0][:300], str(results[0][1])[-200:] if results[0][0] == 'raised' else '')
            print('    ours:  ', texts[1][:300], str(results[1][1])[-200:] if results[1][0] == 'raised' else '')
            break
    print('%d calls, %d differences' % (made, differences))
    theirs.shutdown(); ours.shutdown()
    sys.exit(differences > 0)

main()
