"""A program in the place of a page that understands two panes and acknowledges every frame."""

import json
import time

import numpy as np
from test_play_server import SOON, Page

from worldloom.play import protocol
from worldloom.play.protocol import BESIDE, PAUSED, Header


class Guest(Page):
    """Nothing that the server said is lost while something else is waited for."""

    def _take(self, end):
        """Reads one message; a frame is acknowledged and returned."""
        data = self.socket.recv(max(0.0, end - time.monotonic()))
        if isinstance(data, str):
            self.texts.append(json.loads(data))
            return None
        header = Header.unpack(data)
        self.say("ack", frame=header.frame)
        panes = 2 if header.flags & BESIDE else 1
        shape = (self.ready["height"], panes * self.ready["width"], 3)
        return header, np.frombuffer(data[protocol.HEADER.size :], np.uint8).reshape(shape)

    def frame(self, timeout=SOON, ack=True):
        end = time.monotonic() + timeout
        while (found := self._take(end)) is None:
            pass
        return found

    def text(self, kind):
        """The oldest message of a kind that has not been asked for."""
        end = time.monotonic() + SOON
        while True:
            if hasattr(self, "ready"):
                found = next((t for t in self.texts if t["type"] == kind), None)
                if found is not None:
                    self.texts.remove(found)
                    return found
                self._take(end)
            else:
                return super().text(kind)

    def newest(self, kind):
        """The newest message of a kind so far."""
        return next((t for t in reversed(self.texts) if t["type"] == kind), None)

    def stands(self):
        """Pauses, and returns the frame."""
        self.say("pause", on=True)
        return self.when(lambda header: header.flags & PAUSED)

    def when(self, fact):
        """The next frame of which something is true."""
        while not fact((found := self.frame())[0]):
            pass
        return found

    def stepped(self):
        self.say("step")
        return self.frame()

    def two(self):
        """The next frame with two panes."""
        return self.when(lambda header: header.flags & BESIDE)
