"""stubs.py LIBRARIES FOLDER: the libraries of NVIDIA's that those in the folder LIBRARIES need to be loaded, and that are not in FOLDER
yet, as stubs in FOLDER: with the names that are asked for, each of which ends the program when it is called.
"""

import pathlib
import re
import subprocess
import sys

STUB = """
#include <stdio.h>
#include <stdlib.h>
static void called(const char* name) {
  fprintf(stderr, "%s of SONAME was called, of which there is only a stub\\n", name);
  abort();
}
"""


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def symbols(library, which):
    """Pairs of a name and its version, which may be empty."""
    rows = (line.split()[-1] for line in lines("nm", "-D", which, "--with-symbol-versions", library))
    return {tuple(re.split("@+", row + "@"))[:2] for row in rows}


def versions(library):
    """{version: the SONAME that must define it}"""
    found, soname = {}, ""
    for line in lines("readelf", "-W", "-V", library):
        if match := re.search(r"File: (\S+)", line):
            soname = match[1]
        elif match := re.search(r"Name: (\S+) +Flags", line):
            found[match[1]] = soname
    return found


def build(folder, soname, names, version):
    source, script = folder / "stub.c", folder / "stub.map"
    functions = (f'void {name}(void) {{ called("{name}"); }}\n' for name in sorted(names))
    source.write_text(STUB.replace("SONAME", soname) + "".join(functions))
    script.write_text(f"{version} {{ global: *; }};\n")
    options = [f"-Wl,--version-script={script}"] if version else []
    subprocess.run(["cc", "-shared", "-fPIC", "-w", f"-Wl,-soname,{soname}", *options, source, "-o", folder / soname], check=True)


def main(libraries, folder):
    libraries, folder = sorted(pathlib.Path(libraries).glob("*.so*")), pathlib.Path(folder)
    wanted, defined, needed, version_of = set(), set(), set(), {}
    for library in libraries:
        wanted |= symbols(library, "--undefined-only")
        needed |= {match[1] for line in lines("readelf", "-d", library) if (match := re.search(r"NEEDED.*\[(lib(?:cu|nv).*)\]", line))}
        version_of |= {soname: version for version, soname in versions(library).items()}
    for library in [*libraries, *folder.iterdir()]:
        defined |= {name for name, _ in symbols(library, "--defined-only")}
    plain = {name for name, version in wanted if not version and re.match("cu|nv", name)} - defined
    for soname in needed - {library.name for library in folder.iterdir()}:
        version = version_of.get(soname, "")  # names without one do not say which library they are from
        build(folder, soname, {name for name, v in wanted if v == version} if version else plain, version)


if __name__ == "__main__":
    main(*sys.argv[1:])
