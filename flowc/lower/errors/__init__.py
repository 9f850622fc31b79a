"""What the lowering can say to an author, by subject; the wording of each mistake is here once."""

from flowc.lower.errors.calls import *  # noqa: F403
from flowc.lower.errors.modules import *  # noqa: F403
from flowc.lower.errors.names import *  # noqa: F403
from flowc.lower.errors.operands import *  # noqa: F403
from flowc.lower.errors.settings import *  # noqa: F403
from flowc.lower.errors.shapes import *  # noqa: F403
from flowc.lower.errors.structure import *  # noqa: F403
from flowc.lower.errors.values import *  # noqa: F403
