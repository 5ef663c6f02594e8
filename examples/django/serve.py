"""
Serve the shop. Prepare it once, then start as many as you like: they share one cache.

    python serve.py prepare
    python serve.py 8001
"""

import os
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import django
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request."""

    daemon_threads = True


def prepare() -> None:
    """Make the tables, and put something on the shelves."""
    from shop.models import Product

    call_command("migrate", run_syncdb=True, verbosity=0)
    for sku, name, price in [("t-1", "Tea", 5), ("c-1", "Coffee", 7)]:
        Product.objects.update_or_create(sku=sku, defaults={"name": name, "price": price})


def serve(port: int) -> None:
    """Until it is ended; at any free port for 0."""
    with make_server("127.0.0.1", port, get_wsgi_application(), server_class=Server) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
    django.setup()
    prepare() if sys.argv[1] == "prepare" else serve(int(sys.argv[1]))
