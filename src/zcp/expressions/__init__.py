"""Zero-cost proxies as data: formulas over the statistics of layers."""

from zcp.expressions.evaluator import Evaluation, Program
from zcp.expressions.formulas import read_formulas
from zcp.expressions.operators import DERIVED, OPERATORS
from zcp.expressions.parser import parse
from zcp.expressions.tree import Expression

__all__ = ["DERIVED", "OPERATORS", "Evaluation", "Expression", "Program", "parse", "read_formulas"]
