"""Prepare: what an instance produces, declared before anything runs."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .._digest import file_digest
from . import _protocol as pb
from ._arguments import cty_type
from ._columns import Column, Columns, columns_of, to_proto
from ._errors import Fault, error, legible, split, warning
from ._json import dumps
from ._unknown import Unknown


@dataclasses.dataclass(frozen=True)
class Selection:
    """Rows of an input that a dataset contains, for estimates.

    Attributes:
        rows_of: The key of the input. The dataset has all of its columns, those of ``keep_input``, or those
            that ``set_lineage`` describes.
        where: The key of a ``Row[bool]`` that is true for the candidate rows. "*" if only the stage itself can
            tell which rows are candidates.
        share: The share of the candidates that is selected; None: all. With more than 1, rows are repeated.
        most: The maximum number of selected rows; None: no limit.
        most_of: The key of another input: at most as many rows are selected as it has.
        exactly: How many rows are selected, whatever the number of candidates, in place of ``share``, ``most``,
            and ``most_of``.
        weight: Set if the selections of an output are in the proportion of their weights, and only as much is
            selected as the scarcest allows, in place of ``exactly``.
        size: The key of a row argument with numbers. Then ``exactly`` and ``weight`` are about their sum, not about
            the number of rows.
    """

    rows_of: str
    where: str = ""
    share: float | None = None
    most: int | None = None
    most_of: str = ""
    exactly: float | None = None
    weight: float | None = None
    size: str = ""


@dataclasses.dataclass(frozen=True)
class LineageSource:
    """Something that values come from: a column of a dataset input, or a row argument.

    Attributes:
        input: The key of a dataset input.
        column: One of its columns.
        argument: The key of a row argument, in place of ``input`` and ``column``.
        unchanged: Each value is a value of that column, unchanged.
    """

    input: str = ""
    column: str = ""
    argument: str = ""
    unchanged: bool = False


@dataclasses.dataclass(frozen=True)
class ModelCalls:
    """The requests that a stage makes to one model with one prompt, for estimates.

    Attributes:
        prompt: The key of the argument that holds the request: a ``Prompt``, or a ``Row[str]``.
        model: The key of the model.
        per_row: Requests per row.
        added: The text that the stage adds to each request.
        output_tokens: Tokens per answer; None: unknown.
        longest_answer: The longest possible answer, if the stage restricts its form.
        reads_answers: Each request contains an answer to another of the stage's calls.
        texts: Keys of further row arguments whose texts are part of the request.
        draws: Answers per request.
        most: The maximum number of these requests, however many rows there are; 0: no limit. Such a stage decides by the
            answers what to ask next, so quern refuses a model whose requests wait in batches.
    """

    prompt: str
    model: str
    per_row: float = 1
    added: str = ""
    output_tokens: int | None = None
    longest_answer: str = ""
    reads_answers: bool = False
    texts: Sequence[str] = ()
    draws: int = 1
    most: int = 0


@dataclasses.dataclass(frozen=True)
class Price:
    """Money per million tokens. None is unknown, which is not free."""

    input: float | None = None
    output: float | None = None
    cached_input: float | None = None
    source: str = "configuration"


@dataclasses.dataclass(frozen=True)
class BatchLimits:
    """The limits of one batch; 0: no known limit."""

    requests: int = 0
    """The number of requests."""
    bytes: int = 0
    """The size of the requests as JSON."""


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A language model.

    Attributes:
        capabilities: ``chat`` (messages), ``complete`` (a prompt), ``score`` (log-probabilities of a
            prompt's tokens), and ``embed``; empty: those of ``chat`` and ``embed`` that the provider's class implements.
        tokenizer: tiktoken's name for the encoding: o200k_base or cl100k_base.
        price: None: unknown.
        max_tokens: The maximum number of tokens in an answer; 0: no limit.
        max_concurrency: 0: no known limit.
        requests_per_minute: 0: no known limit.
        tokens_per_minute: 0: no known limit.
        timeout: The limit of one attempt in seconds; 0: quern's default.
        retries: Attempts after the first.
        cache: Answers may be stored and reused for equal requests.
        host: The host that answers, with its port. Models on the same host share its capacity.
        batch: Requests are submitted as batches, which needs ``cache`` and the methods of ``Batcher``.
    """

    capabilities: Sequence[str] = ()
    tokenizer: str = ""
    price: Price | None = None
    max_tokens: int = 0
    max_concurrency: int = 0
    requests_per_minute: float = 0
    tokens_per_minute: float = 0
    timeout: float = 0
    retries: int = 0
    cache: bool = False
    host: str = ""
    batch: BatchLimits | None = None

    def proto(self) -> pb.ModelInfo:
        out = pb.ModelInfo(
            capabilities=self.capabilities,
            tokenizer=self.tokenizer,
            max_concurrency=self.max_concurrency,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            timeout_seconds=self.timeout,
            retries=self.retries,
            cache=self.cache,
            max_tokens=self.max_tokens,
            host=self.host,
        )
        if self.batch is not None:
            out.batch.CopyFrom(pb.BatchLimits(requests=self.batch.requests, bytes=self.batch.bytes))
        if self.price is not None:
            p = self.price
            out.price.CopyFrom(pb.Price(input=p.input, output=p.output, cached_input=p.cached_input, source=p.source))
        return out


_KEYS = re.compile(r'\["(?:[^"\\]|\\.)*"\]|\[\d+\]')


def block_name(address: str) -> str:
    """Returns the name in an address: intent in module.a["x.y"].label.intent["a"]."""
    return _KEYS.sub("", address).rpartition(".")[2]


class Prepare:
    """One call of a stage's ``prepare``: it validates the arguments and declares the output.

    quern calls it as often as it likes while planning, so it must be deterministic
    and must not have side effects.
    """

    def __init__(self, instance: pb.Instance, unknown: Unknown) -> None:
        self._instance = instance
        self._unknown = unknown
        self._dropped: set[str] = set()
        self.out = pb.Prepared()

    @property
    def address(self) -> str:
        """The instance's address, such as ``label.intent["a"]``, for messages."""
        return self._instance.address

    @property
    def name(self) -> str:
        """The block's name, the second part of the address."""
        return block_name(self._instance.address)

    def known(self, key: str) -> bool:
        """Reports whether the argument at a key has a value already. Until then, it has its default or an empty value."""
        return self._unknown.known(key)

    def error(self, text: str, *, argument: str = "") -> None:
        """Reports a mistake in an argument or, without a key, in the whole block.

        The first line of the text is the summary; the rest should say how to fix it.
        """
        self.out.diagnostics.append(error(*split(text), argument))

    def warn(self, text: str, *, argument: str = "") -> None:
        """Reports something that may be a mistake."""
        self.out.diagnostics.append(warning(text, argument))

    def note(self, text: str) -> None:
        """Tells the user in the plan how the stage works with these arguments, in one line. It is not a warning."""
        self.out.notes.append(legible(text))

    @property
    def failed(self) -> bool:
        """An error was reported."""
        return any(d.severity == pb.Diagnostic.SEVERITY_ERROR for d in self.out.diagnostics)

    # What is read.

    def read_columns(self, dataset: str, *columns: str) -> None:
        """Declares columns of a dataset input to read in addition to those in row expressions."""
        reads = self.out.reads[dataset]
        reads.columns.extend(c for c in columns if c not in reads.columns)

    def read_all(self, dataset: str) -> None:
        """Declares that all columns of a dataset input are read."""
        self.out.reads[dataset].all = True

    # What a source or runner produces.

    def add_dataset(self, columns: Columns, *, name: str = "", selection: Selection | Sequence[Selection] | None = None) -> None:
        """Declares a dataset. With a name, it is an attribute of the stage; without, the stage itself is the dataset.

        A selection says that it consists of rows of an input. With several, it contains those of each, and
        ``set_lineage`` says which columns it passes on.
        """
        declared = columns_of(columns)
        seen: set[str] = set()
        for c in declared:
            if not c.name:
                self.error("A column has no name\nEvery column of a dataset needs one.")
            elif c.name in seen:
                self.error(
                    f'Two columns would be named "{c.name}"\nThe names of a dataset\'s columns are unique. {self._other_name(c.name)}'
                )
            seen.add(c.name)
        out = pb.Output(name=name, kind=pb.ARTIFACT_KIND_DATASET, columns=to_proto(declared))
        for s in [selection] if isinstance(selection, Selection) else selection or []:
            self._select(out, s)
        self._add(out)

    def set_lineage(self, column: str, *sources: LineageSource, output: str = "") -> None:
        """Declares everything that the values of a column come from.

        Call it after the column is declared. Without it, quern knows only that they
        come from what the stage reads. It informs people and does not affect results.

        Args:
            column: A column of the output.
            sources: What its values come from.
            output: The name of the dataset; empty: the stage itself.
        """
        for out in self.out.outputs:
            for c in out.columns:
                if out.name == output and c.name == column:
                    c.lineage.CopyFrom(self._lineage(sources))
                    return
        if not self.failed:
            raise Fault(f"set_lineage: the output {output!r} has no column {column!r}")

    def set_rows_lineage(self, *sources: LineageSource, output: str = "") -> None:
        """Declares everything that determines which rows a runner's dataset has and in which order."""
        for out in self.out.outputs:
            if out.name == output:
                out.rows_lineage.CopyFrom(self._lineage(sources))
                return
        if not self.failed:
            raise Fault(f"set_rows_lineage: there is no output {output!r}")

    def _lineage(self, sources: Sequence[LineageSource]) -> pb.Lineage:
        for s in sources:
            if s.argument and s.argument not in self._instance.row_arguments:
                raise Fault(f"no row argument {s.argument!r} exists")
            if not s.argument and s.input not in self._instance.inputs:
                raise Fault(f"no input {s.input!r} exists")
        return pb.Lineage(
            sources=[pb.LineageSource(input=s.input, column=s.column, argument=s.argument, unchanged=s.unchanged) for s in sources]
        )

    def add_model(
        self, format: str, *, inputs: Columns = (), outputs: Columns = (), name: str = "", model: ModelInfo | None = None
    ) -> None:
        """Declares a model that a runner trains.

        Args:
            format: Such as ``acme.tree/v1``.
            inputs: The columns that a prediction reads: the arguments with the option ``feature``, by their keys.
            outputs: The columns that it returns.
            name: As in ``add_dataset``.
            model: For a language model, what calls need to know. It must have
                capabilities. The model predicts as well if it has ``outputs``.
        """
        signature = pb.Signature(inputs=to_proto(columns_of(inputs)), outputs=to_proto(columns_of(outputs)))
        out = pb.Output(name=name, kind=pb.ARTIFACT_KIND_MODEL, format=format, signature=signature)
        if model is not None:
            if not model.capabilities:
                raise Fault(f"the language model {format!r} has no capabilities")
            out.model.CopyFrom(model.proto())
        self._add(out)

    def add_report(self, *, name: str = "") -> None:
        """Declares a report that a runner writes: files for people."""
        self._add(pb.Output(name=name, kind=pb.ARTIFACT_KIND_REPORT))

    def add_prompt(self, argument: str) -> None:
        """Declares that the stage itself is a prompt that a runner makes from the one in an argument.

        Its system message and examples are those of the value ``messages``, a
        ``list[plugin.PromptMessage]``, which the stage must have; the question stays.

        Args:
            argument: The argument's key.
        """
        self._add(pb.Output(kind=pb.ARTIFACT_KIND_PROMPT, rows_of=argument))

    def set_value_type(self, value: type | Mapping[str, Any]) -> None:
        """Declares plain values, such as metrics: a dataclass, or names with Python types."""
        self.out.value_type = dumps(cty_type(value)).encode()

    def set_estimate(
        self,
        *,
        rows: int | None = None,
        seconds: float | None = None,
        input_tokens: int | None = None,
        output_tokens: int | None = None,
        money: float | None = None,
    ) -> None:
        """Declares what the work is expected to take. None is unknown, which is not zero.

        Args:
            rows: Rows of the result.
            seconds: Time.
            input_tokens: Tokens that models read.
            output_tokens: Tokens that models write.
            money: Money for anything but calls of models, in the currency of the models' prices. It needs ``pays``.
        """
        self.out.estimate.CopyFrom(
            pb.Estimate(rows=rows, seconds=seconds, input_tokens=input_tokens, output_tokens=output_tokens, money=money)
        )

    def pays(self, unpriced: str = "") -> None:
        """Declares that a runner pays for something other than calls of models, such as for training at a provider.

        Args:
            unpriced: Empty if ``run`` knows the amount before it pays. Otherwise why it does
                not and what the user can do about it, in a sentence: "Set training_price and
                epochs." A budget in money then refuses the stage.
        """
        self.out.payment.CopyFrom(pb.Payment(unpriced=unpriced))

    def use_openai_api(self) -> None:
        """Asks quern to serve the stage's language models over HTTP, too, for a library that calls models only through OpenAI's API. See ``Model.openai_api``."""
        self.out.openai_api = True

    def add_file(self, name: str, path: str | os.PathLike[str], *, digest: str = "") -> None:
        """Declares that the result depends on a file of the user, such as a script.

        Its content becomes part of the stage's definition, and quern calls ``prepare``
        again when it changes.

        Args:
            name: Identifies the file among those of the instance. It must not depend on
                where the configuration is. If it is the name of an argument whose value
                is the file's path, the content takes the place of the path: the same
                content elsewhere is the same definition. For an argument that is a
                folder, declare its files as ``ARGUMENT/PATH``.
            path: Where it is.
            digest: ``sha256:…`` of its content, if that is known, so that a large file need not be read.
        """
        self.out.files.append(pb.SourceFile(name=name, path=os.path.abspath(path), digest=digest or file_digest(path)))

    def pin(self, name: str, resolve: Callable[[], str]) -> str:
        """Returns what a name that can move outside, such as a branch, refers to: a commit, for example.

        quern keeps the answer in its lock file, and passes it back until the user
        upgrades it. What the name refers to is part of the stage's definition.

        Args:
            name: Says what is pinned to a person who reads the lock file, such as
                ``huggingface.co/org/name@main``.
            resolve: Finds out what the name refers to. It is called only if the name
                is not pinned yet.
        """
        value = self._instance.pins[name] if name in self._instance.pins else resolve()
        if not name or not value:
            raise Fault(f"pin needs a name, and something that it refers to; these are {name!r} and {value!r}")
        self.out.pins[name] = value
        return value

    def add_model_calls(self, calls: ModelCalls) -> None:
        """Declares requests to a model, so that plans can show their cost."""
        c = calls
        self.out.calls.append(
            pb.ModelCalls(
                prompt=c.prompt,
                model=c.model,
                per_row=c.per_row,
                added=c.added,
                output_tokens=c.output_tokens,
                longest_answer=c.longest_answer,
                reads_answers=c.reads_answers,
                texts=c.texts,
                draws=c.draws,
                most=c.most,
            )
        )

    def set_model(self, info: ModelInfo) -> None:
        """Declares a provider's model."""
        self.out.model.CopyFrom(info.proto())

    # What a mapper produces.

    def keep_input(self, dataset: str = "input", *, selection: Selection | None = None) -> None:
        """Declares that the output begins with the columns of the input. The SDK calls it for mappers.

        A runner can call it, too. The stage itself is then a dataset with the rows of the
        input in their order, whose files it shares. ``run`` writes only the columns of
        ``add_column``. To drop rows, give a selection, and write them with ``Run.write_selected``.
        """
        out = self._rows_of(dataset)
        if selection is not None:
            self._select(out, selection)
        for c in self._instance.inputs[dataset].columns:
            column = pb.Column(name=c.name, type=c.type, origin=pb.COLUMN_ORIGIN_INPUT)
            setattr(column, "from", c.name)
            self._add_column(out, column)

    def drop_columns(self, *names: str) -> None:
        """Removes columns of the input from the output; without names, all. A column of that name can then be added."""
        out = self._mapped()
        self._dropped.update(names or [c.name for c in out.columns])
        kept = [c for c in out.columns if names and c.name not in names]
        del out.columns[:]
        out.columns.extend(kept)

    def has_column(self, name: str) -> bool:
        """Reports whether the output has a column so far."""
        return any(c.name == name for c in self._mapped().columns)

    def add_column(self, name: str, type: Any) -> None:
        """Declares a column that the mapper fills.

        Args:
            name: Its name, which must be free.
            type: A column type, a Python type, or an Arrow type.
        """
        self.add_columns([Column(name, type)])

    def add_columns(self, columns: Columns) -> None:
        """Declares columns that the mapper fills."""
        out = self._mapped()
        for c in columns_of(columns):
            self._add_column(out, pb.Column(name=c.name, type=c.type))

    def count_values(self, column: str) -> None:
        """Declares that quern counts how often each value of a transform's column occurs, or each element of its lists.

        The counts are in the stage's value, as those of labelers are: counts.COLUMN["VALUE"] and coverage.COLUMN, the
        share of rows that are not null.

        Args:
            column: A declared column of type string, bool, int64, or a list of one of them.
        """
        have = [c for c in self._mapped().columns if c.name == column]
        if not have:
            raise Fault(f"the output has no column {column!r}")
        have[0].counted = True

    def add_argument_column(self, name: str, argument: str) -> None:
        """Declares a column whose values are those of a row expression; quern fills it."""
        out = self._mapped()
        if argument not in self._instance.row_arguments:
            raise Fault(f"no row expression {argument!r} exists")
        a = self._instance.row_arguments[argument]
        for c in out.columns:
            if c.name == name == a.column and c.type == a.type and c.origin == pb.COLUMN_ORIGIN_INPUT:
                return
        column = pb.Column(name=name, type=a.type, origin=pb.COLUMN_ORIGIN_ARGUMENT)
        setattr(column, "from", argument)
        self._add_column(out, column, argument)

    def _mapped(self) -> pb.Output:
        """Returns the output that has the rows of an input."""
        for out in self.out.outputs:
            if not out.name:
                return out
        datasets = [key for key, i in self._instance.inputs.items() if i.kind == pb.ARTIFACT_KIND_DATASET]
        if len(datasets) != 1:
            raise Fault(f"call keep_input before you add columns: the stage has {len(datasets)} dataset inputs")
        return self._rows_of(datasets[0])

    def _rows_of(self, dataset: str) -> pb.Output:
        if dataset not in self._instance.inputs or self._instance.inputs[dataset].kind != pb.ARTIFACT_KIND_DATASET:
            raise Fault(f"no dataset input {dataset!r} exists")
        return self._add(pb.Output(kind=pb.ARTIFACT_KIND_DATASET, rows_of=dataset))

    def _add(self, output: pb.Output) -> pb.Output:
        if any(o.name == output.name for o in self.out.outputs):
            raise Fault(f"output {output.name!r} is declared twice")
        self.out.outputs.append(output)
        return self.out.outputs[-1]

    def _add_column(self, out: pb.Output, column: pb.Column, argument: str = "") -> None:
        have = [c for c in out.columns if c.name == column.name]
        if not column.name:
            self.error("A column needs a name\nThis name is empty.", argument=argument)
        elif not have:
            column.replaces = column.name in self._dropped
            out.columns.append(column)
        elif have[0].origin == pb.COLUMN_ORIGIN_INPUT:
            text = (
                f'The dataset already has a column named "{column.name}"\n{self.address} would replace it. {self._other_name(column.name)}'
            )
            self.error(text, argument=argument)
        else:
            self.error(f'Two columns would be named "{column.name}"\n{self._other_name(column.name)}', argument=argument)

    def _select(self, out: pb.Output, s: Selection) -> None:
        for key in filter(None, [s.rows_of, s.most_of]):
            if key not in self._instance.inputs:
                raise Fault(f"a selection is about an input {key!r} that does not exist")
        if s.exactly is not None and (s.share, s.most, s.most_of, s.weight) != (None, None, "", None):
            raise Fault("a selection has exactly, which replaces share, most, most_of, and weight")
        out.selections.add(**dataclasses.asdict(s))

    def _other_name(self, column: str) -> str:
        if column == self.name or column.startswith(self.name + "_"):
            return 'The new column is named after the block: rename the block, or rename the input\'s column with transform "map".'
        return 'Rename the input\'s column with transform "map", or choose another name for the new column if the stage has an argument for it.'
