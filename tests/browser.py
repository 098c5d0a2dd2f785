"""Opens built pages in headless Chromium and lists what is wrong with them."""

import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache, partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--virtual-time-budget=20000",
    "--dump-dom",
]

# Runs before anything else on the page: what fails to load, raises or cannot be decoded ends up in the DOM.
SPY = """<script>
const faults = [];
const report = () => document.documentElement.setAttribute("data-faults", faults.join(" | "));
addEventListener("error", e => {
  faults.push(e.message || "does not load: " + (e.target.src || e.target.href || e.target.tagName)); report();
}, true);
addEventListener("load", () => {
  for (const image of document.images) {
    image.loading = "eager";
    image.decode().catch(() => { faults.push("broken figure: " + image.src); report(); });
  }
  report();
});
</script>"""
RAW_TEX = re.compile(r"\\[A-Za-z]{2,}|\\[()\[\]]|\$\$|\$\\|(?<!\w)\$[^$\n]{1,60}\$(?!\w)")
# The theme and Jupyter Book each declare this variable; nothing depends on it.
KNOWN = "THEBE_JS_URL"
NOT_PROSE = ["script", "style", "pre", "code", "mjx-container", "annotation", "title"]


def find_chromium() -> str:
    """Return the path of Chromium; where it is missing skip the test, or fail it with CI=true."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found:
        return found
    missing = "the browser tests need Chromium; install it: apt-get install chromium"
    if os.environ.get("CI") == "true":
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)


def check_site(html: Path, scratch: Path) -> list[str]:
    """Return the faults of all pages under `html`: their links, and what a browser shows of them."""
    pages = [page.relative_to(html) for page in sorted(html.rglob("*.html"))]
    pages = [page for page in pages if page.parts[0] not in ("_static", "_sources")]
    faults = [fault for page in pages for fault in broken_links(html / page, html)]
    site = scratch / "site"
    shutil.copytree(html, site)
    shown = [page for page in pages if page.parts[0] != "_modules"]
    with serve(site) as address, ThreadPoolExecutor(2) as browsers:
        found = browsers.map(lambda page: list(shown_faults(site / page, f"{address}/{page}")), shown)
        faults += [f"{page}: {fault}" for page, each in zip(shown, found, strict=True) for fault in each]
    return faults


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve `folder` on this machine and give its address; a page opened as a file may not load its fonts."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def shown_faults(page: Path, address: str) -> Iterator[str]:
    """Open `page` (which is overwritten) at its address and yield what is wrong with what one sees."""
    page.write_text(page.read_text(encoding="utf-8").replace("<head>", "<head>" + SPY, 1), encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        command = [find_chromium(), *FLAGS, f"--user-data-dir={profile}", address]
        dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    soup = BeautifulSoup(dom, "html.parser")
    recorded = soup.html.get("data-faults") if soup.html else None
    if recorded is None:
        yield "the browser did not finish loading it"
    yield from (fault for fault in (recorded or "").split(" | ") if fault and KNOWN not in fault)
    for formula in soup.select(".math"):
        if not formula.select("mjx-container"):
            yield f"formula is not typeset: {formula.get_text()[:80]!r}"
    for error in soup.select("mjx-merror, [data-mjx-error]"):
        yield f"MathJax error: {error.get('data-mjx-error') or error.get_text()[:80]!r}"
    for element in soup(NOT_PROSE):
        element.decompose()
    body = soup.body.get_text(" ") if soup.body else ""
    yield from (f"raw TeX: {match[0]!r}" for match in RAW_TEX.finditer(body))


def broken_links(page: Path, root: Path) -> Iterator[str]:
    """Yield the internal links, figures and scripts of `page` that lead nowhere."""
    for link in outline(page).links:
        parts = urlsplit(link)
        if parts.scheme:
            continue
        target = page if not parts.path else (page.parent / unquote(parts.path)).resolve()
        if not target.is_file():
            yield f"{page.relative_to(root)}: {link!r}: no such file"
        elif (
            parts.fragment and target.suffix == ".html" and unquote(parts.fragment) not in outline(target).ids
        ):
            yield f"{page.relative_to(root)}: {link!r}: no such anchor"


class Outline(HTMLParser):
    """The links of a page, and the anchors that one can link to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids.update(filter(None, (given.get("id"), given.get("name") if tag == "a" else None)))
        link = given.get({"a": "href", "link": "href", "img": "src", "script": "src"}.get(tag, ""))
        if link:
            self.links.append(link)


@cache
def outline(page: Path) -> Outline:
    """Return the outline of a page, which is read once."""
    return Outline(page.read_text(encoding="utf-8"))
