"""What the palette offers: the actions of the view that is seen, a line each, in the order the app gives them."""

from __future__ import annotations

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider


class UsedFirst(Provider):
    """Commands keep the app's order, which is by use; among those found a better match comes first."""

    async def discover(self) -> Hits:
        for name, keys, callback, _ in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(Text(_line(name, keys)), callback, text=name)

    async def search(self, query: str) -> Hits:
        matcher = self.matcher(query)
        for name, keys, callback, _ in self.app.get_system_commands(self.screen):
            if (match := matcher.match(name)) > 0:
                yield Hit(match, Text(_line(name, keys)), callback, text=name)


def _line(name: str, keys: str) -> str:
    return f"{name}   {keys}" if keys else name
