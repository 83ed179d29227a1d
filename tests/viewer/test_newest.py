"""The queue of one: the newest of each page is done, nobody is starved, the end is an end."""

import threading

from langfield.viewer.newest import Newest


def test_the_newest_of_each_page_is_done():
    newest, gate, done = Newest(), threading.Event(), []
    newest.put(0, gate.wait)
    for i in range(100):
        newest.put(1, lambda i=i: done.append(("one", i)))
        newest.put(2, lambda i=i: done.append(("two", i)))
    gate.set()
    assert newest.wait(10)
    assert ("one", 99) in done
    assert ("two", 99) in done
    assert newest.done == len(done) + 1
    assert newest.done + newest.replaced == 201
    newest.stop()


def test_work_goes_on_after_the_end_of_nothing():
    newest = Newest()
    assert newest.wait(1)
    newest.put(None, lambda: None)
    assert newest.wait(10)
    newest.stop()
    newest.put(None, lambda: None)
    assert newest.done == 1
