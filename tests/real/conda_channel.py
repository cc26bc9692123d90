"""A conda channel in a directory, with packages that are made here."""

import hashlib
import json
import pathlib
import shutil
import subprocess
import textwrap

PYTHON = "/usr/bin/python3"

# As conda-build's: of a fixed length, so that any shorter prefix fits into a compiled file.
PLACEHOLDER = ("/opt/anaconda1anaconda2anaconda3" + "_placehold" * 30)[:255]
# What a test needs of Debian's Python; most of the rest is tests and tools.
LEFT_OUT = shutil.ignore_patterns(
    "__pycache__", "test", "tests", "config-3*", "dist-packages", "lib2to3", "pydoc_data",
    "idlelib", "tkinter", "turtledemo", "ensurepip", "EXTERNALLY-MANAGED", "sitecustomize.py")
# cph packs at the highest level, and has no option for another.
PACK = """\
import sys
from conda_package_handling import api
options = {"compression_level": 1} if sys.argv[2].endswith(".conda") else {}
api.create(sys.argv[1], None, sys.argv[2], **options)
"""
SHOW = """\
#include <stdio.h>
static const char place[] = "PREFIX/share/show/text";
int main(void) {
  char line[512];
  FILE* file = fopen(place, "r");
  puts(place);
  while (file && fgets(line, sizeof line, file)) fputs(line, stdout);
  return file == NULL;
}
"""


def python_version():
    """("3.11.2", "3.11") of Debian's Python."""
    full = subprocess.run([PYTHON, "-c", "import platform; print(platform.python_version())"],
                          check=True, capture_output=True, text=True).stdout.strip()
    return full, full.rpartition(".")[0]


class Channel:
    """Packages in `directory`, packed by conda-package-handling of the directory `tools`."""

    def __init__(self, tools, directory, work):
        self.directory = directory
        self._python = tools / "python"
        self._work = work
        self.packages = []  # (path of the file, its index.json)
        for subdir in ("linux-64", "noarch"):
            (directory / subdir).mkdir(parents=True)

    def add(self, name, version, files, *, depends=(), noarch=None, entry_points=(),
            placeholders=None, kind="conda", fill=lambda tree: None):
        """files: {path: text}; fill: puts more into the tree; placeholders: {path: file mode}."""
        tree = self._work / f"{name}-{version}"
        tree.mkdir(parents=True)
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_text(content)
            (tree / path).chmod(0o755 if "bin/" in path else 0o644)
        fill(tree)
        index = {"name": name, "version": version, "build": "h_0", "build_number": 0,
                 "depends": list(depends), "license": "BSD-3-Clause", "timestamp": 1700000000000,
                 "subdir": "noarch" if noarch else "linux-64"}
        if noarch:
            index["noarch"] = noarch
        self._describe(tree, index, entry_points, placeholders or {})
        package = self.directory / index["subdir"] / f"{name}-{version}-h_0.{kind}"
        subprocess.run([self._python, "-c", PACK, tree, package], check=True,
                       stdout=subprocess.DEVNULL)
        self.packages.append((package, index))

    @staticmethod
    def _describe(tree, index, entry_points, placeholders):
        paths = []
        for path in sorted(tree.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            entry = {"_path": str(path.relative_to(tree)),
                     "path_type": "softlink" if path.is_symlink() else "hardlink"}
            content = path.read_bytes() if path.is_file() else b""
            entry |= {"sha256": hashlib.sha256(content).hexdigest(), "size_in_bytes": len(content)}
            if entry["_path"] in placeholders:
                assert PLACEHOLDER.encode() in content
                entry |= {"file_mode": placeholders[entry["_path"]],
                          "prefix_placeholder": PLACEHOLDER}
            paths.append(entry)
        info = tree / "info"
        info.mkdir()
        (info / "index.json").write_text(json.dumps(index))
        (info / "files").write_text("".join(f"{entry['_path']}\n" for entry in paths))
        (info / "paths.json").write_text(json.dumps({"paths_version": 1, "paths": paths}))
        if index.get("noarch") == "python":
            (info / "link.json").write_text(json.dumps(
                {"noarch": {"type": "python", "entry_points": list(entry_points)},
                 "package_metadata_version": 1}))

    def explicit(self, *names):
        """The channel, or these of its packages, as conda list --explicit --md5 has it."""
        lines = [f"file://{path}#{hashlib.md5(path.read_bytes()).hexdigest()}"
                 for path, index in self.packages if not names or index["name"] in names]
        return "\n".join(["@EXPLICIT", *lines, ""])

    def lock(self, platform="linux-64"):
        """The same as conda-lock.yml."""
        entries = [{"name": index["name"], "version": index["version"], "manager": "conda",
                    "platform": platform, "dependencies": {}, "url": f"file://{path}",
                    "hash": {"md5": hashlib.md5(path.read_bytes()).hexdigest(),
                             "sha256": hashlib.sha256(path.read_bytes()).hexdigest()},
                    "category": "main", "optional": False}
                   for path, index in self.packages]
        metadata = {"platforms": [platform], "sources": [], "channels": [], "content_hash": {}}
        return "\n".join(["version: 1", f"metadata: {json.dumps(metadata)}", "package:",
                          *(f"- {json.dumps(entry)}" for entry in entries), ""])


    def pixi_lock(self, python_packages=""):
        """The same as pixi.lock of version 6; python_packages: entries for PyPI's, as text."""
        pypi = [line for line in python_packages.splitlines() if line.startswith("- ")]
        entries = [f"- conda: file://{path}" for path, _ in self.packages] + pypi
        hashes = [f"- conda: file://{path}\n"
                  f"  sha256: {hashlib.sha256(path.read_bytes()).hexdigest()}\n"
                  f"  md5: {hashlib.md5(path.read_bytes()).hexdigest()}\n"
                  f"  name: {index['name']}\n  version: '{index['version']}'\n"
                  f"  build: {index['build']}\n  subdir: {index['subdir']}"
                  for path, index in self.packages]
        return "\n".join(["version: 6", "environments:", "  default:", "    channels:",
                          f"    - url: file://{self.directory}/", "    packages:",
                          "      linux-64:", *(f"      {entry}" for entry in entries),
                          "packages:", *hashes, python_packages])


def add_python(channel):
    """Debian's Python as conda has one: a package, which looks at its own site-packages."""
    full, short = python_version()

    def fill(tree):
        (tree / "bin").mkdir()
        shutil.copy(f"/usr/bin/python{short}", tree / "bin")
        for name in ("python3", "python"):
            (tree / "bin" / name).symlink_to(f"python{short}")
        library = tree / "lib" / f"python{short}"
        shutil.copytree(f"/usr/lib/python{short}", library, ignore=LEFT_OUT, symlinks=False)
        (library / "sitecustomize.py").write_text(textwrap.dedent(f"""\
            import site, sys
            site.addsitedir(sys.prefix + "/lib/python{short}/site-packages")
            """))

    channel.add("python", full, {}, fill=fill)


def add_greeter(channel, version="1.0"):
    """A noarch package with an entry point, which its client makes a script of."""
    _, short = python_version()
    channel.add("greeter", version, {
        "site-packages/greeter/__init__.py":
            "import sys\ndef main(): print('hello from', sys.prefix)\n",
        f"site-packages/greeter-{version}.dist-info/METADATA":
            f"Metadata-Version: 2.1\nName: greeter\nVersion: {version}\n",
        f"site-packages/greeter-{version}.dist-info/RECORD": ""},
        depends=[f"python >={short}"], noarch="python", entry_points=["greeter = greeter:main"])


def add_show(channel):
    """Text and compiled files with the prefix in them."""

    def fill(tree):
        source = SHOW.replace("PREFIX", PLACEHOLDER)
        subprocess.run(["cc", "-O2", "-x", "c", "-", "-o", tree / "bin" / "show"], input=source,
                       text=True, check=True)

    channel.add("show", "2.0", {
        "share/show/text": f"text: {PLACEHOLDER}\n",
        "lib/pkgconfig/show.pc": f"prefix={PLACEHOLDER}\nName: show\nVersion: 2.0\n"
                                 "Description: none\nCflags: -I${prefix}/include\n",
        "bin/shown": f"#!{PLACEHOLDER}/bin/python\nimport sys\nprint('script of', sys.prefix)\n"},
        placeholders={"share/show/text": "text", "lib/pkgconfig/show.pc": "text",
                      "bin/shown": "text", "bin/show": "binary"},
        depends=["python"], fill=fill)


def add_table(channel):
    channel.add("table", "1!3.0", {"share/data/table": "1\t2\n"}, noarch="generic",
                kind="tar.bz2")


def write_client(directory, tools):
    """rattler's installer, with micromamba's command line, where every user can run it."""
    (package,) = (tools.parent / "lib").glob("python3*/site-packages/rattler")
    shutil.copytree(package, directory / "site" / "rattler")
    shutil.copy(pathlib.Path(__file__).with_name("conda_client.py"), directory)
    (directory / "bin").mkdir()
    program = directory / "bin" / "micromamba"
    program.write_text(f"#!/bin/sh\nPYTHONPATH='{directory}/site' exec {PYTHON} -B "
                       f"'{directory}/conda_client.py' \"$@\"\n")
    program.chmod(0o755)
    return program
