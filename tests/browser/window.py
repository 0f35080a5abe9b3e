"""A browser's window, in which every page that is looked at is examined, and whatever the browser complains about is kept."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Page, Request, Response

AXE = Axe()
# Told by the browser itself, which says of a violation which element it was.
LISTEN = """document.addEventListener("securitypolicyviolation", (event) => console.error(
    `CSP: ${event.violatedDirective} forbids ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`));"""
SETTLE = """() => Promise.allSettled(document.getAnimations()
    .filter((one) => one instanceof CSSTransition).map((one) => one.finished))"""  # colours take a moment in Django's admin
ALL_HAS_COME = "() => !document.querySelector('main [aria-busy=true]')"
OF_COLOUR = ["color-contrast", "link-in-text-block"]  # what a scheme changes; the rest is the same in the light
GRAVE = ("serious", "critical")
TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
    .map((one) => `${one.tagName} .${one.getAttribute("class")} ${Math.round(one.getBoundingClientRect().right)}`)"""


@dataclass(frozen=True)
class Look:
    """A colour scheme, light or dark, and a width in pixels."""

    scheme: str = "light"
    width: int = 1280

    @property
    def height(self) -> int:
        """As screens of that width are."""
        return 740 if self.width < 500 else 900

    def __str__(self) -> str:
        return f"{self.scheme}, {self.width} px"


LOOKS = tuple(Look(scheme, width) for width in (1280, 360) for scheme in ("light", "dark"))
AXED = (LOOKS[0], LOOKS[3])  # of several looks at a page: each scheme once, and each width


@dataclass
class Window:
    """One page of a browser, at the site."""

    page: Page
    look: Look
    complaints: list[str] = field(default_factory=list)
    _expected: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, context: BrowserContext, look: Look) -> "Window":
        """A new one, which listens."""
        context.add_init_script(LISTEN)
        made = cls(context.new_page(), look)
        made.page.on("console", made._said)
        made.page.on("pageerror", lambda error: made.complaints.append(f"script: {error}"))
        made.page.on("requestfailed", made._failed)
        made.page.on("response", made._answered)
        return made

    def visit(self, address: str, *, status: int = 200, looks: Sequence[Look] = (), axed: Sequence[Look] | None = None) -> Page:
        """Goes there, where this status is the answer, and examines the page: as the window is, or in each of these looks; with
        axe in those of `axed`, or in all where that is None.
        """
        if status >= 400:
            self.expect_an_error_at(address)
        answer = self.page.goto(address)
        assert answer is not None
        if answer.status != status:
            self.complaints.clear()  # it is said once
        assert answer.status == status, f"{address} answers {answer.status}: {self.page.inner_text('body')[:2000]}"
        for look in looks:
            self.dress(look)
            self.examine(axe=axed is None or look in axed)
        if not looks:
            self.examine()
        return self.page

    def expect_an_error_at(self, address: str) -> None:
        """What is answered there is nothing to complain about."""
        self._expected.add(address)

    def dress(self, look: Look) -> None:
        """Shows the page in another colour scheme and width."""
        self.page.emulate_media(color_scheme=look.scheme)
        self.page.set_viewport_size({"width": look.width, "height": look.height})
        self.page.evaluate(SETTLE)
        self.look = look

    def examine(self, *, axe: bool = True) -> None:
        """Nothing to complain about, nothing wider than the window, and, says axe, nothing in the way of those who see or move
        otherwise.
        """
        where = f"{self.page.url} ({self.look})"
        self.page.wait_for_load_state()
        self.page.wait_for_function(ALL_HAS_COME)
        complaints, self.complaints = self.complaints, []
        assert complaints == [], f"{where}:\n" + "\n".join(complaints)
        wide = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{where} is {wide} px too wide: {self.page.evaluate(TOO_WIDE)[:12]}"
        if not axe:
            return
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.axe_script)
        only = {} if self.look.scheme == "light" else {"runOnly": OF_COLOUR}
        found = self.page.evaluate("(options) => axe.run(options)", {"resultTypes": ["violations"], **only})["violations"]
        grave = [_told(one) for one in found if one["impact"] in GRAVE]
        assert grave == [], f"{where}:\n" + "\n".join(grave)

    def picture(self, path: Path, *, highest: int) -> None:
        """The page from its top, at most so many pixels of it, into a file."""
        height = min(highest, self.page.evaluate("document.documentElement.scrollHeight"))
        clip = {"x": 0, "y": 0, "width": self.look.width, "height": height}
        self.page.screenshot(path=path, full_page=True, clip=clip, animations="disabled")

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.complaints.append(f"console, {message.type}: {message.text}")  # of what did not load, the answer tells more

    def _failed(self, request: Request) -> None:
        if request.failure != "net::ERR_ABORTED":  # whoever goes to another page does not wait for what this one asked for
            self.complaints.append(f"request: {request.method} {request.url}: {request.failure}")

    def _answered(self, response: Response) -> None:
        if response.status >= 400 and not any(response.url.endswith(address) for address in self._expected):
            self.complaints.append(f"answer: {response.status} to {response.request.method} {response.url}")


def _told(violation: dict) -> str:
    nodes = [f"{node['target']} {node['failureSummary']}" for node in violation["nodes"][:5]]
    return f"{violation['impact']}: {violation['help']} ({violation['id']}): {json.dumps(nodes, indent=1)}"
