"""The page of an evaluation, for the engineer who decides whether a model may go on the line."""

from trainer.evaluation.report.page import write_page

__all__ = ["write_page"]
