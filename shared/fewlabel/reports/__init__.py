"""Tables, pictures and the HTML report of a run."""

from fewlabel.reports.case_pictures import CaseView, case_picture, informative_slices
from fewlabel.reports.html import write_report
from fewlabel.reports.overlay import overlay
from fewlabel.reports.tables import COLUMNS, format_table, read_scores_csv, summarize, write_scores_csv

__all__ = [
    "COLUMNS",
    "CaseView",
    "case_picture",
    "format_table",
    "informative_slices",
    "overlay",
    "read_scores_csv",
    "summarize",
    "write_report",
    "write_scores_csv",
]
