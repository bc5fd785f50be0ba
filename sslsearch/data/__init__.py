"""Sources, splits, and the node-wide sample store (Arrow in, tensors out, no copy)."""

from sslsearch.data.prepare import Prepared as Prepared
from sslsearch.data.prepare import prepare as prepare
