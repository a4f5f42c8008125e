"""Prints, as a list of CMake's: the folder of PyTorch, that of Python's headers, and how modules' names end. Exits with 1 without PyTorch."""

import importlib.util
import sys
import sysconfig

torch = importlib.util.find_spec("torch")
if torch is None:
    sys.exit(1)
print(torch.submodule_search_locations[0], sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX"), sep=";", end="")
