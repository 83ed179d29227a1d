"""Real weights by name: which there are, where they come from, and the store they are kept in."""

from langfield.weights.store import Status, default_store, get, get_all, require, status, verify, where
from langfield.weights.table import TABLE, Weights, row

__all__ = [
    "TABLE",
    "Status",
    "Weights",
    "default_store",
    "get",
    "get_all",
    "require",
    "row",
    "status",
    "verify",
    "where",
]
