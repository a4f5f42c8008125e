"""Prints, as a list of CMake's: the folder of PyTorch, its version, the folder of Python's headers, and how modules' names end. Exits with 1
without PyTorch.
"""

import importlib.util
import pathlib
import re
import sys
import sysconfig

torch = importlib.util.find_spec("torch")
if torch is None:
    sys.exit(1)
folder = torch.submodule_search_locations[0]
version = re.search(r"__version__ = '([^']*)'", pathlib.Path(folder, "version.py").read_text())[1]
print(folder, version, sysconfig.get_path("include"), sysconfig.get_config_var("EXT_SUFFIX"), sep=";", end="")
