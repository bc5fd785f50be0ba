"""The text of nodes as numbers: how often each of the most frequent words is said.

Words are scikit-learn's: two letters or digits and more, in lower case.
Shapes: V = nodes, F = features, W = words.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from sslsearch.modalities.graph_raw import Net


def vocabulary(text_V: np.ndarray | None, most: int) -> list[str]:
    """The most frequent words in alphabetical order; none without a text."""
    if text_V is None:
        return []
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(max_features=most)
    try:
        counter.fit(_written(text_V))
    except ValueError as error:
        raise ValueError("the text column holds no word of two letters or more") from error
    return [str(word) for word in counter.get_feature_names_out()]


def in_numbers(net: Net, words: Sequence[str]) -> Net:
    """The graph with counts of words behind its features, and without text."""
    if not words:
        return replace(net, text_V=None)
    if net.text_V is None:
        raise ValueError("these nodes have no text: map its column with data.columns.text")
    from sklearn.feature_extraction.text import CountVectorizer

    counter = CountVectorizer(vocabulary=list(words), dtype=np.float32)
    count_VW = counter.transform(_written(net.text_V)).toarray()
    return replace(net, x_VF=np.concatenate([net.x_VF, count_VW], axis=1), text_V=None)


def _written(text_V: np.ndarray) -> list[str]:
    return ["" if text is None else str(text) for text in text_V]
