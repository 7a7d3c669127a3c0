"""An order replica: keeps the log of all orders in a file, and takes orders if it leads.

The front-end says who leads. The leader numbers the orders and sends each to its followers before
it answers. A leader has an epoch, a number that grows with each leader: a message of an older epoch
comes from a leader that was replaced while it was paused or cut off, and is refused.
"""

import argparse
import csv
import os
import threading
import time
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor

from wire import Unreachable, call, error, fault, serve

LOOK = 0.5  # seconds between two looks for followers that are back

Row = namedtuple("Row", "number name quantity key epoch")


class Replica:
    def __init__(self, id, path, catalog, peers):
        self.id = id
        self.path = path
        self.catalog = catalog
        self.peers = peers  # id -> port of the other replicas
        self.lock = threading.RLock()  # for everything below
        self.log = []
        self.numbers = {}  # key of an order -> its number
        self.next_number = 1
        self.epoch = 0
        self.leader = None
        self.in_sync = set()  # as leader: the followers that have the whole log
        self.background = ThreadPoolExecutor(max_workers=1)
        if os.path.exists(path):
            with open(path, newline="") as file:
                for number, name, quantity, key, epoch in csv.reader(file):
                    self.remember(Row(int(number), name, int(quantity), key, int(epoch)))
        self.file = open(path, "a", newline="")
        if fault("numbers-restart"):
            self.next_number = 1

    # The log

    def remember(self, row):
        self.log.append(row)
        self.numbers[row.key] = row.number
        self.next_number = row.number + 1
        self.epoch = max(self.epoch, row.epoch)

    def append(self, row):
        csv.writer(self.file).writerow(row)
        self.file.flush()
        self.remember(row)

    def end(self):
        """Epoch and number of the last order. Two logs with the same end are the same."""
        return [self.log[-1].epoch, self.log[-1].number] if self.log else [0, 0]

    def catch_up(self, leader):
        """Takes over the log of the leader. Orders that only this replica has were never answered."""
        if fault("no-catch-up"):
            return
        _, answer = call(self.peers[leader], "GET", "/log")
        with open(self.path + ".new", "w", newline="") as file:
            csv.writer(file).writerows(answer["rows"])
        self.file.close()
        os.replace(self.path + ".new", self.path)
        self.file = open(self.path, "a", newline="")
        self.log, self.numbers, self.next_number = [], {}, 1
        for row in answer["rows"]:
            self.remember(Row(*row))
        print(f"replica {self.id}: took {len(self.log)} orders from {leader}", flush=True)

    # As leader

    def lead(self, epoch):
        with self.lock:
            if epoch < self.epoch:
                return error(409, "an old epoch")
            print(f"replica {self.id}: leads in epoch {epoch}", flush=True)
            self.epoch, self.leader, self.in_sync = epoch, self.id, set()
            for peer in self.peers:
                self.greet(peer)
            return 200, {"in_sync": [self.id, *self.in_sync]}

    def buy(self, key, name, quantity):
        with self.lock:
            if self.leader != self.id:
                return error(503, "not the leader")
        status, answer = call(self.catalog, "POST", "/buy",
                              {"key": key, "name": name, "quantity": quantity}, timeout=4.0)
        if status != 200:
            return status, answer
        with self.lock:
            if self.leader != self.id:
                return error(503, "not the leader")
            if key not in self.numbers:
                row = Row(self.next_number, name, quantity, key, self.epoch)
                before = self.end()
                self.append(row)
                if fault("answers-before-replication"):
                    self.background.submit(self.replicate, row, before, time.monotonic() + 2.0)
                else:
                    self.replicate(row, before)
            if self.leader != self.id:
                return error(503, "not the leader")
            return 200, {"number": self.numbers[key], "in_sync": [self.id, *self.in_sync]}

    def replicate(self, row, before, not_before=0.0):
        time.sleep(max(0.0, not_before - time.monotonic()))
        for peer in list(self.in_sync):
            self.send(peer, {"row": row, "before": before})

    def greet(self, peer):
        """Tells a follower who leads; it catches up if its log ends otherwise."""
        self.send(peer, {"row": None, "before": self.end()})

    def send(self, peer, message):
        """Sends a message to a follower. Without a good answer the follower is out of sync."""
        try:
            status, answer = call(self.peers[peer], "POST", "/follow",
                                  {"epoch": self.epoch, "leader": self.id, **message}, timeout=2.0)
        except Unreachable:
            self.in_sync.discard(peer)
            return
        if status == 200:
            self.in_sync.add(peer)
        else:
            self.in_sync.discard(peer)
            self.give_way(answer.get("epoch", 0), None)

    def bring_back(self):
        """Brings followers back that are out of sync, for ever."""
        while True:
            time.sleep(LOOK)
            for peer, port in self.peers.items():
                if self.leader != self.id or peer in self.in_sync:
                    continue
                try:
                    call(port, "GET", "/health", timeout=1.0)  # without the lock: it may wait
                except Unreachable:
                    continue
                with self.lock:
                    if self.leader == self.id:
                        self.greet(peer)

    # As follower

    def follow(self, epoch, leader, row, before):
        with self.lock:
            self.give_way(epoch, leader)
            if epoch < self.epoch or self.leader == self.id:
                return 409, {"epoch": self.epoch}
            if row is not None and Row(*row).key in self.numbers:
                return 200, {}
            if before != self.end():
                self.catch_up(leader)
            if row is not None and Row(*row).key not in self.numbers:
                self.append(Row(*row))
            return 200, {}

    def give_way(self, epoch, leader):
        """Follows the leader of a newer epoch."""
        if fault("two-leaders") and self.leader == self.id:
            return
        if epoch > self.epoch:
            self.epoch, self.leader = epoch, leader

    def join(self):
        """At start: takes over the log of the replica that leads, if there is one."""
        for peer, port in self.peers.items():
            try:
                _, health = call(port, "GET", "/health", timeout=1.0)
                if health["leads"]:
                    self.catch_up(peer)
            except Unreachable:
                continue

    # For all

    def health(self):
        return 200, {"leads": self.leader == self.id, "epoch": self.epoch,
                     "in_sync": [self.id, *self.in_sync], "end": self.end()}

    def look_up(self, number):
        with self.lock:
            for row in reversed(self.log):
                if row.number == number:
                    return 200, {"number": row.number, "name": row.name, "quantity": row.quantity}
        return error(404, "order not found")

    def answer(self, method, path, body, _key):
        if method == "POST" and path == "/buy":
            return self.buy(body["key"], body["name"], body["quantity"])
        if method == "POST" and path == "/follow":
            return self.follow(body["epoch"], body["leader"], body["row"], body["before"])
        if method == "POST" and path == "/lead":
            return self.lead(body["epoch"])
        if path == "/health":
            return self.health()
        if path == "/log":  # without the lock: the leader holds it while a follower catches up
            return 200, {"rows": list(self.log)}
        if path.startswith("/orders/"):
            return self.look_up(int(path[len("/orders/"):]))
        return error(404, "no such path")


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--id", type=int, required=True)
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--catalog", type=int, default=8082, help="its port")
    options.add_argument("--peers", default="", help="the other replicas: 1=8091,2=8092")
    options = options.parse_args()

    peers = {int(id): int(port) for id, port in
             (peer.split("=") for peer in options.peers.split(","))}
    replica = Replica(options.id, f"order-{options.id}.csv", options.catalog, peers)
    replica.join()
    threading.Thread(target=replica.bring_back, daemon=True).start()
    serve(options.port, replica.answer)


main()
