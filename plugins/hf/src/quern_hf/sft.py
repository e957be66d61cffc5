"""train "hf_sft": supervised fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from quern import plugin

from . import artifact, hf
from .data import Counts, Example, RowsFile, chat, conversation, plain, prompted, write_items
from .job import Job
from .stage import Training, gpus
from .tokenizer import FORMAT
from .tokens import Template, TemplateError, Tokenizer


@dataclass
class Validation:
    """Rows to evaluate on while training."""

    dataset: plugin.Dataset
    """The rows. None of them should be among the rows to train on."""
    messages: plugin.Row[Any] | None = plugin.argument(default=None, rows_of="validation.0.dataset")
    """As in the trainer's block."""
    prompt: plugin.Prompt | None = plugin.argument(default=None, rows_of="validation.0.dataset")
    """As in the trainer's block."""
    target: plugin.Row[str] | None = plugin.argument(default=None, rows_of="validation.0.dataset")
    """As in the trainer's block."""
    text: plugin.Row[str] | None = plugin.argument(default=None, rows_of="validation.0.dataset")
    """As in the trainer's block."""
    steps: int | None = None
    """Evaluates after every so many steps. The default is after each epoch."""
    patience: int | None = None
    """Ends training after so many evaluations without a lower loss, and keeps the weights with the lowest."""


@hf.train("hf_sft", models=artifact.FORMATS, stop_seconds=300)
class Sft(Training):
    """Fine-tunes a language model on conversations, on prompts with answers, or on texts.

    Give `messages`, or `prompt` and `target`, or `text`. The loss counts the tokens that the model is to write: of conversations, the messages of the
    assistant with the tokens that end them; of prompts, the target; of texts, all.

    The stage is a model. `curves` is a dataset of losses, and the values are metrics such as `train_loss`, `eval_loss`, `tokens`, and `seconds`.
    """

    module = "quern_hf.sft"
    method = "sft"

    messages: plugin.Row[Any] | None
    """The conversation: a list of objects with `role` and `content`."""
    prompt: plugin.Prompt | None
    """A prompt that the model is to answer with `target`. Training renders the same text as inference."""
    target: plugin.Row[str] | None
    """The answer to `prompt`."""
    text: plugin.Row[str] | None
    """A text to continue: plain language modeling."""
    validation: Validation | None
    """Rows to evaluate on while training."""
    packing: bool = False
    """Packs several rows into one sequence of up to `max_length` tokens, so that batches have no padding. Rows do not see each other."""
    quantize: Literal["nf4"] | None = None
    """Loads the base in 4 bits (QLoRA). Needs `lora`, bitsandbytes, and a GPU."""
    engine: Literal["trl", "unsloth"] = "trl"
    """The implementation. `unsloth` is faster on one GPU, and has to be installed."""
    template: str | None = None
    """A chat template (Jinja) in place of the base's. It becomes part of the model."""
    tokenizer: plugin.Model | None
    """A `train "hf_tokenizer"` whose tokenizer replaces the base's. The embeddings of new tokens begin as the mean of those of the old tokens that they consist of.
    All weights are trained, so it cannot be combined with `lora`. The chat template is that of the tokenizer, or `template`."""

    @property
    def chat_template(self) -> str | None:
        return self.template

    def check(self, p: plugin.Prepare) -> None:
        super().check(p)
        check_rows(p, self, "")
        if self.validation is not None:
            check_rows(p, self.validation, "validation.0.")
        if self.quantize is not None:
            if self.lora is None:
                p.error("quantize needs lora\nWeights of 4 bits cannot be trained themselves. Add a lora block.", argument="quantize")
            self.needs_bitsandbytes(p, "quantize", "Loading a model in 4 bits")
        if self.engine == "unsloth":
            check_unsloth(p)
        if self.tokenizer is not None:
            self.check_tokenizer(p)
        elif self.text is None:
            self.check_template(p, "messages" if self.messages else "prompt")

    def check_tokenizer(self, p: plugin.Prepare) -> None:
        """Reports that the base cannot get another tokenizer. Its content is not known before it is trained."""
        assert self.tokenizer is not None
        if self.tokenizer.format != FORMAT:
            p.error(
                'tokenizer is not a tokenizer\nSet it to a stage of the type train "hf_tokenizer", as in tokenizer = train.words.',
                argument="tokenizer",
            )
        if self.lora is not None:
            p.error(
                "tokenizer and lora cannot be combined\nAn adapter does not train the embeddings, and those of new tokens have to be trained. Remove the lora block.",
                argument="tokenizer",
            )
        if self.engine == "unsloth":
            p.error('tokenizer needs engine = "trl"', argument="tokenizer")
        if self.template is not None:
            try:
                Template(self.template, {}).check()
            except TemplateError as e:
                p.error(str(e), argument="template")

    def describe(self) -> Path | None:
        return None if self.tokenizer is not None else super().describe()

    def tokenizer_folder(self, run: plugin.Run) -> Path | None:
        if self.tokenizer is None:
            return None
        folder = artifact.view(self.tokenizer.files, Path(run.work_dir, "tokenizer"))
        if self.text is None and Tokenizer(folder, self.template).template is None:
            raise plugin.Error(
                'The tokenizer has no chat template\nSet chat_template in train "hf_tokenizer", or template here.', argument="tokenizer"
            )
        return folder

    def base_identity(self) -> dict[str, Any]:
        return super().base_identity() | ({} if self.tokenizer is None else {"tokenizer": self.tokenizer.digest})

    @property
    def chats(self) -> bool:
        return super().chats or (self.tokenizer is not None and self.text is None)

    @property
    def packs(self) -> bool:  # type: ignore[override]
        return self.packing

    def handles(self, given: Sft | Validation) -> list[plugin.Row[Any]]:
        return [h for h in (given.messages, given.prompt, given.target, given.text) if h is not None]

    def make(self, tokenizer: Tokenizer, given: Sft | Validation, row: Mapping[str, Any]) -> list[Example]:
        values = [row[h.key] for h in self.handles(given)]
        return [example(tokenizer, values, conversations=given.messages is not None)]

    def write_rows(self, run: plugin.Run, tokenizer: Tokenizer, given: Sft | Validation, path: Path, dataset: str) -> Counts:
        with RowsFile(path, ("input_ids", "labels")) as out:
            return write_items(
                given.dataset.batches(*self.handles(given), batch_rows=1024),
                lambda row: self.make(tokenizer, given, row),
                out,
                max_length=self.max_length,
                longer=self.longer,
                dataset=dataset,
                progress=lambda rows: run.progress(rows, given.dataset.rows or 0, "rows", "reading rows"),
            )


def example(tokenizer: Tokenizer, values: list[Any], *, conversations: bool) -> Example:
    """Returns the tokens of a row: of a conversation, a prompt with its answer, or a text.

    Raises:
        ValueError: There is nothing to learn in it.
    """
    if any(v is None for v in values):
        raise ValueError('A value is null\nLeave such rows out, for example with transform "filter".')
    if conversations:
        return chat(tokenizer, conversation(values[0]))
    if len(values) == 2:
        messages, tools = prompted(*values)
        return chat(tokenizer, messages, last=True, tools=tools)
    return plain(tokenizer, values[0])


def check_rows(p: plugin.Prepare, given: Sft | Validation, at: str) -> None:
    """Reports rows that are given in no way, or in several."""
    ways = [name for name in ("messages", "prompt", "text") if getattr(given, name) is not None]
    place = at.removesuffix(".0.") if at else ""
    if len(ways) != 1:
        p.error(
            "Rows are given in several ways\n" if ways else "Nothing to train on\nSet messages, or prompt and target, or text.",
            argument=at + ways[1] if ways else place,
        )
    if (given.target is None) != (given.prompt is None):
        p.error(
            "prompt and target belong together\nThe target is the answer to the prompt.",
            argument=at + ("prompt" if given.prompt else "target"),
        )
    if given.messages is not None:
        check_messages(p, given.messages)


def check_messages(p: plugin.Prepare, messages: plugin.Row[Any]) -> None:
    """Reports a column that does not contain conversations."""
    kind = messages.type
    if not kind.startswith("list<struct<") or "role:string" not in kind:
        hint = ""
        if "from:string" in kind:
            hint = ' It has the members of ShareGPT. Convert them: [for m in row.conversations : { role = m.from == "gpt" ? "assistant" : "user", content = m.value }].'
        p.error(
            f"messages must be a list of objects with role and content\nIts type is {kind}.{hint}",
            argument=messages.key,
        )


def check_unsloth(p: plugin.Prepare) -> None:
    """Reports that Unsloth cannot be used here."""
    if find_spec("unsloth") is None:
        p.error(
            'Unsloth is not installed\nengine = "unsloth" needs the package unsloth in the plugin\'s environment: install the plugin with its extra unsloth, or use engine = "trl".',
            argument="engine",
        )
    elif not gpus():
        p.error("Unsloth needs a GPU\nThis machine has none that nvidia-smi reports.", argument="engine")


def train(job: Job) -> None:
    """Trains, in a process of its own."""
    import trl

    from . import trainer, weights

    a = job.arguments
    args = trainer.arguments_of(
        job,
        trl.SFTConfig,
        max_length=a["max_length"],
        packing=a["packing"],
        dataset_kwargs={"skip_prepare_dataset": True},
    )
    model, adapter, tokenizer = parts(job)

    def make(cls: type[Any]) -> Any:
        return cls(
            model=model,
            args=args,
            train_dataset=dataset(job.data, a),
            eval_dataset=dataset(job.validation, a) if job.validation else None,
            processing_class=tokenizer,
            peft_config=adapter,
        )

    done = trainer.fit(job, make, trl.SFTTrainer)
    if done.accelerator.is_main_process:
        weights.save(job, done.accelerator.unwrap_model(done.model), a["template"])


def parts(job: Job) -> tuple[Any, Any, Any]:
    """Returns the model, the configuration of its adapter, and the tokenizer."""
    import transformers

    from . import weights

    if job.arguments["engine"] == "unsloth":
        return _unsloth(job)
    return weights.load(job, transformers.AutoModelForCausalLM), weights.lora(job, "CAUSAL_LM"), weights.tokenizer(job)


def _unsloth(job: Job) -> tuple[Any, Any, Any]:
    """As ``parts``. Unsloth adds the adapter itself."""
    import unsloth

    from . import weights

    a, lora = job.arguments, job.arguments["lora"]
    base = str(weights.base_folder(job))
    full = lora is None
    model, _ = unsloth.FastLanguageModel.from_pretrained(
        base, max_seq_length=a["max_length"], load_in_4bit=a["quantize"] is not None, full_finetuning=full
    )
    if not full:
        model = unsloth.FastLanguageModel.get_peft_model(
            model,
            r=lora["r"],
            lora_alpha=lora["alpha"],
            lora_dropout=lora["dropout"],
            target_modules=lora["targets"] or "all-linear",
            use_rslora=lora["rslora"],
            use_gradient_checkpointing="unsloth" if a["gradient_checkpointing"] else False,
            random_state=a["seed"],
        )
    return model, None, weights.tokenizer(job)


def dataset(path: str, arguments: Mapping[str, Any]) -> Any:
    """Returns the examples of a file, which stays on the disk, packed if the arguments say so."""
    import datasets
    import trl

    out = datasets.Dataset.from_file(path)
    if arguments["packing"]:
        out = trl.pack_dataset(out, arguments["max_length"], "bfd", {"batch_size": 1000})
    return out
