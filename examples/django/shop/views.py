"""The pages of the shop. Each shows another thing that Django caches."""

import os
import time

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.http import require_POST

from cachegrid.integrations.django import cached
from shop.models import Product


def home(request: HttpRequest) -> HttpResponse:
    """Products are read once for all processes, until one of them changes; visits are counted in the session."""
    visit = request.session["visits"] = request.session.get("visits", 0) + 1
    products = cached(Product.objects.order_by("name"))
    return render(request, "home.html", {"visit": visit, "products": products, "pid": os.getpid()})


@require_POST
def price(request: HttpRequest, sku: str, price: str) -> HttpResponse:
    """An update of many rows at once, of which Django sends no signals: all processes see it nevertheless."""
    return HttpResponse(Product.objects.filter(sku=sku).update(price=price))


def report(request: HttpRequest) -> HttpResponse:
    """What takes long is done once, however many ask for it in however many processes."""
    return HttpResponse(cache.get_or_set("report", _report, timeout=60))


def _report() -> str:
    time.sleep(0.5)
    return f"{Product.objects.count()} products, counted by process {os.getpid()} at {time.time_ns()}"


urlpatterns = [path("", home), path("price/<sku>/<price>", price), path("report", report)]
