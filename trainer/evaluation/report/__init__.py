"""The HTML report of an evaluation, for the engineer who decides whether a model goes on the line."""

from trainer.evaluation.report.page import write_page

__all__ = ["write_page"]
