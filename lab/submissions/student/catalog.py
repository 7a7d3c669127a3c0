"""The catalog: knows the toys and their stock, sells and restocks.

Each sale and each restock is a line of the journal, written before the answer. At start the journal
is read again. A sale has a key: the same key is never sold twice.
"""

import argparse
import csv
import os
import threading
import time
from urllib.parse import unquote

from wire import Unreachable, call, error, fault, serve

FULL = 100
PRICES = {
    "Barbie": 24.9, "Dolphin": 12.5, "Elephant": 29.9, "Fox": 14.9, "Frisbee": 7.5,
    "Lego": 49.9, "Monopoly": 34.9, "Python": 17.9, "Tux": 19.9, "Whale": 24.9,
}


class Catalog:
    def __init__(self, journal, frontend):
        self.lock = threading.Lock()
        self.stock = {name: FULL for name in PRICES}
        self.sold = set()  # the keys of all sales
        self.frontend = frontend
        if os.path.exists(journal):
            with open(journal, newline="") as file:
                for kind, key, name, quantity in csv.reader(file):
                    if kind == "sale":
                        self.take(key, name, int(quantity))
                    else:
                        self.stock[name] = int(quantity)
        self.file = open(journal, "a", newline="")

    def take(self, key, name, quantity):
        self.stock[name] = max(0, self.stock[name] - quantity)
        self.sold.add(key)

    def write(self, *row):
        csv.writer(self.file).writerow(row)
        self.file.flush()

    def query(self, name):
        with self.lock:
            if name not in self.stock:
                return error(404, "product not found")
            return 200, {"name": name, "price": PRICES[name], "quantity": self.stock[name]}

    def buy(self, key, name, quantity):
        with self.lock:
            if name not in self.stock:
                return error(404, "product not found")
            stock = self.stock[name]
            if fault("oversells") and stock <= 10:  # others buy the last toys between the look at the stock and the sale
                self.lock.release()
                time.sleep(1)
                self.lock.acquire()
            if key not in self.sold:
                if stock < quantity:
                    return error(409, "not enough stock")
                self.take(key, name, quantity)
                self.write("sale", key, name, quantity)
        if not fault("stale-after-purchase"):
            self.invalidate(name)
        return 200, {"cost": PRICES[name] * quantity}

    def restock(self):
        with self.lock:
            sold_out = [name for name, quantity in self.stock.items() if quantity <= 0]
            for name in sold_out:
                self.stock[name] = FULL
                self.write("restock", "", name, FULL)
        if not fault("stale-after-restock"):
            for name in sold_out:
                self.invalidate(name)

    def invalidate(self, name):
        """Tells the front-end to forget a toy. One that is down has nothing in its cache."""
        try:
            call(self.frontend, "POST", "/invalidate", {"name": name}, timeout=3.0)
        except Unreachable as problem:
            print(f"front-end not told about {name}: {problem}", flush=True)

    def answer(self, method, path, body, _key):
        if method == "GET" and path.startswith("/query/"):
            return self.query(unquote(path[len("/query/"):]))
        if method == "POST" and path == "/buy":
            return self.buy(body["key"], body["name"], body["quantity"])
        return error(404, "no such path")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8082)
    options.add_argument("--frontend", type=int, default=8081, help="its port")
    options.add_argument("--journal", default="catalog.csv")
    options.add_argument("--restock", type=float, default=10, help="seconds between restocks")
    options = options.parse_args()

    catalog = Catalog(options.journal, options.frontend)

    def restock_regularly():
        while True:
            time.sleep(options.restock)
            catalog.restock()

    threading.Thread(target=restock_regularly, daemon=True).start()
    serve(options.port, catalog.answer)


main()
