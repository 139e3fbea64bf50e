"""Pools, servers and arrays that stand from one sample of a scenario to the next."""

_standing = {}


def standing(key, make, end):
    """What `make` made when this key was first asked for. `end` ends it after the
    scenario."""
    if key not in _standing:
        _standing[key] = make(), end
    return _standing[key][0]


def end_all(times):
    while _standing:
        _, (made, end) = _standing.popitem()
        end(made)
    return 0, 0
