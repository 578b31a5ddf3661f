"""A camera (V4L2, RTSP or HTTP): a thread reads it, and each lost frame is accounted for."""
