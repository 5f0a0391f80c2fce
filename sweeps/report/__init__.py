"""What came out of a sweep: `python -m sweeps.report STUDY` writes a page to read and a table for papers."""
