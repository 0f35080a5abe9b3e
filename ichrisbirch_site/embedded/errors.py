"""What goes wrong with the embedded services."""


class EmbeddedError(Exception):
    """An embedded service could not be started, reached or stopped.

    `message` says what happened, `detail` what was seen (the end of a log), `hint` what to do now.
    """

    def __init__(self, message: str, *, detail: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail
        self.hint = hint

    def __str__(self) -> str:
        return "\n".join(part for part in (self.message, self.detail, self.hint) if part)
