// Package llamafactory converts a configuration of LLaMA-Factory, a trainer of
// language models, to a pipeline: the base model, the data as sources, and a
// training stage of the plugin hf.
package llamafactory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/finetune"
	"github.com/quern-dev/quern/importers/internal/hcltext"
	"github.com/quern-dev/quern/lang/diag"
)

// Importer reads configurations of LLaMA-Factory.
type Importer struct{}

// Tool returns the name of the tool.
func (Importer) Tool() string { return "llama-factory" }

// Reads describes which files are read.
func (Importer) Reads() string {
	return "a configuration of LLaMA-Factory and the dataset_info.json it refers to"
}

// Import reads a configuration from a YAML or JSON file.
func (Importer) Import(path, into string) (*importers.Pipeline, error) {
	options, recipe, err := finetune.Open(path, "LLaMA-Factory", "model_name_or_path", "A configuration of LLaMA-Factory has the keys model_name_or_path, stage, and dataset.")
	if err != nil {
		return nil, err
	}
	im := &importer{Options: options, into: into, names: hcltext.Names{}, recipe: recipe}
	if err := im.run(); err != nil {
		return nil, err
	}
	return recipe.Pipeline(options.Folder)
}

type importer struct {
	*finetune.Options
	into   string
	names  hcltext.Names
	recipe *finetune.Recipe
}

func (im *importer) run() error {
	if err := im.stage(); err != nil {
		return err
	}
	im.base()
	im.adapter()
	im.length()
	im.duration()
	im.optimizer()
	im.precision()
	im.evaluation()
	im.data()
	im.Rest(notes, lost)
	return nil
}

// stage chooses the training stage.
func (im *importer) stage() error {
	stage := im.Take("stage").Text()
	im.Take("do_train")
	types := map[string]string{"": "hf_sft", "sft": "hf_sft", "pt": "hf_sft", "dpo": "hf_dpo", "kto": "hf_dpo", "rm": "hf_reward"}
	name, ok := types[stage]
	if !ok {
		return diag.Failed(fmt.Sprintf("the stage %s cannot be imported", stage), "The plugin hf has trainers for pt, sft, dpo, kto, and rm.")
	}
	im.recipe.Type = name
	if name == "hf_dpo" {
		im.preference(stage)
	}
	return nil
}

func (im *importer) preference(stage string) {
	loss := im.Take("pref_loss").Text()
	switch {
	case stage == "kto":
		loss = "kto"
	case loss == "" || loss == "sigmoid":
		loss = "dpo"
	}
	if loss == "dpo" || loss == "kto" || loss == "orpo" {
		im.recipe.Arguments.Value("loss", loss)
	} else {
		im.Lost(im.At("pref_loss"), "pref_loss "+loss, "hf_dpo has the losses dpo, kto, and orpo, so the imported stage has its default.")
	}
	im.Number("pref_beta", &im.recipe.Arguments, "beta")
	if loss == "kto" {
		im.Number("kto_chosen_weight", &im.recipe.Arguments, "desirable_weight")
		im.Number("kto_rejected_weight", &im.recipe.Arguments, "undesirable_weight")
	}
}

func (im *importer) base() {
	name := im.Take("model_name_or_path").Text()
	if im.Local(name) {
		im.recipe.Base.Path = finetune.Relative(im.Path(name), im.into)
		im.Take("model_revision")
	} else {
		im.recipe.Base = finetune.Base{Repo: name, Revision: im.Take("model_revision").Text()}
	}
	if t := im.Take("template"); t.IsSet() {
		im.Note(im.At("template"), "template "+t.Text(), "the imported stage uses the base model's own template. If that is not the one you mean, set template to its text.")
	}
}

func (im *importer) adapter() {
	switch kind := im.Take("finetuning_type").Text(); kind {
	case "full":
	case "", "lora":
		im.lora()
	default:
		im.Lost(im.At("finetuning_type"), "finetuning_type "+kind, "the plugin hf trains LoRA adapters or all weights.")
	}
	bits := im.Take("quantization_bit")
	method := im.Take("quantization_method").Text()
	switch n, _ := bits.Number(); {
	case !bits.IsSet():
	case n == 4 && (method == "" || method == "bnb" || method == "bitsandbytes"):
		im.recipe.Arguments.Value("quantize", "nf4")
	default:
		im.Lost(im.At("quantization_bit"), fmt.Sprintf("quantization_bit %v", n), `the plugin hf quantizes to 4 bits (quantize = "nf4") or not at all.`)
	}
	if im.Take("use_unsloth").IsTrue() {
		im.recipe.Arguments.Value("engine", "unsloth")
	}
}

// lora reads the adapter. LLaMA-Factory has a rank of 8 and an alpha of twice
// the rank.
func (im *importer) lora() {
	lora := finetune.Attributes{}
	rank := 8.0
	if n, ok := im.Take("lora_rank").Number(); ok {
		rank = n
	}
	lora.Value("r", rank)
	im.NumberOr("lora_alpha", 2*rank, &lora, "alpha")
	im.Number("lora_dropout", &lora, "dropout")
	if t := im.Take("lora_target").Text(); t != "" && t != "all" {
		targets := []any{}
		for name := range strings.SplitSeq(t, ",") {
			targets = append(targets, strings.TrimSpace(name))
		}
		lora.Value("targets", targets)
	}
	for key, name := range map[string]string{"use_rslora": "rslora", "use_dora": "dora"} {
		if im.Take(key).IsTrue() {
			lora.Value(name, true)
		}
	}
	im.recipe.LoRA = lora
}

func (im *importer) length() {
	im.NumberOr("cutoff_len", 2048, &im.recipe.Arguments, "max_length")
	im.recipe.Arguments.Value("longer", "truncate")
	packing, neat := im.Take("packing").IsTrue(), im.Take("neat_packing").IsTrue()
	if (packing || neat) && im.recipe.Type == "hf_sft" {
		im.recipe.Arguments.Value("packing", true)
	}
	if packing && !neat {
		im.Note(im.At("packing"), "packing", "rows in one sequence do not see each other, as with neat_packing.")
	}
}

func (im *importer) duration() {
	a := &im.recipe.Arguments
	if n, ok := im.Peek("max_steps").Number(); ok && n > 0 {
		im.Number("max_steps", a, "steps")
		im.Take("num_train_epochs")
	} else {
		im.NumberOr("num_train_epochs", 3, a, "epochs")
	}
	im.NumberOr("per_device_train_batch_size", 8, a, "batch_size")
	im.Number("gradient_accumulation_steps", a, "gradient_accumulation")
}

func (im *importer) optimizer() {
	a := &im.recipe.Arguments
	im.Choice("optim", "adamw_torch", a, "optimizer", finetune.Optimizers)
	im.NumberOr("learning_rate", 5e-5, a, "learning_rate")
	im.Choice("lr_scheduler_type", "linear", a, "schedule", finetune.Schedules)
	if n, ok := im.Peek("warmup_steps").Number(); ok && n > 0 {
		im.Number("warmup_steps", a, "warmup")
		im.Take("warmup_ratio")
	} else {
		im.Number("warmup_ratio", a, "warmup")
	}
	im.Number("weight_decay", a, "weight_decay")
	im.Number("max_grad_norm", a, "max_grad_norm")
	im.NumberOr("seed", 42, a, "seed")
}

func (im *importer) precision() {
	bf16, pure, fp16 := im.Take("bf16").IsTrue(), im.Take("pure_bf16").IsTrue(), im.Take("fp16").IsTrue()
	switch {
	case pure:
		im.Lost(im.At("pure_bf16"), "pure_bf16", "the plugin hf keeps the weights that it trains in float32.")
		fallthrough
	case bf16:
		im.recipe.Arguments.Value("precision", "bfloat16")
	case fp16:
		im.recipe.Arguments.Value("precision", "float16")
	}
	if im.Take("disable_gradient_checkpointing").IsTrue() {
		im.recipe.Arguments.Value("gradient_checkpointing", false)
	}
}

func (im *importer) evaluation() {
	if n, ok := im.Take("val_size").Number(); ok && n > 0 {
		if n < 1 {
			im.recipe.Holdout = n
		} else {
			im.Lost(im.At("val_size"), "val_size", "it is a number of rows. Add a transform \"split\" with a share, and use its smaller part in a block validation.")
		}
	}
	if strategy := im.Take("eval_strategy").Text(); strategy == "steps" {
		im.Number("eval_steps", &im.recipe.Evaluation, "steps")
	} else {
		im.Take("eval_steps")
	}
	im.Number("early_stopping_steps", &im.recipe.Evaluation, "patience")
}

// data reads the datasets, which dataset_info.json describes.
func (im *importer) data() {
	dir := im.Take("dataset_dir").Text()
	if dir == "" {
		dir = "data"
	}
	rows := 0
	if n, ok := im.Take("max_samples").Number(); ok {
		rows = int(n)
	}
	info := &catalog{importer: im, dir: dir}
	info.read()
	im.recipe.Data = info.datasets("dataset", rows)
	im.recipe.Validation = info.datasets("eval_dataset", rows)
	if len(im.recipe.Data) == 0 {
		im.Lost(im.Root(), "dataset", "the configuration names none.")
	}
}

// listed returns the names in an option: a list, or names separated by commas.
func (im *importer) listed(key string) []string {
	n := im.Take(key)
	var names []string
	for _, item := range n.Listed() {
		for name := range strings.SplitSeq(item.Text(), ",") {
			if name = strings.TrimSpace(name); name != "" {
				names = append(names, name)
			}
		}
	}
	return slices.Compact(names)
}

const (
	tracked = "quern records the curves itself. quern report draws them."
	faster  = "it affects the speed."
)

// notes explain options that do not affect the result, or that quern covers in
// another way.
var notes = finetune.Explained{
	"output_dir":           "the model is an artifact in quern's store. quern artifact export writes it to a folder.",
	"overwrite_output_dir": "the model is an artifact in quern's store.",
	"overwrite_cache":      "quern keeps prepared data in its store.", "tokenized_path": "quern keeps prepared data in its store.",
	"logging_steps": "the dataset curves has the loss. log_steps sets how many steps a row covers.",
	"save_*":        "quern saves checkpoints itself, and continues an interrupted run from the last one. checkpoint_steps sets how often.",
	"plot_loss":     tracked, "report_to": tracked, "run_name": tracked, "use_swanlab": tracked, "swanlab_*": tracked,
	"preprocessing_*": faster, "dataloader_*": faster, "flash_attn": faster, "enable_liger_kernel": faster, "use_unsloth_gc": faster, "per_device_eval_batch_size": faster,
	"use_reentrant_gc": faster, "low_cpu_mem_usage": faster, "do_eval": "the imported stage evaluates if it has a block validation.",
	"ddp_timeout": "quern has its own time limits.", "resume_from_checkpoint": "quern continues an interrupted run by itself.",
	"include_*": "the values of the stage include the tokens per second.", "hf_hub_token": "set HF_TOKEN in the environment.",
	"trust_remote_code":  "the plugin hf does not run programs of models. Models that transformers knows do not need it.",
	"use_fast_tokenizer": "the plugin hf uses the fast tokenizer.",
}

// lost says why options have no equivalent.
var lost = finetune.Explained{
	"deepspeed":            "the plugin hf starts several processes with accelerate. Set processes to the number of GPUs.",
	"fsdp*":                "the plugin hf starts several processes with accelerate. Set processes to the number of GPUs.",
	"train_on_prompt":      "the training stage learns the assistant's messages only.",
	"mask_history":         "the training stage learns all of the assistant's messages. To learn the last one only, use prompt and target.",
	"ref_model":            "the reference is the base model.",
	"adapter_name_or_path": "to go on from an adapter, set base to the stage that trained it.",
	"mix_strategy":         "datasets are put one after another.", "interleave_probs": "datasets are put one after another.",
	"push_to_hub": `to publish the model, add a deploy "huggingface".`,
	"export_*":    "quern artifact export writes the model to a folder.",
}
