"""One look for all figures: light, thin lines, few colours."""

import html

from plotly.graph_objects import Figure

# Okabe and Ito's colours, which the colour-blind can tell apart, without yellow
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#4d4d4d", "#8c564b")
GREY = "#c4c9d0"
TEXT = "#30363d"
SCALE = [[0, "#dce8f4"], [0.5, "#6aaed6"], [1, "#08306b"]]  # from a blue that is not the white of an empty cell
LINE_SCALE = [[0, "#a6c8e4"], [0.5, "#4a94c9"], [1, "#08306b"]]  # whose lightest is seen as a thin line
LOG_TICKS = {"minorloglabels": "complete"}  # 90 80 70, where Plotly would write 9 8 7
MAX_LABEL = 80  # characters
SHORT_LABEL = 32  # of a tick or a title beside a figure, which it must not squeeze


def styled(figure: Figure, height: int) -> Figure:
    """The figure in the report's look."""
    figure.update_layout(
        template="plotly_white",
        height=height,
        title=None,
        font={"family": "system-ui, sans-serif", "size": 13, "color": TEXT},
        margin={"l": 70, "r": 30, "t": 40, "b": 55},
        hoverlabel={"bgcolor": "white", "align": "left"},
    )
    return figure


def label(text: str, most: int = MAX_LABEL) -> str:
    """Text for Plotly, cut where it is very long."""
    return verbatim(text if len(text) <= most else f"{text[: most - 1]}…")


def verbatim(text: str) -> str:
    """Text that Plotly shows as it is; it reads some HTML, and mathematics between dollars."""
    return html.escape(text, quote=False).replace("$", "&#36;")
