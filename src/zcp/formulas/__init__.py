"""Zero-cost proxies as data: formulas over the statistics of layers."""

from zcp.formulas.evaluator import Evaluation
from zcp.formulas.operators import DERIVED, OPERATORS
from zcp.formulas.parser import parse
from zcp.formulas.program import Program
from zcp.formulas.published import read_formulas
from zcp.formulas.tree import Expression

__all__ = ["DERIVED", "OPERATORS", "Evaluation", "Expression", "Program", "parse", "read_formulas"]
