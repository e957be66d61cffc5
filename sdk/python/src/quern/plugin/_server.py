"""The service that quern calls."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NoReturn

import grpc

from . import _deploy, _provider
from . import _protocol as pb
from ._errors import Error, Malformed, Stopped, diagnostic
from ._handles import Scope
from ._limits import LIMITS
from ._provider import Called, Models
from ._stream import Calls, Stream

if TYPE_CHECKING:
    from ._host import Host
    from ._offer import Offer
    from ._type import Type
    from ._workers import Pool

# The most calls at a time. Threads are started when they are needed.
THREADS = 1024

SERVICE = "quern.plugin.v1.PluginService"


def load() -> None:
    """Loads what calls need in addition. It takes as long as everything else, because of Arrow."""
    from . import _host, _map, _predict, _read, _run  # noqa: F401


class Server:
    """PluginService for a plugin. Failures of the work are diagnostics in the response; a status is for calls that violate the protocol."""

    def __init__(self, plugin: Offer, pool: Pool | None = None) -> None:
        self.plugin = plugin
        self._pool = pool
        self._schema: pb.GetSchemaResponse | None = None
        self._calls = Calls()
        self._models = Models()

    def handlers(self) -> grpc.GenericRpcHandler:
        """Returns the methods for a gRPC server."""
        unary, streaming = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
        both = grpc.stream_stream_rpc_method_handler
        methods: dict[str, tuple[Any, Callable[..., Any], Any]] = {
            "GetSchema": (unary, self.get_schema, pb.GetSchemaRequest),
            "Configure": (unary, self.configure, pb.ConfigureRequest),
            "Prepare": (unary, self.prepare, pb.PrepareRequest),
            "Fingerprint": (unary, self.fingerprint, pb.FingerprintRequest),
            "Read": (streaming, self.read, pb.ReadRequest),
            "Preview": (streaming, self.preview, pb.PreviewRequest),
            "Map": (both, self.map, None if self._pool else pb.MapRequest),
            "Run": (streaming, self.run, pb.RunRequest),
            "Stop": (unary, self.stop, pb.StopRequest),
            "CheckSample": (unary, self.check_sample, pb.CheckSampleRequest),
            "Predict": (both, self.predict, None if self._pool else pb.PredictRequest),
            "Chat": (both, self.chat, pb.ChatRequest),
            "Embed": (unary, self.embed, pb.EmbedRequest),
            "CheckModel": (unary, self.check_model, pb.CheckModelRequest),
            "SubmitBatch": (grpc.stream_unary_rpc_method_handler, self.submit_batch, pb.SubmitBatchRequest),
            "ReadBatch": (streaming, self.read_batch, pb.ReadBatchRequest),
            "ReadDeployment": (unary, self.read_deployment, pb.ReadDeploymentRequest),
            "PlanDeployment": (unary, self.plan_deployment, pb.PlanDeploymentRequest),
            "ApplyDeployment": (unary, self.apply_deployment, pb.ApplyDeploymentRequest),
            "DeleteDeployment": (unary, self.delete_deployment, pb.DeleteDeploymentRequest),
            "ImportDeployment": (unary, self.import_deployment, pb.ImportDeploymentRequest),
            "CallFunction": (unary, self.call_function, pb.CallFunctionRequest),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: kind(function, request_deserializer=request and request.FromString, response_serializer=_serialize)
                for name, (kind, function, request) in methods.items()
            },
        )

    def get_schema(self, request: pb.GetSchemaRequest, context: grpc.ServicerContext) -> pb.GetSchemaResponse:
        if self._schema is None:
            self._schema = self.plugin.schema()
        return self._schema

    def configure(self, request: pb.ConfigureRequest, context: grpc.ServicerContext) -> pb.ConfigureResponse:
        diagnostics = self.plugin.set_up(request)
        if self._pool is not None:
            self._pool.configure(request)
        return pb.ConfigureResponse(diagnostics=diagnostics)

    def prepare(self, request: pb.PrepareRequest, context: grpc.ServicerContext) -> pb.PrepareResponse:
        return pb.PrepareResponse(prepared=[self._find(i, context).prepare(i) for i in request.instances])

    def fingerprint(self, request: pb.FingerprintRequest, context: grpc.ServicerContext) -> pb.FingerprintResponse:
        from . import _read

        return _read.fingerprint(self._find(request.instance, context, pb.MODE_READ), request)

    def read(self, request: pb.ReadRequest, context: grpc.ServicerContext) -> Iterator[pb.ReadResponse]:
        from . import _read

        type, stream = self._find(request.instance, context, pb.MODE_READ), Stream[pb.ReadResponse]()
        _cancel_with(context, stream)
        with _failures(context, type) as failed:
            yield from _read.read(type, request, stream)
        if failed:
            yield pb.ReadResponse(diagnostic=failed[0])

    def preview(self, request: pb.PreviewRequest, context: grpc.ServicerContext) -> Iterator[pb.ReadResponse]:
        from . import _read

        type, stream = self._find(request.instance, context, pb.MODE_READ), Stream[pb.ReadResponse]()
        if not hasattr(type.cls, "preview"):
            _abort(context, grpc.StatusCode.UNIMPLEMENTED, "the source has no preview")
        _cancel_with(context, stream)
        with _failures(context, type) as failed:
            yield from _read.preview(type, request, stream)
        if failed:
            yield pb.ReadResponse(diagnostic=failed[0])

    def map(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[pb.MapResponse]:
        from . import _map

        first = _first(requests, context, pb.MapRequest)
        type = self._find(first.start, context, pb.MODE_MAP, pb.MODE_FLAT_MAP)
        if self._pool is not None:
            yield from self._pass_on("Map", first, requests, context, pb.MapResponse)
            return
        with _failures(context, type) as failed, _hosted(first, context) as host:
            scope = Scope(first.start, dict(first.inputs), host, running=True)
            yield from _map.serve_map(type, first, requests, scope)
        if failed:
            yield pb.MapResponse(diagnostics=[failed[0]])

    def run(self, request: pb.RunRequest, context: grpc.ServicerContext) -> Iterator[pb.RunResponse]:
        from . import _run

        type, stream = self._find(request.instance, context, pb.MODE_RUN), Stream[pb.RunResponse]()
        _cancel_with(context, stream)
        self._calls.begin(request.call, stream)
        try:
            with _failures(context, type) as failed, _hosted(request, context) as host:
                scope = Scope(request.instance, dict(request.inputs), host, running=True)
                yield from _run.serve_run(type, request, scope, stream)
            if failed:
                yield pb.RunResponse(diagnostic=failed[0])
        finally:
            self._calls.end(request.call)

    def check_sample(self, request: pb.CheckSampleRequest, context: grpc.ServicerContext) -> pb.CheckSampleResponse:
        from . import _sample

        type = self._find(request.instance, context, pb.MODE_RUN)
        if not hasattr(type.cls, "check_sample"):
            _abort(context, grpc.StatusCode.UNIMPLEMENTED, f"{type} checks no samples")
        try:
            return _sample.check(type, request)
        except Malformed as e:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))

    def stop(self, request: pb.StopRequest, context: grpc.ServicerContext) -> pb.StopResponse:
        self._calls.stop(request.call)
        return pb.StopResponse()

    def _pass_on(self, method: str, first: Any, requests: Iterator[bytes], context: grpc.ServicerContext, response: Any) -> Iterator[Any]:
        """Has the workers answer a call."""
        from ._workers import Ended

        assert self._pool is not None
        try:
            yield from self._pool.pass_on(method, first, requests, response, context)
        except Ended:
            return
        except grpc.RpcError as e:
            if not context.is_active():
                _abort(context, grpc.StatusCode.CANCELLED, "the call was canceled")
            _abort(context, e.code(), e.details())

    def predict(self, requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[pb.PredictResponse]:
        from . import _predict

        first = _first(requests, context, pb.PredictRequest)
        if self._pool is not None:
            yield from self._pass_on("Predict", first, requests, context, pb.PredictResponse)
            return
        try:
            type = _predict.find(self.plugin.types.values(), first.start.format)
            yield from _predict.serve_predict(type, first.start, requests)
        except Malformed as e:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))
        except Exception as e:
            if not context.is_active():
                _abort(context, grpc.StatusCode.CANCELLED, "the call was canceled")
            d = diagnostic(e, f"model format {first.start.format!r}")
            _abort(context, grpc.StatusCode.FAILED_PRECONDITION, f"{d.summary}\n{d.detail}".strip())

    def chat(self, requests: Iterator[pb.ChatRequest], context: grpc.ServicerContext) -> Iterator[pb.ChatResponse]:
        first = next(requests, pb.ChatRequest())
        block = first.start if first.HasField("start") else None
        trained = first.trained if first.HasField("trained") else None
        if block is None and trained is None:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the first request must contain start")
        if block is not None and self._find(block, context, pb.MODE_MODEL) and block.inputs:
            second = next(requests, pb.ChatRequest())
            if not second.HasField("trained"):
                _abort(
                    context, grpc.StatusCode.INVALID_ARGUMENT, "the second request must contain trained, because the block wraps a model"
                )
            trained = second.trained
        called = self._called(block, trained, context, "chat")
        try:
            yield from _provider.chat(self._models, called, requests)
        except Malformed as e:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))

    def embed(self, request: pb.EmbedRequest, context: grpc.ServicerContext) -> pb.EmbedResponse:
        block = request.model if request.HasField("model") else None
        trained = request.trained if request.HasField("trained") else None
        if block is None and trained is None:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the request must contain model or trained")
        return _provider.embed(self._models, self._called(block, trained, context, "embed"), request.texts)

    def check_model(self, request: pb.CheckModelRequest, context: grpc.ServicerContext) -> pb.CheckModelResponse:
        return _provider.check(self._models, self._find(request.model, context, pb.MODE_MODEL), request)

    def submit_batch(self, requests: Iterator[pb.SubmitBatchRequest], context: grpc.ServicerContext) -> pb.SubmitBatchResponse:
        first = next(requests, None) or pb.SubmitBatchRequest()
        called = self._called(first.model, None, context, "submit_batch")
        try:
            return _provider.submit_batch(self._models, called, first, requests)
        except Malformed as e:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))

    def read_batch(self, request: pb.ReadBatchRequest, context: grpc.ServicerContext) -> Iterator[pb.ReadBatchResponse]:
        yield from _provider.read_batch(self._models, self._called(request.model, None, context, "read_batch"), request.token)

    def _called(self, block: pb.Instance | None, trained: pb.Artifact | None, context: grpc.ServicerContext, method: str) -> Called:
        """Returns the language model that calls come for."""
        if block is None:
            assert trained is not None
            try:
                return Called(_provider.find(self.plugin.types.values(), trained.format), trained=trained)
            except Error as e:
                _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(e))
        type = self._find(block, context, pb.MODE_MODEL)
        if not hasattr(type.cls, method):
            _abort(context, grpc.StatusCode.UNIMPLEMENTED, f"{type} cannot {method}")
        return Called(type, block, trained)

    def read_deployment(self, request: pb.ReadDeploymentRequest, context: grpc.ServicerContext) -> pb.ReadDeploymentResponse:
        return _deploy.read(self._find(request.instance, context, pb.MODE_DEPLOY), request)

    def plan_deployment(self, request: pb.PlanDeploymentRequest, context: grpc.ServicerContext) -> pb.PlanDeploymentResponse:
        return _deploy.plan(self._find(request.instance, context, pb.MODE_DEPLOY), request)

    def apply_deployment(self, request: pb.ApplyDeploymentRequest, context: grpc.ServicerContext) -> pb.ApplyDeploymentResponse:
        return _deploy.apply(self._find(request.instance, context, pb.MODE_DEPLOY), request)

    def delete_deployment(self, request: pb.DeleteDeploymentRequest, context: grpc.ServicerContext) -> pb.DeleteDeploymentResponse:
        return _deploy.delete(self._find(request.instance, context, pb.MODE_DEPLOY), request)

    def import_deployment(self, request: pb.ImportDeploymentRequest, context: grpc.ServicerContext) -> pb.ImportDeploymentResponse:
        type = self._find(request.instance, context, pb.MODE_DEPLOY)
        if not hasattr(type.cls, "import_deployment"):
            _abort(context, grpc.StatusCode.UNIMPLEMENTED, f"{type} cannot import deployments")
        return _deploy.import_deployment(type, request)

    def call_function(self, request: pb.CallFunctionRequest, context: grpc.ServicerContext) -> pb.CallFunctionResponse:
        function = self.plugin.functions.get(request.name)
        if function is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f'the plugin has no function "{request.name}"')
        try:
            return function.call(request)
        except Malformed as e:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))

    def _find(self, instance: pb.Instance, context: grpc.ServicerContext, *modes: int) -> Type:
        """Returns the type of an instance, if it supports the call."""
        type = self.plugin.types.get((instance.kind, instance.type))
        if type is None:
            _abort(context, grpc.StatusCode.NOT_FOUND, f'the plugin has no {instance.kind} "{instance.type}"')
        if modes and type.mode not in modes:
            _abort(context, grpc.StatusCode.INVALID_ARGUMENT, f"{type} does not support this call")
        return type


def _cancel_with(context: grpc.ServicerContext, stream: Stream[Any]) -> None:
    """Cancels the work when the call ends, which may have happened already."""
    if not context.add_callback(stream.cancel):
        stream.cancel()


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _first(requests: Iterator[Any], context: grpc.ServicerContext, kind: Any) -> Any:
    first = next(requests, None)
    if isinstance(first, bytes):
        first = kind.FromString(first)
    if first is None or not first.HasField("start"):
        _abort(context, grpc.StatusCode.INVALID_ARGUMENT, "the first request must contain start")
    return first


def _abort(context: grpc.ServicerContext, code: grpc.StatusCode, details: str) -> NoReturn:
    context.abort(code, details)
    raise AssertionError("abort does not return")


@contextlib.contextmanager
def _failures(context: grpc.ServicerContext, type: Type) -> Iterator[list[pb.Diagnostic]]:
    """Collects a failure of the work. A call that was canceled ends with its status."""
    failed: list[pb.Diagnostic] = []
    try:
        yield failed
    except GeneratorExit:
        raise
    except Stopped as e:
        if not str(e) or not context.is_active():  # quern knows
            _abort(context, grpc.StatusCode.CANCELLED, "the call was stopped")
        failed.append(diagnostic(Error(str(e))))
    except Malformed as e:
        _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(e))
    except Exception as e:
        if not context.is_active():
            _abort(context, grpc.StatusCode.CANCELLED, "the call was canceled")
        failed.append(diagnostic(e, str(type)))


@contextlib.contextmanager
def _hosted(request: pb.MapRequest | pb.RunRequest, context: grpc.ServicerContext) -> Iterator[Host | None]:
    """Connects to the HostService that a request offers. What is asked there ends with the call."""
    if not request.host_socket:
        yield None
        return
    from ._host import Host

    openai = (request.openai_api.base_url, request.openai_api.api_key) if request.HasField("openai_api") else None
    host = Host(request.host_socket, request.open_chats, openai)
    if not context.add_callback(host.close):
        host.close()
    try:
        yield host
    finally:
        host.close()


def serve(server: Server, socket: str, shutdown: threading.Event) -> grpc.Server:
    """Starts a gRPC server on a Unix socket. ``shutdown`` is set when quern asks the process to end."""
    out = grpc.server(ThreadPoolExecutor(THREADS), options=LIMITS)

    def end(request: bytes, context: grpc.ServicerContext) -> bytes:
        shutdown.set()
        return b""

    controller = {"Shutdown": grpc.unary_unary_rpc_method_handler(end)}
    out.add_generic_rpc_handlers([server.handlers(), grpc.method_handlers_generic_handler("plugin.GRPCController", controller)])
    out.add_insecure_port(f"unix:{socket}")
    out.start()
    return out
