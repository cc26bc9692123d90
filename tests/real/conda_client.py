"""conda packages by rattler, the installer of pixi, for which PyPI has a library but no program.

  conda_client.py install --yes --prefix PREFIX --file EXPLICIT-LIST
  conda_client.py list --json --prefix PREFIX

The command line is micromamba's. The cache of packages is in CONDA_PKGS_DIRS.
"""

import argparse
import asyncio
import hashlib
import json
import os
import pathlib
import sys
import urllib.parse

import rattler
from rattler.explicit_environment import ExplicitEnvironmentSpec


async def record_of(entry):
    """What an explicit list says in one line, as the archive that it names has it."""
    url, _, digest = entry.url.partition("#")
    path = pathlib.Path(urllib.parse.unquote(urllib.parse.urlparse(url).path))
    content = path.read_bytes()
    found = hashlib.new("md5" if len(digest) == 32 else "sha256", content).hexdigest()
    if found != digest.removeprefix("sha256:"):
        sys.exit(f"{url}: expected the hash {digest}, found {found}")
    record = await rattler.RepoDataRecord.from_package_archive(path)
    record.url, record.channel = url, url.rsplit("/", 2)[0]
    record.md5 = hashlib.md5(content).digest()
    return record


async def install(prefix, listed):
    spec = ExplicitEnvironmentSpec.from_path(pathlib.Path(listed))
    records = [await record_of(entry) for entry in spec.packages]
    # Unlike pixi, it leaves what is there and not listed, and links what is listed in any case.
    names = {record.name.normalized for record in records}
    records += [record for record in prefix_records(prefix) if record.name.normalized not in names]
    await rattler.install(records, prefix, reinstall_packages=names,
                          cache_dir=os.environ["CONDA_PKGS_DIRS"],
                          show_progress=False, execute_link_scripts=False)


def prefix_records(prefix):
    return [rattler.PrefixRecord.from_path(path)
            for path in sorted(pathlib.Path(prefix, "conda-meta").glob("*.json"))]


def installed(prefix):
    records = prefix_records(prefix)
    return [{"name": r.name.normalized, "version": str(r.version), "build_string": str(r.build),
             "url": r.url, "sha256": r.sha256.hex() if r.sha256 else None} for r in records]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["install", "list"])
    parser.add_argument("--prefix", required=True)
    parser.add_argument("--file")
    parser.add_argument("--yes", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.command == "install":
        asyncio.run(install(options.prefix, options.file))
    else:
        print(json.dumps(installed(options.prefix)))
    # The threads of the library do not outlive an interpreter that ends in an orderly way.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
