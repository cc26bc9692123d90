"""A picture of a run: for each workload a bar for each peer."""

from xml.sax.saxutils import escape

from benchmarks import report
from benchmarks import results as figures
from benchmarks.results import FIRN, PLAIN

WIDTH = 860
MARGIN = 24
NAMES = 200          # where the bars begin
BARS = 480           # length of the longest
BAR, BAR_STEP = 16, 22
HEAD, PANEL_GAP = 26, 20
COLOURS = {FIRN: "#0b6bcb", PLAIN: "#8a8f98"}
FIRN_KIND, OTHER = "#6aa9e9", "#c3c9d1"
STYLE = ("text{font-family:'DejaVu Sans',Verdana,Helvetica,sans-serif;fill:#1c2024}"
         ".name{font-size:12px;text-anchor:end}.value{font-size:12px}"
         ".title{font-size:13px;font-weight:bold}.head{font-size:17px;font-weight:bold}"
         ".note{font-size:11px;fill:#5a6068}")


def picture(results):
    """The whole file. Each panel has a scale of its own: bars compare within a workload."""
    panels = [(name, workload) for name, workload in results["workloads"].items()
              if any(figures.values(samples) for samples in workload["peers"].values())]
    y = MARGIN + 18
    machine = results["machine"]
    parts = [_text(MARGIN, y, results["title"] or "Firn and its peers", "head"),
             _text(MARGIN, y + 18, f"medians of {results['rounds_done']} rounds; "
                   f"{machine['processors']} x {machine['processor']}, Linux {machine['kernel']}",
                   "note")]
    y += 44
    for name, workload in panels:
        panel, height = _panel(results, name, workload, y)
        parts += panel
        y += height + PANEL_GAP
    height = y - PANEL_GAP + MARGIN
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}">\n<style>{STYLE}</style>\n'
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>\n'
            + "\n".join(parts) + "\n</svg>\n")


def _panel(results, name, workload, top):
    measured = {peer: figures.median(workload["peers"][peer]) for peer in results["peers"]
                if figures.values(workload["peers"].get(peer, []))}
    longest = max(measured.values()) or 1
    direction = "more is better" if workload["higher_is_better"] else "less is better"
    parts = [_text(MARGIN, top + 14, f"{name}: {workload['title']} ({direction})", "title")]
    y = top + HEAD
    for peer, value in measured.items():
        length = max(BARS * value / longest, 1)
        parts += [
            _text(NAMES - 8, y + BAR - 4, peer, "name"),
            f'<rect x="{NAMES}" y="{y}" width="{length:.1f}" height="{BAR}" rx="2" '
            f'fill="{_colour(peer)}"/>',
            _text(NAMES + length + 6, y + BAR - 4, report.number(value, workload["unit"]), "value")]
        y += BAR_STEP
    return parts, y - top


def _colour(peer):
    return COLOURS.get(peer, FIRN_KIND if peer.startswith(FIRN) else OTHER)


def _text(x, y, text, kind):
    return f'<text class="{kind}" x="{x:.1f}" y="{y}">{escape(text)}</text>'
