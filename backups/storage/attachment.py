"""How a header names the file as which an answer is kept. https://www.rfc-editor.org/rfc/rfc6266"""

from urllib.parse import quote


def disposition(filename: str) -> str:
    """The value of Content-Disposition: one line of ASCII, whatever the name of an object is."""
    printable = "".join(sign for sign in filename if sign.isprintable())
    plain = printable.encode("ascii", "ignore").decode().replace("\\", "").replace('"', "")
    if plain == printable:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(printable, safe='')}"
