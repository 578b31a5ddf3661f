"""A network camera for the container: multipart MJPEG over HTTP, told by a file what to do wrong.

`python camera_server.py CONTROL PORT`. The file's words: "good", "silent" (connected, no frame), "large" (another
size).
"""

import http.server
import sys
import time
from pathlib import Path

import cv2
import numpy as np

RATE = 10.0
CONTROL = Path(sys.argv[1])


def jpeg(height: int, width: int) -> bytes:
    grey = np.random.default_rng(0).integers(60, 140, (height, width), dtype=np.uint8)
    return cv2.imencode(".jpg", grey)[1].tobytes()


GOOD, LARGE = jpeg(64, 128), jpeg(96, 160)


class Stream(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        while True:
            told = CONTROL.read_text().strip()
            if told != "silent":
                data = LARGE if told == "large" else GOOD
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
            time.sleep(1 / RATE)

    def log_message(self, *args: object) -> None:
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Stream).serve_forever()
