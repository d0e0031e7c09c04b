"""A generation that is open: its layers and the live rows, until nobody asks them any more."""

from __future__ import annotations

import threading
from pathlib import Path

from acontext_fs.index.engine import Database
from acontext_fs.index.generations import Generation
from acontext_fs.index.search import TextFile


class Stack:
    """The database and full-text files of a generation.

    Who made it is its first user; with the last user gone it closes.
    """

    def __init__(self, generation: Generation, root: Path) -> None:
        """Open the files of an index of the store at `root`.

        Raises:
            StoreError: one of them cannot be read.
        """
        self.generation = generation
        self.database = Database([layer.database for layer in generation.layers], root)
        self.texts = [TextFile.open(layer.texts) for layer in generation.layers]
        self.live_texts = TextFile.create(None)
        self.moves = 0
        """Odd while rows and texts are being changed: rows are there first, their texts after."""
        self._users = 1
        self._lock = threading.Lock()

    def enter(self) -> bool:
        """Be a user, who has to `leave`; False if it is closed."""
        with self._lock:
            if self._users:
                self._users += 1
            return self._users > 0

    def leave(self) -> None:
        """Be no user any more."""
        with self._lock:
            self._users -= 1
            last = self._users == 0
        if last:
            self.database.close()
            for file in (*self.texts, self.live_texts):
                file.close()
