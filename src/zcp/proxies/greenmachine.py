"""GreenMachine: formulas over layer statistics that an evolution found (Cortes et al. 2024).

The formulas are those that GreenFactory printed. Their authors published no code; how the operators work
where the print does not say is ours (`zcp.formulas.operators`), and so is what the statistics are
(`zcp.statistics.formula_layers`).
"""

from zcp.formulas import read_formulas
from zcp.proxies.formula import formula_proxy
from zcp.proxies.registry import REGISTRY

#: Formulas whose value falls as networks improve: one over the width, coincidences (C) or a divergence (E).
SMALLER_IS_BETTER = "BCDEI"
_DOCSTRING = """{label}, a formula over the statistics of a layer. {note}

Mean over the elements of the value in each layer, then over the layers where it is finite. The formula is
{text}.
"""
_NOTES = {
    "A": "Nearly data-independent: it compares noise with weights.",
    "B": "Almost one over the width.",
    "C": "Counts exact coincidences, that is dead or unreachable units; 0 in all of the size space.",
    "D": "Exactly the mean of one over the number of (input) channels: data do not matter.",
    "E": "The statistics of the data enter through one scalar a layer.",
    "F": "About the root of the number of activations.",
    "G": "About the root of the number of weights.",
    "H": "GreenMachine-3. Counts elements: the cosine of a constant and a 0/1 tensor, summed.",
    "I": "GreenMachine-2. Almost one over the number of output channels.",
    "J": "GreenMachine-1. Unverified: no reading of its matrix product gives the published values.",
}


def _register() -> None:
    for label, text in read_formulas("greenmachine").items():
        letter = label[-1]
        name = label.lower().replace("-", "_")
        docstring = _DOCSTRING.format(label=label, text=" ".join(text.split()), note=_NOTES[letter])
        REGISTRY[name] = formula_proxy(
            name,
            text,
            source="cortes2024greenmachine",
            larger_is_better=letter not in SMALLER_IS_BETTER,
            summary=docstring,
        )


_register()
