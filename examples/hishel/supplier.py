"""
A supplier whose price list everybody may keep for an hour, though it may change before that.

    python supplier.py 8000
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

prices = {"tea": "4.50", "jam": "3.20"}
asked = 0


class Supplier(BaseHTTPRequestHandler):
    """Tells its prices, and how often it was asked for them."""

    def do_GET(self) -> None:
        """The price list."""
        global asked  # noqa: PLW0603 - there is one supplier
        asked += 1
        self._say(json.dumps({"prices": prices, "asked": asked}).encode())

    def do_PUT(self) -> None:
        """Another price: `/prices/tea/5.00`."""
        *_, name, price = self.path.split("/")
        prices[name] = price
        self._say(b"{}")

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        headers = {"Content-Type": "application/json", "Cache-Control": "max-age=3600", "Content-Length": len(body)}
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    server = HTTPServer(("127.0.0.1", int(sys.argv[1])), Supplier)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
