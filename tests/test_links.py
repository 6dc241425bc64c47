"""The task that asks links: what it collects, and what it says of good and bad answers."""

import socket
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from course_utils.publish import links


class Site(BaseHTTPRequestHandler):
    """Answers with the status that the path names, or in a way of its own."""

    asked: ClassVar = Counter()
    busy, most = 0, 0  # requests at once: now, and at most
    lock = threading.Lock()

    def do_GET(self):
        kind = type(self)
        with Site.lock:
            kind.busy += 1
            kind.most = max(kind.most, kind.busy)
        kind.asked[f"{self.command} {self.path}"] += 1
        name = self.path.strip("/")
        time.sleep(1 if name == "slow" else 0.02)
        status = {"moved": 301, "ring": 302, "nohead": 405 if self.command == "HEAD" else 200}
        self.send_response(status.get(name, int(name) if name.isdigit() else 200))
        if name in ("moved", "ring"):
            self.send_header("Location", "/200" if name == "moved" else "/ring")
        self.send_header("Content-Length", "0")
        with Site.lock:
            kind.busy -= 1
        self.end_headers()

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """A web site on this machine; names of other machines are not known."""
    monkeypatch.setattr(links, "PAUSE", 0)
    monkeypatch.setattr(links, "PATIENCE", 0.3)
    lookup = socket.getaddrinfo

    def local(name, *arguments, **options):
        if name != "127.0.0.1":
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return lookup(name, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    handler = type("Site", (Site,), {"asked": Counter()})  # counts what this test asks
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def site(server):
    """The address of that site."""
    return f"http://127.0.0.1:{server.server_port}"


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A function that writes a course whose README, and a cell of a notebook, hold these texts."""
    monkeypatch.setattr(links, "ROOT", tmp_path)
    monkeypatch.setattr(links, "MNIST_MIRRORS", ())
    (tmp_path / "notebooks").mkdir()

    def write(readme="", cell=""):
        (tmp_path / "README.md").write_text(readme, "utf-8")
        cells = [new_markdown_cell(cell, id="refs"), new_code_cell("'http://code.invalid'")]
        nbformat.write(new_notebook(cells=cells), tmp_path / "notebooks" / "01_a.ipynb")

    return write


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see https://a.org/b, and", {"https://a.org/b"}),
        ("(see https://a.org/b).", {"https://a.org/b"}),
        ("[a](https://a.org/b) <https://c.org>", {"https://a.org/b", "https://c.org"}),
        ("[a](https://a.org/b_(c))", {"https://a.org/b_(c)"}),
        ("https://a.org/b#part", {"https://a.org/b"}),
        ("`https://a.org/b`\n```\nhttps://a.org/c\n```", set()),
        ("in arXiv:1301.3775.", {"https://arxiv.org/abs/1301.3775"}),
        ("doi = {10.1137/080716542}, year", {"https://doi.org/10.1137/080716542"}),
        ("doi:10.1016/0893-6080(90)90004-5.", {"https://doi.org/10.1016/0893-6080(90)90004-5"}),
    ],
)
def test_links_are_found_in_prose_and_not_in_code(text, found):
    assert links.addresses(text) == found


def test_the_courses_own_links_are_collected_from_everywhere():
    places = links.collected(links.ROOT)
    assert "https://distributed.dask.org" in places
    assert "https://arxiv.org/abs/1301.3775" in places
    where = "\n".join(place for found in places.values() for place in found)
    for kind in ("data/README.md", "references.bib", ".ipynb, cell ", "grading/sandbox.py"):
        assert kind in where
    assert sum("mnist" in address.lower() for address in places) >= 12
    assert not [address for address in places if "YOU" in address or "127.0.0.1" in address]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("200", "well"),
        ("moved", "well"),
        ("nohead", "well"),
        ("404", "gone"),
        ("410", "gone"),
        ("403", "refused"),
        ("429", "refused"),
        ("503", "refused"),
        ("slow", "silent"),
        ("ring", "silent"),
    ],
)
def test_an_answer_is_told_by_its_kind(path, kind, site):
    assert links.ask(f"{site}/{path}").kind == kind


def test_a_page_that_is_there_is_asked_for_its_head_only(site, server):
    links.ask(f"{site}/200")
    assert server.RequestHandlerClass.asked == {"HEAD /200": 1}


def test_a_doi_is_asked_at_its_register_not_at_the_publisher(monkeypatch):
    wanted = []

    def request(method, address, **_):
        wanted.append(address)
        raise links.requests.ConnectionError

    monkeypatch.setattr(links.requests, "request", request)
    links.ask("https://doi.org/10.1109/5.726791")
    assert wanted == ["https://doi.org/api/handles/10.1109/5.726791"]


def test_what_is_gone_is_named_with_file_and_cell_and_fails(course, site, capsys):
    course(f"{site}/200 {site}/403 {site}/404", f"{site}/404 and http://nobody.invalid/x")
    assert links.main([]) == 1
    told = capsys.readouterr().out.splitlines()
    assert (
        f"gone: {site}/404 (404 Not Found), in README.md; notebooks/01_a.ipynb, cell refs" in told
    )
    assert "gone: http://nobody.invalid/x (NameResolutionError)" in "\n".join(told)
    assert told[-1] == "4 links: 1 lead somewhere, 2 are gone, 1 keep robots out, 0 did not answer"


def test_robots_kept_out_and_silence_are_told_and_do_not_fail(course, site, capsys):
    course(f"{site}/200 {site}/403 {site}/slow")
    assert links.main([]) == 0
    told = capsys.readouterr().out
    assert f"keeps robots out, or is out of order: {site}/403 (403 Forbidden)" in told
    assert f"no answer: {site}/slow (ReadTimeout)" in told


@pytest.mark.parametrize("answered", ["", "404"])
def test_without_a_network_worth_the_name_nothing_is_called_gone(answered, course, site, capsys):
    """One host may answer still: a portal, or a package index inside a company."""
    course(f"http://nobody.invalid/x http://some.invalid/y {answered and f'{site}/{answered}'}")
    assert links.main([]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith("No network, or a part of it: 2 of ")
    assert len(error.splitlines()) == 1


def test_a_host_is_asked_one_thing_at_a_time(course, site, server):
    course(" ".join(f"{site}/200?{n}" for n in range(9)))
    links.main([])
    assert len(server.RequestHandlerClass.asked) == 9
    assert server.RequestHandlerClass.most == 1
