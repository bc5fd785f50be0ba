"""The question: a search-space YAML becomes a tree, and recipes are drawn from it."""

from sslsearch.space.answers import Question
from sslsearch.space.errors import SpaceError
from sslsearch.space.literature import literature
from sslsearch.space.nodes import Ask
from sslsearch.space.space import Goal, Space, load, parse

__all__ = ["Ask", "Goal", "Question", "Space", "SpaceError", "literature", "load", "parse"]
