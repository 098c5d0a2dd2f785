"""The two ways in which a request can fail: the input is wrong, or the value does not exist."""


class InputError(ValueError):
    """What the caller passed cannot be used; the message names the fault and the remedy."""


class Undefined(ArithmeticError):
    """A proxy has no value for this network; the message says why and becomes the reason of the NaN."""
