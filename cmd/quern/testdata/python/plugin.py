"""A plugin in Python, written from docs/protocol.md alone.

It serves PluginService and nothing of go-plugin but Shutdown, reads
configurations as JSON, and reaches quern's models through the socket that a
request names. Usage: plugin.py STUBS, the folder of the generated modules.
"""

import decimal
import hashlib
import io
import json
import os
import queue
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc
import pyarrow as pa

sys.path.insert(0, sys.argv[1])
from quern.plugin.v1 import plugin_pb2 as pb  # noqa: E402
from quern.plugin.v1 import plugin_pb2_grpc as rpc  # noqa: E402

COOKIE = "f2a1d5a4-5f0b-4c6e-9d1e-6f7c1f0a8b55"
LIMITS = [("grpc.max_receive_message_length", 256 << 20), ("grpc.max_send_message_length", 256 << 20)]


def config(instance):
    return json.loads(instance.config_json, parse_float=decimal.Decimal)


def error(summary, argument="", detail=""):
    return pb.Diagnostic(severity=pb.Diagnostic.SEVERITY_ERROR, summary=summary, detail=detail, argument=argument)


def encode(batch, options=None, copies=1):
    out = io.BytesIO()
    with pa.ipc.new_stream(out, batch.schema, options=options) as writer:
        for _ in range(copies):
            writer.write_batch(batch)
    return out.getvalue()


def decode(rows):
    return pa.ipc.open_stream(rows).read_all()


def argument(table, key):
    """The values of a row argument. Names of fields are not unique."""
    for i, field in enumerate(table.schema):
        if (field.metadata or {}).get(b"quern.argument") == key.encode():
            return table.column(i).to_pylist()
    raise KeyError(key)


class Plugin(rpc.PluginServiceServicer):
    def GetSchema(self, request, context):
        number, text = b'"number"', b'"string"'
        count = pb.Type(
            kind="source", name="py_count", doc="Counts.", mode=pb.MODE_READ, behavior_version=1,
            body=pb.Body(arguments=[
                pb.Argument(name="rows", type=number, required=True),
                pb.Argument(name="step", type=number, default_value=b"0.1"),
                pb.Argument(name="unit", type=text),
            ]))
        ask = pb.Type(
            kind="label", name="py_ask", doc="Asks a model.", mode=pb.MODE_MAP, behavior_version=1,
            body=pb.Body(
                arguments=[
                    pb.Argument(name="input", required=True, accepts=[pb.ARTIFACT_KIND_DATASET]),
                    pb.Argument(name="text", type=text, required=True, per_row=True),
                    pb.Argument(name="model", required=True, accepts=[pb.ARTIFACT_KIND_MODEL]),
                ],
                blocks=[pb.Block(name="rule", labels=["name"], body=pb.Body(arguments=[pb.Argument(name="say", type=text)]))]))
        config = pb.Body(arguments=[pb.Argument(name="greeting", type=text)])
        return pb.GetSchemaResponse(version="1.0.0", config=config, types=[count, ask], json_values=True)

    def Configure(self, request, context):
        self.greeting = json.loads(request.config_json)["greeting"]
        return pb.ConfigureResponse()

    def Prepare(self, request, context):
        prepare = {"py_count": self.prepare_count, "py_ask": self.prepare_ask}
        return pb.PrepareResponse(prepared=[prepare[i.type](i) for i in request.instances])

    # The source.

    def prepare_count(self, instance):
        out = pb.Prepared(outputs=[pb.Output(kind=pb.ARTIFACT_KIND_DATASET, columns=[
            pb.Column(name="n", type="int64"), pb.Column(name="text", type="string")])])
        rows = config(instance)["rows"]
        if "/rows" not in instance.unknown and rows < 0:
            out.diagnostics.append(error("rows must be at least 0", "rows", f"It is {rows}."))
        return out

    def Fingerprint(self, request, context):
        return pb.FingerprintResponse(fingerprint=hashlib.sha256(request.instance.config_json).hexdigest(), summary="numbers")

    def Read(self, request, context):
        args = config(request.instance)
        n = list(range(args["rows"]))
        texts = [None if i == 2 else f"{i * args['step']} {args['unit']}" for i in n]
        schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
        whole = pa.record_batch([n, texts], schema=schema)
        yield pb.ReadResponse(rows=encode(whole.slice(0, 0)))
        yield pb.ReadResponse(rows=encode(whole, pa.ipc.IpcWriteOptions(compression="zstd")))
        yield pb.ReadResponse(progress=pb.Progress(done=len(n), total=len(n), unit="rows"))

    # The labeler.

    def prepare_ask(self, instance):
        columns = [pb.Column(name=c.name, type=c.type, origin=pb.COLUMN_ORIGIN_INPUT, **{"from": c.name})
                   for c in instance.inputs["input"].columns]
        columns.append(pb.Column(name=instance.address.partition(".")[2], type="string"))
        return pb.Prepared(outputs=[pb.Output(kind=pb.ARTIFACT_KIND_DATASET, rows_of="input", columns=columns)])

    def Map(self, requests, context):
        first = next(requests)
        args = config(first.start)
        name = first.start.address.partition(".")[2]
        prefix = " ".join([self.greeting] + [f"{r['name']}={r['say']}" for r in args["rule"]])
        with grpc.insecure_channel("unix:" + first.host_socket, options=LIMITS) as channel:
            asking = queue.SimpleQueue()
            answers = rpc.HostServiceStub(channel).Chat(iter(asking.get, None))
            for request in requests:
                labels, errors = [], []
                for row, text in enumerate(argument(decode(request.rows), args["text"])):
                    labels.append(None)
                    if text is None:
                        errors.append(pb.RowError(row=row, message="there is no text"))
                        continue
                    chat = {"messages": [{"role": "user", "content": f"{prefix} {text}"}]}
                    asking.put(pb.HostServiceChatRequest(model=args["model"], request=json.dumps(chat).encode()))
                    answer = next(answers)
                    if answer.HasField("error"):
                        errors.append(pb.RowError(row=row, message=answer.error.message, temporary=answer.error.temporary))
                        continue
                    labels[row] = json.loads(answer.response)["text"]
                batch = pa.record_batch([pa.array(labels, pa.string())], names=[name])
                yield pb.MapResponse(rows=encode(batch), errors=errors)
            asking.put(None)


def end_with_quern():
    sys.stdin.buffer.read()
    os.killpg(0, signal.SIGKILL)


def main():
    if os.environ.get("QUERN_PLUGIN") != COOKIE:
        sys.exit("This is a plugin for quern. Name it in required_plugins, and run quern init.")
    threading.Thread(target=end_with_quern, daemon=True).start()
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32), options=LIMITS)
    rpc.add_PluginServiceServicer_to_server(Plugin(), server)
    shutdown = threading.Event()

    def end(request, context):
        shutdown.set()
        return b""

    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(
        "plugin.GRPCController", {"Shutdown": grpc.unary_unary_rpc_method_handler(end)})])
    socket = os.path.join(tempfile.mkdtemp(dir=os.environ.get("PLUGIN_UNIX_SOCKET_DIR")), "py.sock")
    server.add_insecure_port("unix:" + socket)
    server.start()
    print(f"1|1|unix|{socket}|grpc|", flush=True)
    shutdown.wait()
    server.stop(grace=1).wait()


main()
