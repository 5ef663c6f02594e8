"""Settings of a shop whose processes, on however many hosts, share what they cache."""

import os
from pathlib import Path

HERE = Path(__file__).parent
BACKEND = "cachegrid.integrations.django.CacheGridCache"
GRID = os.environ.get("SHOP_GRID", "")  # such as valkey://a:6379,b:6379; empty: the grid that runs on this host

CACHES = {
    "default": {"BACKEND": BACKEND, "LOCATION": GRID, "TIMEOUT": 600, "OPTIONS": {"cache": "shop"}},
    "sessions": {"BACKEND": BACKEND, "LOCATION": GRID, "OPTIONS": {"cache": "shop-sessions"}},
}
SESSION_ENGINE = "django.contrib.sessions.backends.cache"
SESSION_CACHE_ALIAS = "sessions"  # so that `cache.clear()` logs nobody out

INSTALLED_APPS = ["cachegrid.integrations.django", "shop"]
MIDDLEWARE = ["django.contrib.sessions.middleware.SessionMiddleware"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "DIRS": [HERE]}]
ROOT_URLCONF = "shop.views"
DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("SHOP_DATABASE", HERE / "shop.sqlite3")}
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ALLOWED_HOSTS = ["127.0.0.1"]
SECRET_KEY = os.environ.get("SHOP_SECRET_KEY", "for an example")
