"""The nodes of the Tree, made while the parser reduces: one method for each rule of the grammar."""

from flowc.syntax.build.expressions import Expressions
from flowc.syntax.build.items import Items
from flowc.syntax.build.placing import Placing
from flowc.syntax.build.statements import Statements


class Builder(Items, Placing, Statements, Expressions):
    """Each method gets the parts of its rule, quoted marks of the grammar left out.

    A builder holds nothing: one serves all parses.
    """
