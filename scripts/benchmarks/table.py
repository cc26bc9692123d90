"""Tables as text for a terminal and as Markdown."""

import dataclasses


@dataclasses.dataclass
class Table:
    """Cells are text. The first column and those named in `wide` are aligned to the left."""

    title: str
    columns: list
    rows: list
    notes: list = dataclasses.field(default_factory=list)
    wide: tuple = ()


def as_text(table):
    widths = [max(len(row[column]) for row in [table.columns, *table.rows])
              for column in range(len(table.columns))]
    lines = [table.title]
    for row in [table.columns, *table.rows]:
        cells = [cell.ljust(width) if _left(table, column) else cell.rjust(width)
                 for column, (cell, width) in enumerate(zip(row, widths))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    lines.extend(f"  {note}" for note in table.notes)
    return "\n".join(lines) + "\n"


def as_markdown(table):
    lines = [f"**{escaped(table.title)}**", "", _row(table.columns),
             "|" + "|".join(":---" if _left(table, column) else "---:"
                            for column in range(len(table.columns))) + "|"]
    lines.extend(_row(row) for row in table.rows)
    if table.notes:
        lines.append("")
        lines.extend(f"- {escaped(note)}" for note in table.notes)
    return "\n".join(lines) + "\n"


def _left(table, column):
    return column == 0 or table.columns[column] in table.wide


def _row(cells):
    return "| " + " | ".join(escaped(cell) for cell in cells) + " |"


def escaped(text):
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")
