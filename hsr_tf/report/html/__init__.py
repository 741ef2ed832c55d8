"""The report: one HTML file that shows a fusion result and opens without a network."""

from hsr_tf.report.html.page import write_report
from hsr_tf.report.html.report_data import Curve, ReportData

__all__ = ["Curve", "ReportData", "write_report"]
