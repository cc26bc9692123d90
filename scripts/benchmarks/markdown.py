"""Tables for the documentation, put where a file marks their place."""

import pathlib
import re

from benchmarks import report, table
from benchmarks.programs import BenchError


def section(results):
    parts = [table.as_markdown(each) for each in report.tables(results)]
    parts.append("\n".join(f"- {table.escaped(note)}" for note in report.notes(results)) + "\n")
    return "\n".join(parts)


def write(path, results):
    """Replaces what stands between <!-- bench TITLE --> and <!-- end --> of an existing file, or
    writes a new one."""
    path = pathlib.Path(path)
    title = results["title"]
    begin, end = f"<!-- bench {title} -->", "<!-- end -->"
    text = f"{begin}\n\n{section(results)}\n{end}"
    if not path.exists():
        path.write_text(text + "\n")
        return
    old = path.read_text()
    place = re.compile(re.escape(begin) + r".*?" + re.escape(end), re.DOTALL)
    if len(place.findall(old)) != 1:
        raise BenchError(f"{path}: expected one place marked {begin} … {end}; put these two lines "
                         "where the tables shall stand, or give another --title")
    path.write_text(place.sub(lambda _: text, old))
