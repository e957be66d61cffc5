# mypy: ignore-errors
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_READ: _ClassVar[Mode]
    MODE_MAP: _ClassVar[Mode]
    MODE_RUN: _ClassVar[Mode]
    MODE_DEPLOY: _ClassVar[Mode]
    MODE_MODEL: _ClassVar[Mode]
    MODE_FLAT_MAP: _ClassVar[Mode]

class ArtifactKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ARTIFACT_KIND_UNSPECIFIED: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_DATASET: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_MODEL: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_REPORT: _ClassVar[ArtifactKind]
    ARTIFACT_KIND_PROMPT: _ClassVar[ArtifactKind]

class Collection(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLLECTION_UNSPECIFIED: _ClassVar[Collection]
    COLLECTION_LIST: _ClassVar[Collection]
    COLLECTION_MAP: _ClassVar[Collection]

class ColumnOrigin(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COLUMN_ORIGIN_UNSPECIFIED: _ClassVar[ColumnOrigin]
    COLUMN_ORIGIN_INPUT: _ClassVar[ColumnOrigin]
    COLUMN_ORIGIN_ARGUMENT: _ClassVar[ColumnOrigin]

class DeploymentAction(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DEPLOYMENT_ACTION_UNSPECIFIED: _ClassVar[DeploymentAction]
    DEPLOYMENT_ACTION_NONE: _ClassVar[DeploymentAction]
    DEPLOYMENT_ACTION_CREATE: _ClassVar[DeploymentAction]
    DEPLOYMENT_ACTION_UPDATE: _ClassVar[DeploymentAction]
    DEPLOYMENT_ACTION_REPLACE: _ClassVar[DeploymentAction]
MODE_UNSPECIFIED: Mode
MODE_READ: Mode
MODE_MAP: Mode
MODE_RUN: Mode
MODE_DEPLOY: Mode
MODE_MODEL: Mode
MODE_FLAT_MAP: Mode
ARTIFACT_KIND_UNSPECIFIED: ArtifactKind
ARTIFACT_KIND_DATASET: ArtifactKind
ARTIFACT_KIND_MODEL: ArtifactKind
ARTIFACT_KIND_REPORT: ArtifactKind
ARTIFACT_KIND_PROMPT: ArtifactKind
COLLECTION_UNSPECIFIED: Collection
COLLECTION_LIST: Collection
COLLECTION_MAP: Collection
COLUMN_ORIGIN_UNSPECIFIED: ColumnOrigin
COLUMN_ORIGIN_INPUT: ColumnOrigin
COLUMN_ORIGIN_ARGUMENT: ColumnOrigin
DEPLOYMENT_ACTION_UNSPECIFIED: DeploymentAction
DEPLOYMENT_ACTION_NONE: DeploymentAction
DEPLOYMENT_ACTION_CREATE: DeploymentAction
DEPLOYMENT_ACTION_UPDATE: DeploymentAction
DEPLOYMENT_ACTION_REPLACE: DeploymentAction

class GetSchemaRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetSchemaResponse(_message.Message):
    __slots__ = ("version", "config", "types", "json_values", "functions")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    TYPES_FIELD_NUMBER: _ClassVar[int]
    JSON_VALUES_FIELD_NUMBER: _ClassVar[int]
    FUNCTIONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    config: Body
    types: _containers.RepeatedCompositeFieldContainer[Type]
    json_values: bool
    functions: _containers.RepeatedCompositeFieldContainer[Function]
    def __init__(self, version: _Optional[str] = ..., config: _Optional[_Union[Body, _Mapping]] = ..., types: _Optional[_Iterable[_Union[Type, _Mapping]]] = ..., json_values: _Optional[bool] = ..., functions: _Optional[_Iterable[_Union[Function, _Mapping]]] = ...) -> None: ...

class Function(_message.Message):
    __slots__ = ("name", "summary", "doc", "parameters", "variadic", "result", "deprecated", "behavior_version")
    NAME_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    VARIADIC_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    DEPRECATED_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    name: str
    summary: str
    doc: str
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    variadic: Parameter
    result: str
    deprecated: str
    behavior_version: int
    def __init__(self, name: _Optional[str] = ..., summary: _Optional[str] = ..., doc: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., variadic: _Optional[_Union[Parameter, _Mapping]] = ..., result: _Optional[str] = ..., deprecated: _Optional[str] = ..., behavior_version: _Optional[int] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "doc", "type", "nullable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NULLABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    doc: str
    type: str
    nullable: bool
    def __init__(self, name: _Optional[str] = ..., doc: _Optional[str] = ..., type: _Optional[str] = ..., nullable: _Optional[bool] = ...) -> None: ...

class Type(_message.Message):
    __slots__ = ("kind", "name", "doc", "mode", "behavior_version", "body", "state_version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    BEHAVIOR_VERSION_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    STATE_VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    doc: str
    mode: Mode
    behavior_version: int
    body: Body
    state_version: int
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., doc: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., behavior_version: _Optional[int] = ..., body: _Optional[_Union[Body, _Mapping]] = ..., state_version: _Optional[int] = ...) -> None: ...

class Body(_message.Message):
    __slots__ = ("arguments", "blocks")
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    BLOCKS_FIELD_NUMBER: _ClassVar[int]
    arguments: _containers.RepeatedCompositeFieldContainer[Argument]
    blocks: _containers.RepeatedCompositeFieldContainer[Block]
    def __init__(self, arguments: _Optional[_Iterable[_Union[Argument, _Mapping]]] = ..., blocks: _Optional[_Iterable[_Union[Block, _Mapping]]] = ...) -> None: ...

class Argument(_message.Message):
    __slots__ = ("name", "type", "doc", "required", "default_value", "sensitive", "per_row", "rows_of", "accepts", "collection", "operational", "one_of", "feature", "late", "constant", "recorded")
    class LateEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: bytes
        def __init__(self, key: _Optional[str] = ..., value: _Optional[bytes] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    REQUIRED_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    SENSITIVE_FIELD_NUMBER: _ClassVar[int]
    PER_ROW_FIELD_NUMBER: _ClassVar[int]
    ROWS_OF_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_FIELD_NUMBER: _ClassVar[int]
    COLLECTION_FIELD_NUMBER: _ClassVar[int]
    OPERATIONAL_FIELD_NUMBER: _ClassVar[int]
    ONE_OF_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    LATE_FIELD_NUMBER: _ClassVar[int]
    CONSTANT_FIELD_NUMBER: _ClassVar[int]
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: bytes
    doc: str
    required: bool
    default_value: bytes
    sensitive: bool
    per_row: bool
    rows_of: str
    accepts: _containers.RepeatedScalarFieldContainer[ArtifactKind]
    collection: Collection
    operational: bool
    one_of: _containers.RepeatedScalarFieldContainer[str]
    feature: bool
    late: _containers.ScalarMap[str, bytes]
    constant: bool
    recorded: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[bytes] = ..., doc: _Optional[str] = ..., required: _Optional[bool] = ..., default_value: _Optional[bytes] = ..., sensitive: _Optional[bool] = ..., per_row: _Optional[bool] = ..., rows_of: _Optional[str] = ..., accepts: _Optional[_Iterable[_Union[ArtifactKind, str]]] = ..., collection: _Optional[_Union[Collection, str]] = ..., operational: _Optional[bool] = ..., one_of: _Optional[_Iterable[str]] = ..., feature: _Optional[bool] = ..., late: _Optional[_Mapping[str, bytes]] = ..., constant: _Optional[bool] = ..., recorded: _Optional[bool] = ...) -> None: ...

class Block(_message.Message):
    __slots__ = ("name", "doc", "labels", "body", "min_items", "max_items")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    MIN_ITEMS_FIELD_NUMBER: _ClassVar[int]
    MAX_ITEMS_FIELD_NUMBER: _ClassVar[int]
    name: str
    doc: str
    labels: _containers.RepeatedScalarFieldContainer[str]
    body: Body
    min_items: int
    max_items: int
    def __init__(self, name: _Optional[str] = ..., doc: _Optional[str] = ..., labels: _Optional[_Iterable[str]] = ..., body: _Optional[_Union[Body, _Mapping]] = ..., min_items: _Optional[int] = ..., max_items: _Optional[int] = ...) -> None: ...

class Column(_message.Message):
    __slots__ = ("name", "type", "origin", "replaces", "lineage", "counted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    REPLACES_FIELD_NUMBER: _ClassVar[int]
    LINEAGE_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    type: str
    origin: ColumnOrigin
    replaces: bool
    lineage: Lineage
    counted: bool
    def __init__(self, name: _Optional[str] = ..., type: _Optional[str] = ..., origin: _Optional[_Union[ColumnOrigin, str]] = ..., replaces: _Optional[bool] = ..., lineage: _Optional[_Union[Lineage, _Mapping]] = ..., counted: _Optional[bool] = ..., **kwargs) -> None: ...

class Lineage(_message.Message):
    __slots__ = ("sources",)
    SOURCES_FIELD_NUMBER: _ClassVar[int]
    sources: _containers.RepeatedCompositeFieldContainer[LineageSource]
    def __init__(self, sources: _Optional[_Iterable[_Union[LineageSource, _Mapping]]] = ...) -> None: ...

class LineageSource(_message.Message):
    __slots__ = ("input", "column", "argument", "unchanged")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    input: str
    column: str
    argument: str
    unchanged: bool
    def __init__(self, input: _Optional[str] = ..., column: _Optional[str] = ..., argument: _Optional[str] = ..., unchanged: _Optional[bool] = ...) -> None: ...

class Input(_message.Message):
    __slots__ = ("kind", "columns", "rows", "format", "signature", "capabilities", "model")
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    kind: ArtifactKind
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    rows: int
    format: str
    signature: Signature
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    model: Instance
    def __init__(self, kind: _Optional[_Union[ArtifactKind, str]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., rows: _Optional[int] = ..., format: _Optional[str] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., capabilities: _Optional[_Iterable[str]] = ..., model: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class Signature(_message.Message):
    __slots__ = ("inputs", "outputs")
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    inputs: _containers.RepeatedCompositeFieldContainer[Column]
    outputs: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, inputs: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class RowArgument(_message.Message):
    __slots__ = ("type", "rows_of", "column")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ROWS_OF_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    type: str
    rows_of: str
    column: str
    def __init__(self, type: _Optional[str] = ..., rows_of: _Optional[str] = ..., column: _Optional[str] = ...) -> None: ...

class Instance(_message.Message):
    __slots__ = ("kind", "type", "address", "config", "inputs", "row_arguments", "config_json", "unknown", "pins")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Input
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Input, _Mapping]] = ...) -> None: ...
    class RowArgumentsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: RowArgument
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[RowArgument, _Mapping]] = ...) -> None: ...
    class PinsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    KIND_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    ROW_ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    type: str
    address: str
    config: bytes
    inputs: _containers.MessageMap[str, Input]
    row_arguments: _containers.MessageMap[str, RowArgument]
    config_json: bytes
    unknown: _containers.RepeatedScalarFieldContainer[str]
    pins: _containers.ScalarMap[str, str]
    def __init__(self, kind: _Optional[str] = ..., type: _Optional[str] = ..., address: _Optional[str] = ..., config: _Optional[bytes] = ..., inputs: _Optional[_Mapping[str, Input]] = ..., row_arguments: _Optional[_Mapping[str, RowArgument]] = ..., config_json: _Optional[bytes] = ..., unknown: _Optional[_Iterable[str]] = ..., pins: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Diagnostic(_message.Message):
    __slots__ = ("severity", "summary", "detail", "argument")
    class Severity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        SEVERITY_UNSPECIFIED: _ClassVar[Diagnostic.Severity]
        SEVERITY_ERROR: _ClassVar[Diagnostic.Severity]
        SEVERITY_WARNING: _ClassVar[Diagnostic.Severity]
    SEVERITY_UNSPECIFIED: Diagnostic.Severity
    SEVERITY_ERROR: Diagnostic.Severity
    SEVERITY_WARNING: Diagnostic.Severity
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    severity: Diagnostic.Severity
    summary: str
    detail: str
    argument: str
    def __init__(self, severity: _Optional[_Union[Diagnostic.Severity, str]] = ..., summary: _Optional[str] = ..., detail: _Optional[str] = ..., argument: _Optional[str] = ...) -> None: ...

class ConfigureRequest(_message.Message):
    __slots__ = ("config", "root", "config_json")
    CONFIG_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    CONFIG_JSON_FIELD_NUMBER: _ClassVar[int]
    config: bytes
    root: str
    config_json: bytes
    def __init__(self, config: _Optional[bytes] = ..., root: _Optional[str] = ..., config_json: _Optional[bytes] = ...) -> None: ...

class ConfigureResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ...) -> None: ...

class PrepareRequest(_message.Message):
    __slots__ = ("instances",)
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    instances: _containers.RepeatedCompositeFieldContainer[Instance]
    def __init__(self, instances: _Optional[_Iterable[_Union[Instance, _Mapping]]] = ...) -> None: ...

class PrepareResponse(_message.Message):
    __slots__ = ("prepared",)
    PREPARED_FIELD_NUMBER: _ClassVar[int]
    prepared: _containers.RepeatedCompositeFieldContainer[Prepared]
    def __init__(self, prepared: _Optional[_Iterable[_Union[Prepared, _Mapping]]] = ...) -> None: ...

class Prepared(_message.Message):
    __slots__ = ("diagnostics", "outputs", "value_type", "reads", "estimate", "model", "batch_rows", "open_requests", "calls", "stop_seconds", "openai_api", "files", "pins", "checks_sample", "notes", "payment", "verifies_datasets")
    class ReadsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Reads
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Reads, _Mapping]] = ...) -> None: ...
    class PinsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    OUTPUTS_FIELD_NUMBER: _ClassVar[int]
    VALUE_TYPE_FIELD_NUMBER: _ClassVar[int]
    READS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BATCH_ROWS_FIELD_NUMBER: _ClassVar[int]
    OPEN_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    STOP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    OPENAI_API_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    PINS_FIELD_NUMBER: _ClassVar[int]
    CHECKS_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    NOTES_FIELD_NUMBER: _ClassVar[int]
    PAYMENT_FIELD_NUMBER: _ClassVar[int]
    VERIFIES_DATASETS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    outputs: _containers.RepeatedCompositeFieldContainer[Output]
    value_type: bytes
    reads: _containers.MessageMap[str, Reads]
    estimate: Estimate
    model: ModelInfo
    batch_rows: int
    open_requests: int
    calls: _containers.RepeatedCompositeFieldContainer[ModelCalls]
    stop_seconds: float
    openai_api: bool
    files: _containers.RepeatedCompositeFieldContainer[SourceFile]
    pins: _containers.ScalarMap[str, str]
    checks_sample: bool
    notes: _containers.RepeatedScalarFieldContainer[str]
    payment: Payment
    verifies_datasets: bool
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., outputs: _Optional[_Iterable[_Union[Output, _Mapping]]] = ..., value_type: _Optional[bytes] = ..., reads: _Optional[_Mapping[str, Reads]] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ..., model: _Optional[_Union[ModelInfo, _Mapping]] = ..., batch_rows: _Optional[int] = ..., open_requests: _Optional[int] = ..., calls: _Optional[_Iterable[_Union[ModelCalls, _Mapping]]] = ..., stop_seconds: _Optional[float] = ..., openai_api: _Optional[bool] = ..., files: _Optional[_Iterable[_Union[SourceFile, _Mapping]]] = ..., pins: _Optional[_Mapping[str, str]] = ..., checks_sample: _Optional[bool] = ..., notes: _Optional[_Iterable[str]] = ..., payment: _Optional[_Union[Payment, _Mapping]] = ..., verifies_datasets: _Optional[bool] = ...) -> None: ...

class Payment(_message.Message):
    __slots__ = ("unpriced",)
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    unpriced: str
    def __init__(self, unpriced: _Optional[str] = ...) -> None: ...

class SourceFile(_message.Message):
    __slots__ = ("name", "path", "digest")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    digest: str
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., digest: _Optional[str] = ...) -> None: ...

class OpenAIAPI(_message.Message):
    __slots__ = ("base_url", "api_key")
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    base_url: str
    api_key: str
    def __init__(self, base_url: _Optional[str] = ..., api_key: _Optional[str] = ...) -> None: ...

class ModelCalls(_message.Message):
    __slots__ = ("prompt", "model", "per_row", "added", "output_tokens", "longest_answer", "reads_answers", "texts", "draws", "most")
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PER_ROW_FIELD_NUMBER: _ClassVar[int]
    ADDED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    LONGEST_ANSWER_FIELD_NUMBER: _ClassVar[int]
    READS_ANSWERS_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    DRAWS_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    prompt: str
    model: str
    per_row: float
    added: str
    output_tokens: int
    longest_answer: str
    reads_answers: bool
    texts: _containers.RepeatedScalarFieldContainer[str]
    draws: int
    most: int
    def __init__(self, prompt: _Optional[str] = ..., model: _Optional[str] = ..., per_row: _Optional[float] = ..., added: _Optional[str] = ..., output_tokens: _Optional[int] = ..., longest_answer: _Optional[str] = ..., reads_answers: _Optional[bool] = ..., texts: _Optional[_Iterable[str]] = ..., draws: _Optional[int] = ..., most: _Optional[int] = ...) -> None: ...

class ModelInfo(_message.Message):
    __slots__ = ("capabilities", "tokenizer", "price", "max_concurrency", "requests_per_minute", "tokens_per_minute", "timeout_seconds", "retries", "cache", "max_tokens", "host", "batch")
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    TOKENIZER_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENCY_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    MAX_TOKENS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    BATCH_FIELD_NUMBER: _ClassVar[int]
    capabilities: _containers.RepeatedScalarFieldContainer[str]
    tokenizer: str
    price: Price
    max_concurrency: int
    requests_per_minute: float
    tokens_per_minute: float
    timeout_seconds: float
    retries: int
    cache: bool
    max_tokens: int
    host: str
    batch: BatchLimits
    def __init__(self, capabilities: _Optional[_Iterable[str]] = ..., tokenizer: _Optional[str] = ..., price: _Optional[_Union[Price, _Mapping]] = ..., max_concurrency: _Optional[int] = ..., requests_per_minute: _Optional[float] = ..., tokens_per_minute: _Optional[float] = ..., timeout_seconds: _Optional[float] = ..., retries: _Optional[int] = ..., cache: _Optional[bool] = ..., max_tokens: _Optional[int] = ..., host: _Optional[str] = ..., batch: _Optional[_Union[BatchLimits, _Mapping]] = ...) -> None: ...

class BatchLimits(_message.Message):
    __slots__ = ("requests", "bytes")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    requests: int
    bytes: int
    def __init__(self, requests: _Optional[int] = ..., bytes: _Optional[int] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("input", "output", "cached_input", "source")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    input: float
    output: float
    cached_input: float
    source: str
    def __init__(self, input: _Optional[float] = ..., output: _Optional[float] = ..., cached_input: _Optional[float] = ..., source: _Optional[str] = ...) -> None: ...

class Reads(_message.Message):
    __slots__ = ("all", "columns")
    ALL_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    all: bool
    columns: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, all: _Optional[bool] = ..., columns: _Optional[_Iterable[str]] = ...) -> None: ...

class Output(_message.Message):
    __slots__ = ("name", "kind", "columns", "rows_of", "format", "signature", "selections", "model", "rows_lineage")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_OF_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    SELECTIONS_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ROWS_LINEAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: ArtifactKind
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    rows_of: str
    format: str
    signature: Signature
    selections: _containers.RepeatedCompositeFieldContainer[Selection]
    model: ModelInfo
    rows_lineage: Lineage
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[_Union[ArtifactKind, str]] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., rows_of: _Optional[str] = ..., format: _Optional[str] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., selections: _Optional[_Iterable[_Union[Selection, _Mapping]]] = ..., model: _Optional[_Union[ModelInfo, _Mapping]] = ..., rows_lineage: _Optional[_Union[Lineage, _Mapping]] = ...) -> None: ...

class Selection(_message.Message):
    __slots__ = ("rows_of", "where", "share", "most", "most_of", "exactly", "weight", "size")
    ROWS_OF_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    MOST_FIELD_NUMBER: _ClassVar[int]
    MOST_OF_FIELD_NUMBER: _ClassVar[int]
    EXACTLY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    rows_of: str
    where: str
    share: float
    most: int
    most_of: str
    exactly: float
    weight: float
    size: str
    def __init__(self, rows_of: _Optional[str] = ..., where: _Optional[str] = ..., share: _Optional[float] = ..., most: _Optional[int] = ..., most_of: _Optional[str] = ..., exactly: _Optional[float] = ..., weight: _Optional[float] = ..., size: _Optional[str] = ...) -> None: ...

class Estimate(_message.Message):
    __slots__ = ("rows", "seconds", "input_tokens", "output_tokens", "money")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MONEY_FIELD_NUMBER: _ClassVar[int]
    rows: int
    seconds: float
    input_tokens: int
    output_tokens: int
    money: float
    def __init__(self, rows: _Optional[int] = ..., seconds: _Optional[float] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., money: _Optional[float] = ...) -> None: ...

class FingerprintRequest(_message.Message):
    __slots__ = ("instance", "memo")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    memo: bytes
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., memo: _Optional[bytes] = ...) -> None: ...

class FingerprintResponse(_message.Message):
    __slots__ = ("diagnostics", "fingerprint", "memo", "summary")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    SUMMARY_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    fingerprint: str
    memo: bytes
    summary: str
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., fingerprint: _Optional[str] = ..., memo: _Optional[bytes] = ..., summary: _Optional[str] = ...) -> None: ...

class ReadRequest(_message.Message):
    __slots__ = ("instance", "memo", "known_parts")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    MEMO_FIELD_NUMBER: _ClassVar[int]
    KNOWN_PARTS_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    memo: bytes
    known_parts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., memo: _Optional[bytes] = ..., known_parts: _Optional[_Iterable[str]] = ...) -> None: ...

class PreviewRequest(_message.Message):
    __slots__ = ("instance", "bytes")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    bytes: int
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., bytes: _Optional[int] = ...) -> None: ...

class RowCount(_message.Message):
    __slots__ = ("rows", "exact", "size")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    EXACT_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    rows: int
    exact: bool
    size: int
    def __init__(self, rows: _Optional[int] = ..., exact: _Optional[bool] = ..., size: _Optional[int] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ("call",)
    CALL_FIELD_NUMBER: _ClassVar[int]
    call: str
    def __init__(self, call: _Optional[str] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReadResponse(_message.Message):
    __slots__ = ("rows", "quarantined", "progress", "diagnostic", "part", "count")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    PART_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    quarantined: Quarantined
    progress: Progress
    diagnostic: Diagnostic
    part: Part
    count: RowCount
    def __init__(self, rows: _Optional[bytes] = ..., quarantined: _Optional[_Union[Quarantined, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., diagnostic: _Optional[_Union[Diagnostic, _Mapping]] = ..., part: _Optional[_Union[Part, _Mapping]] = ..., count: _Optional[_Union[RowCount, _Mapping]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("fingerprint", "rows", "known", "quarantined", "name")
    FINGERPRINT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    KNOWN_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    fingerprint: str
    rows: int
    known: bool
    quarantined: int
    name: str
    def __init__(self, fingerprint: _Optional[str] = ..., rows: _Optional[int] = ..., known: _Optional[bool] = ..., quarantined: _Optional[int] = ..., name: _Optional[str] = ...) -> None: ...

class Quarantined(_message.Message):
    __slots__ = ("origin", "content", "error")
    ORIGIN_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    origin: str
    content: str
    error: str
    def __init__(self, origin: _Optional[str] = ..., content: _Optional[str] = ..., error: _Optional[str] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("done", "total", "unit", "message")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    UNIT_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    done: int
    total: int
    unit: str
    message: str
    def __init__(self, done: _Optional[int] = ..., total: _Optional[int] = ..., unit: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class MapRequest(_message.Message):
    __slots__ = ("start", "rows", "host", "inputs", "open_chats", "host_socket", "tokens", "openai_api")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Artifact
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...
    START_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_CHATS_FIELD_NUMBER: _ClassVar[int]
    HOST_SOCKET_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    OPENAI_API_FIELD_NUMBER: _ClassVar[int]
    start: Instance
    rows: bytes
    host: int
    inputs: _containers.MessageMap[str, Artifact]
    open_chats: int
    host_socket: str
    tokens: _containers.RepeatedCompositeFieldContainer[RowToken]
    openai_api: OpenAIAPI
    def __init__(self, start: _Optional[_Union[Instance, _Mapping]] = ..., rows: _Optional[bytes] = ..., host: _Optional[int] = ..., inputs: _Optional[_Mapping[str, Artifact]] = ..., open_chats: _Optional[int] = ..., host_socket: _Optional[str] = ..., tokens: _Optional[_Iterable[_Union[RowToken, _Mapping]]] = ..., openai_api: _Optional[_Union[OpenAIAPI, _Mapping]] = ...) -> None: ...

class RowToken(_message.Message):
    __slots__ = ("row", "token")
    ROW_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    row: int
    token: bytes
    def __init__(self, row: _Optional[int] = ..., token: _Optional[bytes] = ...) -> None: ...

class MapResponse(_message.Message):
    __slots__ = ("rows", "errors", "diagnostics", "finished", "failed", "failure", "counts", "more")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    FINISHED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    COUNTS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    errors: _containers.RepeatedCompositeFieldContainer[RowError]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    finished: int
    failed: int
    failure: str
    counts: _containers.RepeatedScalarFieldContainer[int]
    more: bool
    def __init__(self, rows: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ..., diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., finished: _Optional[int] = ..., failed: _Optional[int] = ..., failure: _Optional[str] = ..., counts: _Optional[_Iterable[int]] = ..., more: _Optional[bool] = ...) -> None: ...

class RowError(_message.Message):
    __slots__ = ("row", "message", "temporary", "pending")
    ROW_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    row: int
    message: str
    temporary: bool
    pending: PendingRow
    def __init__(self, row: _Optional[int] = ..., message: _Optional[str] = ..., temporary: _Optional[bool] = ..., pending: _Optional[_Union[PendingRow, _Mapping]] = ...) -> None: ...

class PendingRow(_message.Message):
    __slots__ = ("token", "check_after_seconds")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    CHECK_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    check_after_seconds: float
    def __init__(self, token: _Optional[bytes] = ..., check_after_seconds: _Optional[float] = ...) -> None: ...

class Artifact(_message.Message):
    __slots__ = ("kind", "digest", "columns", "rows", "shards", "format", "files", "signature", "arguments")
    KIND_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SHARDS_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FILES_FIELD_NUMBER: _ClassVar[int]
    SIGNATURE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    kind: ArtifactKind
    digest: str
    columns: _containers.RepeatedCompositeFieldContainer[Column]
    rows: int
    shards: _containers.RepeatedCompositeFieldContainer[Shard]
    format: str
    files: _containers.RepeatedCompositeFieldContainer[File]
    signature: Signature
    arguments: _containers.RepeatedCompositeFieldContainer[Column]
    def __init__(self, kind: _Optional[_Union[ArtifactKind, str]] = ..., digest: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[Column, _Mapping]]] = ..., rows: _Optional[int] = ..., shards: _Optional[_Iterable[_Union[Shard, _Mapping]]] = ..., format: _Optional[str] = ..., files: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., signature: _Optional[_Union[Signature, _Mapping]] = ..., arguments: _Optional[_Iterable[_Union[Column, _Mapping]]] = ...) -> None: ...

class Shard(_message.Message):
    __slots__ = ("rows", "groups")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    GROUPS_FIELD_NUMBER: _ClassVar[int]
    rows: int
    groups: _containers.RepeatedCompositeFieldContainer[ColumnGroup]
    def __init__(self, rows: _Optional[int] = ..., groups: _Optional[_Iterable[_Union[ColumnGroup, _Mapping]]] = ...) -> None: ...

class ColumnGroup(_message.Message):
    __slots__ = ("path", "columns", "digest")
    PATH_FIELD_NUMBER: _ClassVar[int]
    COLUMNS_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    path: str
    columns: _containers.RepeatedCompositeFieldContainer[StoredColumn]
    digest: str
    def __init__(self, path: _Optional[str] = ..., columns: _Optional[_Iterable[_Union[StoredColumn, _Mapping]]] = ..., digest: _Optional[str] = ...) -> None: ...

class StoredColumn(_message.Message):
    __slots__ = ("stored", "name", "argument", "digest")
    STORED_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    stored: str
    name: str
    argument: bool
    digest: str
    def __init__(self, stored: _Optional[str] = ..., name: _Optional[str] = ..., argument: _Optional[bool] = ..., digest: _Optional[str] = ...) -> None: ...

class File(_message.Message):
    __slots__ = ("name", "path", "digest", "size")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    digest: str
    size: int
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., digest: _Optional[str] = ..., size: _Optional[int] = ...) -> None: ...

class RunRequest(_message.Message):
    __slots__ = ("instance", "inputs", "work_dir", "host", "open_chats", "call", "host_socket", "openai_api", "kept", "money_left")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Artifact
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WORK_DIR_FIELD_NUMBER: _ClassVar[int]
    HOST_FIELD_NUMBER: _ClassVar[int]
    OPEN_CHATS_FIELD_NUMBER: _ClassVar[int]
    CALL_FIELD_NUMBER: _ClassVar[int]
    HOST_SOCKET_FIELD_NUMBER: _ClassVar[int]
    OPENAI_API_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    MONEY_LEFT_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    inputs: _containers.MessageMap[str, Artifact]
    work_dir: str
    host: int
    open_chats: int
    call: str
    host_socket: str
    openai_api: OpenAIAPI
    kept: _containers.RepeatedCompositeFieldContainer[File]
    money_left: float
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., inputs: _Optional[_Mapping[str, Artifact]] = ..., work_dir: _Optional[str] = ..., host: _Optional[int] = ..., open_chats: _Optional[int] = ..., call: _Optional[str] = ..., host_socket: _Optional[str] = ..., openai_api: _Optional[_Union[OpenAIAPI, _Mapping]] = ..., kept: _Optional[_Iterable[_Union[File, _Mapping]]] = ..., money_left: _Optional[float] = ...) -> None: ...

class RunResponse(_message.Message):
    __slots__ = ("progress", "rows", "done", "diagnostic", "failure", "pending", "paid")
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTIC_FIELD_NUMBER: _ClassVar[int]
    FAILURE_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    PAID_FIELD_NUMBER: _ClassVar[int]
    progress: Progress
    rows: Rows
    done: Done
    diagnostic: Diagnostic
    failure: RowError
    pending: Pending
    paid: float
    def __init__(self, progress: _Optional[_Union[Progress, _Mapping]] = ..., rows: _Optional[_Union[Rows, _Mapping]] = ..., done: _Optional[_Union[Done, _Mapping]] = ..., diagnostic: _Optional[_Union[Diagnostic, _Mapping]] = ..., failure: _Optional[_Union[RowError, _Mapping]] = ..., pending: _Optional[_Union[Pending, _Mapping]] = ..., paid: _Optional[float] = ...) -> None: ...

class Pending(_message.Message):
    __slots__ = ("reason", "check_after_seconds")
    REASON_FIELD_NUMBER: _ClassVar[int]
    CHECK_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    reason: str
    check_after_seconds: float
    def __init__(self, reason: _Optional[str] = ..., check_after_seconds: _Optional[float] = ...) -> None: ...

class Rows(_message.Message):
    __slots__ = ("output", "rows", "dropped")
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    output: str
    rows: bytes
    dropped: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, output: _Optional[str] = ..., rows: _Optional[bytes] = ..., dropped: _Optional[_Iterable[int]] = ...) -> None: ...

class Done(_message.Message):
    __slots__ = ("value", "folders", "value_json", "kept", "kept_folder")
    class FoldersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALUE_FIELD_NUMBER: _ClassVar[int]
    FOLDERS_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    KEPT_FOLDER_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    folders: _containers.ScalarMap[str, str]
    value_json: bytes
    kept: _containers.RepeatedScalarFieldContainer[str]
    kept_folder: str
    def __init__(self, value: _Optional[bytes] = ..., folders: _Optional[_Mapping[str, str]] = ..., value_json: _Optional[bytes] = ..., kept: _Optional[_Iterable[str]] = ..., kept_folder: _Optional[str] = ...) -> None: ...

class CheckSampleRequest(_message.Message):
    __slots__ = ("instance", "samples")
    class SamplesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: SampleRows
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[SampleRows, _Mapping]] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    samples: _containers.MessageMap[str, SampleRows]
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., samples: _Optional[_Mapping[str, SampleRows]] = ...) -> None: ...

class SampleRows(_message.Message):
    __slots__ = ("rows", "total", "complete")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    total: int
    complete: bool
    def __init__(self, rows: _Optional[bytes] = ..., total: _Optional[int] = ..., complete: _Optional[bool] = ...) -> None: ...

class CheckSampleResponse(_message.Message):
    __slots__ = ("diagnostics", "estimate")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    ESTIMATE_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    estimate: Estimate
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., estimate: _Optional[_Union[Estimate, _Mapping]] = ...) -> None: ...

class PredictRequest(_message.Message):
    __slots__ = ("start", "rows")
    START_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    start: Artifact
    rows: bytes
    def __init__(self, start: _Optional[_Union[Artifact, _Mapping]] = ..., rows: _Optional[bytes] = ...) -> None: ...

class PredictResponse(_message.Message):
    __slots__ = ("rows", "errors", "more")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    errors: _containers.RepeatedCompositeFieldContainer[RowError]
    more: bool
    def __init__(self, rows: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class HostServicePredictRequest(_message.Message):
    __slots__ = ("start", "rows")
    START_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    start: str
    rows: bytes
    def __init__(self, start: _Optional[str] = ..., rows: _Optional[bytes] = ...) -> None: ...

class HostServicePredictResponse(_message.Message):
    __slots__ = ("rows", "errors", "more")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    errors: _containers.RepeatedCompositeFieldContainer[RowError]
    more: bool
    def __init__(self, rows: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ..., more: _Optional[bool] = ...) -> None: ...

class ChatRequest(_message.Message):
    __slots__ = ("start", "request", "trained")
    START_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    start: Instance
    request: bytes
    trained: Artifact
    def __init__(self, start: _Optional[_Union[Instance, _Mapping]] = ..., request: _Optional[bytes] = ..., trained: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class ChatResponse(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    error: CallError
    def __init__(self, response: _Optional[bytes] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class CallError(_message.Message):
    __slots__ = ("message", "status", "temporary", "retry_after_seconds", "pending", "check_after_seconds")
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    TEMPORARY_FIELD_NUMBER: _ClassVar[int]
    RETRY_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PENDING_FIELD_NUMBER: _ClassVar[int]
    CHECK_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    message: str
    status: int
    temporary: bool
    retry_after_seconds: float
    pending: bool
    check_after_seconds: float
    def __init__(self, message: _Optional[str] = ..., status: _Optional[int] = ..., temporary: _Optional[bool] = ..., retry_after_seconds: _Optional[float] = ..., pending: _Optional[bool] = ..., check_after_seconds: _Optional[float] = ...) -> None: ...

class CheckModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: Instance
    def __init__(self, model: _Optional[_Union[Instance, _Mapping]] = ...) -> None: ...

class CheckModelResponse(_message.Message):
    __slots__ = ("error",)
    ERROR_FIELD_NUMBER: _ClassVar[int]
    error: CallError
    def __init__(self, error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class EmbedRequest(_message.Message):
    __slots__ = ("model", "texts", "trained")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    TRAINED_FIELD_NUMBER: _ClassVar[int]
    model: Instance
    texts: _containers.RepeatedScalarFieldContainer[str]
    trained: Artifact
    def __init__(self, model: _Optional[_Union[Instance, _Mapping]] = ..., texts: _Optional[_Iterable[str]] = ..., trained: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...

class EmbedResponse(_message.Message):
    __slots__ = ("embeddings", "input_tokens", "error")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[Embedding]
    input_tokens: int
    error: CallError
    def __init__(self, embeddings: _Optional[_Iterable[_Union[Embedding, _Mapping]]] = ..., input_tokens: _Optional[int] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class SubmitBatchRequest(_message.Message):
    __slots__ = ("model", "requests", "name", "begun_seconds_ago")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEGUN_SECONDS_AGO_FIELD_NUMBER: _ClassVar[int]
    model: Instance
    requests: _containers.RepeatedCompositeFieldContainer[BatchRequest]
    name: str
    begun_seconds_ago: float
    def __init__(self, model: _Optional[_Union[Instance, _Mapping]] = ..., requests: _Optional[_Iterable[_Union[BatchRequest, _Mapping]]] = ..., name: _Optional[str] = ..., begun_seconds_ago: _Optional[float] = ...) -> None: ...

class BatchRequest(_message.Message):
    __slots__ = ("id", "request")
    ID_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    id: str
    request: bytes
    def __init__(self, id: _Optional[str] = ..., request: _Optional[bytes] = ...) -> None: ...

class SubmitBatchResponse(_message.Message):
    __slots__ = ("token", "error")
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    token: bytes
    error: CallError
    def __init__(self, token: _Optional[bytes] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class ReadBatchRequest(_message.Message):
    __slots__ = ("model", "token")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TOKEN_FIELD_NUMBER: _ClassVar[int]
    model: Instance
    token: bytes
    def __init__(self, model: _Optional[_Union[Instance, _Mapping]] = ..., token: _Optional[bytes] = ...) -> None: ...

class ReadBatchResponse(_message.Message):
    __slots__ = ("status", "answer", "error")
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    status: BatchStatus
    answer: BatchAnswer
    error: CallError
    def __init__(self, status: _Optional[_Union[BatchStatus, _Mapping]] = ..., answer: _Optional[_Union[BatchAnswer, _Mapping]] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class BatchStatus(_message.Message):
    __slots__ = ("done", "answered", "total", "message", "check_after_seconds")
    DONE_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    CHECK_AFTER_SECONDS_FIELD_NUMBER: _ClassVar[int]
    done: bool
    answered: int
    total: int
    message: str
    check_after_seconds: float
    def __init__(self, done: _Optional[bool] = ..., answered: _Optional[int] = ..., total: _Optional[int] = ..., message: _Optional[str] = ..., check_after_seconds: _Optional[float] = ...) -> None: ...

class BatchAnswer(_message.Message):
    __slots__ = ("id", "response", "error")
    ID_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    id: str
    response: bytes
    error: CallError
    def __init__(self, id: _Optional[str] = ..., response: _Optional[bytes] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class HostServiceChatRequest(_message.Message):
    __slots__ = ("model", "request", "draw", "accepts_truncated")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    ACCEPTS_TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    model: str
    request: bytes
    draw: int
    accepts_truncated: bool
    def __init__(self, model: _Optional[str] = ..., request: _Optional[bytes] = ..., draw: _Optional[int] = ..., accepts_truncated: _Optional[bool] = ...) -> None: ...

class HostServiceChatResponse(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: bytes
    error: CallError
    def __init__(self, response: _Optional[bytes] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class HostServiceEmbedRequest(_message.Message):
    __slots__ = ("model", "texts")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    model: str
    texts: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, model: _Optional[str] = ..., texts: _Optional[_Iterable[str]] = ...) -> None: ...

class HostServiceEmbedResponse(_message.Message):
    __slots__ = ("embeddings", "error")
    EMBEDDINGS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    embeddings: _containers.RepeatedCompositeFieldContainer[Embedding]
    error: CallError
    def __init__(self, embeddings: _Optional[_Iterable[_Union[Embedding, _Mapping]]] = ..., error: _Optional[_Union[CallError, _Mapping]] = ...) -> None: ...

class HostServiceRejectRequest(_message.Message):
    __slots__ = ("model", "request", "draw")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    DRAW_FIELD_NUMBER: _ClassVar[int]
    model: str
    request: bytes
    draw: int
    def __init__(self, model: _Optional[str] = ..., request: _Optional[bytes] = ..., draw: _Optional[int] = ...) -> None: ...

class HostServiceRejectResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class HostServiceEvaluateRequest(_message.Message):
    __slots__ = ("argument", "rows")
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    argument: str
    rows: bytes
    def __init__(self, argument: _Optional[str] = ..., rows: _Optional[bytes] = ...) -> None: ...

class HostServiceEvaluateResponse(_message.Message):
    __slots__ = ("rows", "errors")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    rows: bytes
    errors: _containers.RepeatedCompositeFieldContainer[RowError]
    def __init__(self, rows: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[RowError, _Mapping]]] = ...) -> None: ...

class DeploymentState(_message.Message):
    __slots__ = ("value", "private", "version", "value_json")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    PRIVATE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VALUE_JSON_FIELD_NUMBER: _ClassVar[int]
    value: bytes
    private: bytes
    version: int
    value_json: bytes
    def __init__(self, value: _Optional[bytes] = ..., private: _Optional[bytes] = ..., version: _Optional[int] = ..., value_json: _Optional[bytes] = ...) -> None: ...

class ReadDeploymentRequest(_message.Message):
    __slots__ = ("instance", "state")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    state: DeploymentState
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., state: _Optional[_Union[DeploymentState, _Mapping]] = ...) -> None: ...

class ReadDeploymentResponse(_message.Message):
    __slots__ = ("diagnostics", "state")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    state: DeploymentState
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., state: _Optional[_Union[DeploymentState, _Mapping]] = ...) -> None: ...

class PlanDeploymentRequest(_message.Message):
    __slots__ = ("instance", "prior", "digests", "inputs")
    class DigestsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Artifact
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    DIGESTS_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    prior: DeploymentState
    digests: _containers.ScalarMap[str, str]
    inputs: _containers.MessageMap[str, Artifact]
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., prior: _Optional[_Union[DeploymentState, _Mapping]] = ..., digests: _Optional[_Mapping[str, str]] = ..., inputs: _Optional[_Mapping[str, Artifact]] = ...) -> None: ...

class PlanDeploymentResponse(_message.Message):
    __slots__ = ("diagnostics", "action", "changes", "upgraded", "coexists")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    UPGRADED_FIELD_NUMBER: _ClassVar[int]
    COEXISTS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    action: DeploymentAction
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    upgraded: DeploymentState
    coexists: bool
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., action: _Optional[_Union[DeploymentAction, str]] = ..., changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., upgraded: _Optional[_Union[DeploymentState, _Mapping]] = ..., coexists: _Optional[bool] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("argument", "before", "after", "forces_replacement")
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    FORCES_REPLACEMENT_FIELD_NUMBER: _ClassVar[int]
    argument: str
    before: str
    after: str
    forces_replacement: bool
    def __init__(self, argument: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., forces_replacement: _Optional[bool] = ...) -> None: ...

class ApplyDeploymentRequest(_message.Message):
    __slots__ = ("instance", "prior", "inputs", "work_dir")
    class InputsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: Artifact
        def __init__(self, key: _Optional[str] = ..., value: _Optional[_Union[Artifact, _Mapping]] = ...) -> None: ...
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    PRIOR_FIELD_NUMBER: _ClassVar[int]
    INPUTS_FIELD_NUMBER: _ClassVar[int]
    WORK_DIR_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    prior: DeploymentState
    inputs: _containers.MessageMap[str, Artifact]
    work_dir: str
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., prior: _Optional[_Union[DeploymentState, _Mapping]] = ..., inputs: _Optional[_Mapping[str, Artifact]] = ..., work_dir: _Optional[str] = ...) -> None: ...

class ApplyDeploymentResponse(_message.Message):
    __slots__ = ("diagnostics", "state")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    state: DeploymentState
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., state: _Optional[_Union[DeploymentState, _Mapping]] = ...) -> None: ...

class DeleteDeploymentRequest(_message.Message):
    __slots__ = ("instance", "state")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    state: DeploymentState
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., state: _Optional[_Union[DeploymentState, _Mapping]] = ...) -> None: ...

class DeleteDeploymentResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ...) -> None: ...

class ImportDeploymentRequest(_message.Message):
    __slots__ = ("instance", "id")
    INSTANCE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    instance: Instance
    id: str
    def __init__(self, instance: _Optional[_Union[Instance, _Mapping]] = ..., id: _Optional[str] = ...) -> None: ...

class ImportDeploymentResponse(_message.Message):
    __slots__ = ("diagnostics", "state")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    state: DeploymentState
    def __init__(self, diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., state: _Optional[_Union[DeploymentState, _Mapping]] = ...) -> None: ...

class CallFunctionRequest(_message.Message):
    __slots__ = ("name", "arguments")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ARGUMENTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    arguments: bytes
    def __init__(self, name: _Optional[str] = ..., arguments: _Optional[bytes] = ...) -> None: ...

class CallFunctionResponse(_message.Message):
    __slots__ = ("results", "errors")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    ERRORS_FIELD_NUMBER: _ClassVar[int]
    results: bytes
    errors: _containers.RepeatedCompositeFieldContainer[FunctionError]
    def __init__(self, results: _Optional[bytes] = ..., errors: _Optional[_Iterable[_Union[FunctionError, _Mapping]]] = ...) -> None: ...

class FunctionError(_message.Message):
    __slots__ = ("call", "message", "argument")
    CALL_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    call: int
    message: str
    argument: int
    def __init__(self, call: _Optional[int] = ..., message: _Optional[str] = ..., argument: _Optional[int] = ...) -> None: ...
