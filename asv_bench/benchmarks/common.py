"""What the benchmarks share: a call that is made ready once."""

from functools import partial

import fastconv

#: Layers and filters that have their sizes in their names.
SELF_EXPLANATORY = ("images", "audio")


def label(row):
    """Name a layer as people know it, with its sizes."""
    return row.name if row.set in SELF_EXPLANATORY else f"{row.name}: {row.layer}"


class Ready:
    """A call; a subclass says of which function, arguments and options.

    asv times one call after the other and runs `setup` before each of them: it must do nothing
    then, and there must be many calls.
    """

    rounds = 3
    repeat = (10, 1000, 0.3)
    timeout = 600
    threads = 1
    call = None

    def setup(self, *params):
        if self.call is None:
            try:
                function, arguments, options = self.parts(*params)
            except (AttributeError, ImportError) as missing:
                raise NotImplementedError("this commit has no such function") from missing
            self.call = partial(function, *arguments, **options)
            fastconv.set_num_threads(self.threads)
