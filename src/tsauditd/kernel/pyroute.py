"""`Control` on pyroute2's synchronous NetlinkSocket, for the commands. Import it late: it is not light."""

import struct
from collections.abc import Generator

from pyroute2.netlink import nlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.marshal import Marshal
from pyroute2.netlink.nlsocket import AsyncNetlinkSocket, NetlinkSocket

from tsauditd.kernel.netlink import HEADER, Answer, open_socket, refusal, unpack
from tsauditd.kernel.numbers import NETLINK_AUDIT, NLM_F_ACK, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR


class RawMessage(nlmsg):
    """A message whose payload is bytes that are packed and read elsewhere."""

    def encode(self) -> None:
        """Writes header and payload to `data`, where pyroute2 takes them from."""
        header, payload = self["header"], self["payload"]
        length = HEADER.size + len(payload)
        packed = HEADER.pack(
            length, header["type"], header["flags"], header["sequence_number"], header["pid"]
        )
        self.data = bytearray(packed + payload)


def _new_message() -> RawMessage:
    return RawMessage()  # type: ignore[no-untyped-call]  # pyroute2 has no types


class RawMarshal(Marshal):
    """Keeps replies as they came.

    pyroute2 takes any number but 0 in an NLMSG_ERROR for a failure; the kernel answers a reset of the lost counter
    with the count.
    """

    def parse(
        self,
        data: bytes,
        seq: int | None = None,
        callback: object = None,  # noqa: ARG002 - pyroute2's signature
        skip_alien_seq: bool = False,
    ) -> Generator[RawMessage, None, None]:
        """The message of one datagram; the audit subsystem sends one in each."""
        answer = unpack(bytes(data))
        if answer is None or (skip_alien_seq and answer.sequence != seq):
            return
        message = _new_message()
        flags = struct.unpack_from("=H", data, 6)[0]
        message["header"] = {
            "type": answer.kind,
            "flags": flags,
            "sequence_number": answer.sequence,
            "pid": 0,
            "error": None,
        }
        message["answer"] = answer
        yield message


class AsyncAuditNetlink(AsyncNetlinkSocket):
    """The asynchronous half that pyroute2 builds every synchronous socket on."""

    marshal_class = RawMarshal


class AuditNetlink(NetlinkSocket):
    """A NetlinkSocket of the audit family. A context manager. Raises NoAudit when the kernel has none."""

    async_class = AsyncAuditNetlink

    def __init__(self) -> None:
        open_socket().close()  # pyroute2 does not say why it cannot open one
        super().__init__(family=NETLINK_AUDIT)  # type: ignore[no-untyped-call]
        self.bind()  # type: ignore[no-untyped-call]

    def ask(self, kind: int, payload: bytes = b"") -> list[bytes]:
        """See netlink.Control."""
        answers = self._request(kind, NLM_F_REQUEST, payload)
        return [answer.payload for answer in answers if answer.kind == kind]

    def tell(self, kind: int, payload: bytes = b"") -> int:
        """See netlink.Control."""
        answers = self._request(kind, NLM_F_REQUEST | NLM_F_ACK, payload)
        return max((answer.error for answer in answers if answer.kind == NLMSG_ERROR), default=0)

    def _request(self, kind: int, flags: int, payload: bytes) -> list[Answer]:
        message = _new_message()
        message["payload"] = payload
        try:
            found = self.nlm_request(message, kind, flags)  # type: ignore[no-untyped-call]
            answers: list[Answer] = [reply["answer"] for reply in found]
        except NetlinkError as error:
            raise refusal(error.code, kind) from None
        except OSError as error:
            raise refusal(error.errno or 0, kind) from None
        for answer in answers:
            if answer.kind == NLMSG_ERROR and answer.error < 0:
                raise refusal(-answer.error, kind)
        return [answer for answer in answers if answer.kind != NLMSG_DONE]
