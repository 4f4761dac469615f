"""Opens the page of its first argument in Chromium as the client of the command of the others: see
vnc_page.sh."""
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.parse

from picture import read_png

PATIENCE = 120


def wait_for(what, ready):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = ready()
        if result:
            return result
        time.sleep(0.05)
    sys.exit("no " + what)


def text(path):
    return open(path).read() if os.path.exists(path) else ""


class Site(http.server.BaseHTTPRequestHandler):
    """Serves the page, and takes what it tells first."""

    def do_GET(self):
        path, _, query = self.path.partition("?")
        if path == "/result":
            self.server.told = self.server.told or urllib.parse.unquote(query)
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(open(sys.argv[1], "rb").read() if path == "/" else b"")

    def log_message(self, *_):
        pass


def browse(port):
    """What the page tells of the machine at this port."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        site.told = None
        threading.Thread(target=site.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
             "--user-data-dir=profile", "http://127.0.0.1:%d/#%s" % (site.server_port, port)],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            return wait_for("word of the page", lambda: site.told)
        finally:
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()
            site.shutdown()


with subprocess.Popen(sys.argv[2:], stderr=open("vnc.errors", "w")) as machine:
    try:
        found = wait_for("address", lambda: re.search(r"VNC is at \S+:(\d+)", text("vnc.errors")))
        wait_for("ready guest", lambda: "ready " in text("console"))
        told = browse(found.group(1))
        machine.send_signal(signal.SIGTERM)
        machine.wait(PATIENCE)
    finally:
        machine.kill()
if not text("console").endswith("k10 k90 "):
    sys.exit("the page typed: %r; %s" % (text("console"), told))
width, rows = read_png("screen.png")
lit = sum(any(row[3 * x : 3 * x + 3]) for row in rows for x in range(width))
if told != "seen %d x %d, %d dots lit" % (width, len(rows), lit):
    sys.exit("the page says: %s; %d dots are lit" % (told, lit))
