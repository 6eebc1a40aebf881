"""One offline HTML file."""

from profiles.report.render import render_report, write_report

__all__ = ["render_report", "write_report"]
