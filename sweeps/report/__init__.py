"""Report the results of a sweep: `python -m sweeps.report STUDY` writes an HTML page and a Markdown table."""
