"""Lets the kernel notice that the other end of a connection is gone: a PC without power closes nothing."""

import socket


def keep_alive(connection: socket.socket) -> None:
    """Have the kernel end a TCP connection whose other end is gone without a word, within six seconds."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 3), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, 3)):
        connection.setsockopt(socket.IPPROTO_TCP, option, value)
