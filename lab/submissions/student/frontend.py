"""The front-end: what customers talk to. Has a cache of toys, and chooses the leader of the replicas.

Customers use one port. The catalog uses another one to say which toy has changed.
"""

import argparse
import random
import threading
import time
import uuid
from collections import OrderedDict
from urllib.parse import quote, unquote

from wire import Malformed, Unreachable, call, error, fault, serve

PATIENCE = 12.0  # seconds that a customer waits while a new leader is sought
CHECK = 0.5  # seconds between two looks at the replicas
START = 3.0  # seconds after the start in which all replicas are waited for


class Cache:
    """The toys that were queried last. The catalog says when one has changed."""

    def __init__(self, capacity):
        self.lock = threading.Lock()
        self.capacity = capacity
        self.toys = OrderedDict()  # the least recently used first
        self.changes = 0

    def get(self, name):
        """The toy or None, and how many changes there were until now."""
        with self.lock:
            if name in self.toys and not fault("evicts-the-oldest"):
                self.toys.move_to_end(name)
            return self.toys.get(name), self.changes

    def put(self, name, toy, changes):
        """Keeps a toy, unless something changed while the catalog was asked for it."""
        with self.lock:
            if changes == self.changes:
                if fault("evicts-at-random") and len(self.toys) == self.capacity:
                    self.toys.pop(random.choice(list(self.toys)))
                self.toys[name] = toy
                if len(self.toys) > self.capacity:
                    self.toys.popitem(last=False)

    def drop(self, name):
        with self.lock:
            self.changes += 1
            self.toys.pop(name, None)


class Frontend:
    def __init__(self, catalog, orders, capacity):
        self.catalog = catalog
        self.orders = orders  # id -> port of the replicas
        self.cache = Cache(capacity)
        self.started = time.monotonic()
        self.checking = threading.Lock()
        self.leader = None
        self.in_sync = None  # who had all orders when the leader last said it
        self.last = None  # the last order that a leader took

    # The leader

    def check(self, failed=None):
        """Finds the leader, or makes one: of the replicas with all orders, the one with the highest id."""
        with self.checking:
            if failed is not None and self.leader not in (None, failed):
                return  # another thread has found a leader in the meantime
            up = {}
            for id, port in self.orders.items():
                try:
                    up[id] = call(port, "GET", "/health", timeout=2.0)[1]
                except Unreachable:
                    continue
            leading = [id for id in up if up[id]["leads"]]
            if leading:
                self.leader = max(leading, key=lambda id: up[id]["epoch"])
                self.in_sync = up[self.leader]["in_sync"]
                return
            self.leader = None
            if self.in_sync is None and len(up) < len(self.orders) \
                    and time.monotonic() < self.started + START:
                return  # one that is still starting may have more orders
            fit = [id for id in up if self.in_sync is None or id in self.in_sync]
            if fit:
                self.appoint(max(fit, key=lambda id: (up[id]["end"], id)))

    def appoint(self, id):
        try:
            epoch = int(time.time() * 1000)
            status, answer = call(self.orders[id], "POST", "/lead", {"epoch": epoch})
            if status != 200:
                return
            print(f"replica {id} leads in epoch {epoch}", flush=True)
            self.leader, self.in_sync = id, answer["in_sync"]
            if fault("doubles-on-failover") and self.last:  # "the old leader may have lost it"
                call(self.orders[id], "POST", "/buy", {**self.last, "key": uuid.uuid4().hex})
        except Unreachable as problem:
            print(f"replica {id}: {problem}", flush=True)

    def ask_leader(self, method, path, body=None):
        """Asks the leader, and the next leader if this one fails: customers do not notice."""
        until = time.monotonic() + PATIENCE
        while True:
            leader = self.leader
            try:
                if leader is not None:
                    status, answer = call(self.orders[leader], method, path, body)
                    if status != 503:
                        return status, answer
            except Unreachable as problem:
                print(f"leader {leader}: {problem}", flush=True)
            self.check(leader)
            if time.monotonic() > until or fault("visible-failover") and self.leader != leader:
                return error(503, "no replica takes orders")
            time.sleep(0.05)

    # What customers ask for

    def query(self, name):
        toy, changes = self.cache.get(name)
        if toy is None:
            status, toy = call(self.catalog, "GET", "/query/" + quote(name, safe=""))
            if status != 200 and not fault("crashes-on-unknown-toy"):
                return status, toy
            toy = {field: toy[field] for field in ("name", "price", "quantity")}
            self.cache.put(name, toy, changes)
        return 200, {"data": toy}

    def buy(self, body, key):
        name, quantity = body.get("name"), whole(body.get("quantity"))
        if not isinstance(name, str):
            raise Malformed("name is missing")
        if quantity == 0 or quantity < 0 and not fault("accepts-negative"):
            raise Malformed("quantity must be 1 or more")
        if key is None or fault("doubles-on-retry"):
            key = uuid.uuid4().hex
        order = {"key": key, "name": name, "quantity": quantity}
        status, answer = self.ask_leader("POST", "/buy", order)
        if status != 200:
            return status, answer
        self.in_sync, self.last = answer["in_sync"], order
        return 200, {"data": {"order_number": answer["number"]}}

    def look_up(self, number):
        if not number.isdigit():
            return error(404, "order not found")
        status, answer = self.ask_leader("GET", "/orders/" + number)
        return status, {"data": answer} if status == 200 else answer

    def answer(self, method, path, body, key):
        if method == "GET" and path.startswith("/products/"):
            return self.query(unquote(path[len("/products/"):]))
        if method == "POST" and path == "/orders":
            return self.buy(body, key)
        if method == "GET" and path.startswith("/orders/"):
            return self.look_up(path[len("/orders/"):])
        return error(404, "no such path")

    # What the catalog says

    def answer_catalog(self, method, path, body, _key):
        self.cache.drop(body["name"])
        return 200, {}


def whole(value):
    """A whole number from a JSON body, or from a form, where it is text."""
    if isinstance(value, (int, str)) and not isinstance(value, bool):
        try:
            return int(value)
        except ValueError:
            pass
    raise Malformed("quantity is no whole number")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8081)
    options.add_argument("--catalog-port", type=int, default=8083, help="where the catalog calls")
    options.add_argument("--catalog", type=int, default=8082, help="its port")
    options.add_argument("--orders", required=True, help="1=8091,2=8092,3=8093")
    options.add_argument("--capacity", type=int, default=7, help="toys in the cache")
    options = options.parse_args()

    orders = {int(id): int(port) for id, port in
              (order.split("=") for order in options.orders.split(","))}
    frontend = Frontend(options.catalog, orders, options.capacity)

    def check_regularly():
        while True:
            time.sleep(CHECK)
            frontend.check()

    frontend.check()
    threading.Thread(target=check_regularly, daemon=True).start()
    threading.Thread(target=serve, args=(options.catalog_port, frontend.answer_catalog), daemon=True).start()
    # "A thread pool of six is enough": a session keeps its thread until the customer closes it.
    serve(options.port, frontend.answer, sessions=6 if fault("six-sessions") else None)


main()
