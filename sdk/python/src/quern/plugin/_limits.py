"""Options of gRPC connections."""

LIMITS = [
    ("grpc.max_receive_message_length", 256 << 20),
    ("grpc.max_send_message_length", 256 << 20),
    ("grpc.http2.lookahead_bytes", 16 << 20),
]
