"""Refusals: a stable code for programs, a sentence for people, the field at fault."""


class Refused(Exception):  # noqa: N818 - a refusal is an answer, not an error
    """What a rule, a query or a command says no with. Anything else that is raised is our bug.

    `code` is stable and in capitals; `sentence` is English, a message id of the catalogue, with `{name}` for each of
    `params` and perhaps `{field}`; `field` is the path of the field at fault in the request, or empty.
    """

    def __init__(self, code: str, sentence: str, /, *, field: str = "", **params: object) -> None:
        super().__init__(code)
        self.code = code
        self.sentence = sentence
        self.field = field
        self.params = params

    def __str__(self) -> str:
        return self.said_as(self.sentence)

    def said_as(self, sentence: str) -> str:
        """The refusal in its sentence, or that of another language."""
        return sentence.format(field=self.field, **self.params)


class Invalid(Refused):
    """The request is wrong by itself, whatever the state of the books."""


class NotFound(Refused):
    """There is no such thing, or the caller may not know of it."""


class Conflict(Refused):
    """The request is sound, but not as things stand."""


class Forbidden(Refused):
    """The caller may not do this."""


class Unauthenticated(Refused):
    """Nobody knows who is calling."""


class Unavailable(Refused):
    """Something that this needs is away; the same request may succeed later."""


class Exhausted(Refused):
    """Too much at once; the same request may succeed after a pause."""


def busy() -> Exhausted:
    """Threads, connections or places to wait have run out."""
    return Exhausted("BUSY", "The system is busy; try again in a moment.")
