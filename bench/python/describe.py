"""Prints the name of this interpreter, then which program it is, how it was built, and
which numpy it has."""
import platform
import sys
import sysconfig

name = f"{platform.python_implementation()} {platform.python_version()}"
if not getattr(sys, "_is_gil_enabled", lambda: True)():
    name += " free-threaded"
arguments = " ".join((sysconfig.get_config_var("CONFIG_ARGS") or "unknown").split())
try:
    import numpy

    arrays = f"numpy {numpy.__version__}"
except ImportError:
    arrays = "no numpy"
print(name)
print(f"{sys.executable}, {arrays}, CONFIG_ARGS {arguments}")
