"""A file that is prepared for a model, or why it cannot be."""

from collections.abc import Callable

from torch import Tensor

from thawline.data.decode import UnreadableImage
from thawline.printable import printable


def prepared_or_why(prepare: Callable[[], Tensor], path: object) -> Tensor | str:
    """What `prepare` gives, or one line: a single file, however strange, must not end a pass over all."""
    try:
        return prepare()
    except UnreadableImage as error:
        return str(error)
    except Exception as error:
        return f"unreadable image {printable(path)}: {str(error) or type(error).__name__}"
