// Package axolotl converts a configuration of Axolotl, a trainer of language
// models, to a pipeline: the base model, the data as sources, and a training
// stage of the plugin hf.
package axolotl

import (
	"fmt"
	"strings"

	"github.com/quern-dev/quern/importers"
	"github.com/quern-dev/quern/importers/internal/finetune"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// Importer reads configurations of Axolotl.
type Importer struct{}

// Tool returns the name of the tool.
func (Importer) Tool() string { return "axolotl" }

// Reads describes which files are read.
func (Importer) Reads() string { return "a configuration of Axolotl" }

// Import reads a configuration from a YAML file.
func (Importer) Import(path, into string) (*importers.Pipeline, error) {
	options, recipe, err := finetune.Open(path, "Axolotl", "base_model", "A configuration of Axolotl has the keys base_model and datasets.")
	if err != nil {
		return nil, err
	}
	im := &importer{Options: options, into: into, names: hcltext.Names{}, recipe: recipe}
	im.run()
	return recipe.Pipeline(options.Folder)
}

type importer struct {
	*finetune.Options
	into   string
	names  hcltext.Names
	recipe *finetune.Recipe
}

func (im *importer) run() {
	im.method()
	im.base()
	im.adapter()
	im.length()
	im.batches()
	im.duration()
	im.optimizer()
	im.precision()
	im.evaluation()
	im.data()
	im.Rest(notes, lost)
}

// method chooses the training stage.
func (im *importer) method() {
	rl, reward := im.Take("rl").Text(), im.Take("reward_model").IsTrue()
	switch {
	case reward:
		im.recipe.Type = "hf_reward"
	case rl == "":
		im.recipe.Type = "hf_sft"
	default:
		im.recipe.Type = "hf_dpo"
		im.preference(rl)
	}
}

// losses maps the values of rl to losses of hf_dpo.
var losses = map[string]string{"dpo": "dpo", "kto": "kto", "orpo": "orpo"}

func (im *importer) preference(rl string) {
	loss, ok := losses[rl]
	if !ok {
		im.Lost(im.At("rl"), "rl "+rl, "hf_dpo has the losses dpo, kto, and orpo, so the imported stage has its default.")
		return
	}
	im.recipe.Arguments.Value("loss", loss)
	beta := "rl_beta"
	if loss == "orpo" {
		beta = "orpo_alpha"
	}
	im.Number(beta, &im.recipe.Arguments, "beta")
	if loss == "kto" {
		im.Number("kto_desirable_weight", &im.recipe.Arguments, "desirable_weight")
		im.Number("kto_undesirable_weight", &im.recipe.Arguments, "undesirable_weight")
	}
}

func (im *importer) base() {
	name := im.Take("base_model").Text()
	if im.Local(name) {
		im.recipe.Base.Path = finetune.Relative(im.Path(name), im.into)
	} else {
		im.recipe.Base = finetune.Base{Repo: name, Revision: im.Take("revision_of_model").Text()}
	}
	for _, key := range []string{"base_model_config", "tokenizer_config"} {
		if n := im.Take(key); n.IsSet() && n.Text() != name {
			im.Lost(im.At(key), key, "the tokenizer and the configuration are those of the base model.")
		}
	}
	im.template()
}

// template reads the chat template of the whole configuration.
func (im *importer) template() {
	name, jinja := im.Take("chat_template").Text(), im.Take("chat_template_jinja").Text()
	switch {
	case jinja != "":
		im.recipe.Arguments.Set("template", im.templateText(jinja))
	case name == "" || name == "tokenizer_default":
	default:
		im.Note(im.At("chat_template"), "chat_template "+name, "the imported stage uses the base model's own template. If that is not the one you mean, set template to its text.")
	}
}

// templateText is the expression for a template, which is a text or the name of
// a file.
func (im *importer) templateText(jinja string) string {
	if strings.Contains(jinja, "{") || strings.Contains(jinja, "\n") {
		return hcltext.Quote(jinja)
	}
	return fmt.Sprintf("file(%s)", hcltext.Quote(finetune.Relative(im.Path(jinja), im.into)))
}

func (im *importer) adapter() {
	adapter := im.Take("adapter").Text()
	four, eight := im.Take("load_in_4bit").IsTrue(), im.Take("load_in_8bit").IsTrue()
	if four || adapter == "qlora" {
		im.recipe.Arguments.Value("quantize", "nf4")
	} else if eight {
		im.Lost(im.At("load_in_8bit"), "load_in_8bit", `the plugin hf quantizes to 4 bits (quantize = "nf4") or not at all.`)
	}
	if adapter == "" {
		return
	}
	if adapter != "lora" && adapter != "qlora" {
		im.Lost(im.At("adapter"), "adapter "+adapter, "the plugin hf trains LoRA adapters or all weights.")
		return
	}
	lora := finetune.Attributes{}
	im.Number("lora_r", &lora, "r")
	im.Number("lora_alpha", &lora, "alpha")
	im.Number("lora_dropout", &lora, "dropout")
	im.targets(&lora)
	for key, name := range map[string]string{"peft_use_rslora": "rslora", "peft_use_dora": "dora"} {
		if im.Take(key).IsTrue() {
			lora.Value(name, true)
		}
	}
	im.recipe.LoRA = lora
}

func (im *importer) targets(lora *finetune.Attributes) {
	linear := im.Take("lora_target_linear").IsTrue()
	modules := im.Take("lora_target_modules")
	switch {
	case linear: // the plugin's default
	case modules.IsList():
		lora.Value("targets", modules.Plain())
	case modules.IsSet():
		im.Lost(im.At("lora_target_modules"), "lora_target_modules", "it is a pattern. List the names of the layers.")
	default:
		im.Note(im.At("adapter"), "adapter", "the imported stage trains all linear layers, which is the default of the plugin hf.")
	}
}

func (im *importer) length() {
	im.Number("sequence_len", &im.recipe.Arguments, "max_length")
	longer := map[string]string{"drop": "drop", "truncate": "truncate", "raise": "error"}
	im.Choice("excess_length_strategy", "drop", &im.recipe.Arguments, "longer", longer)
	if im.Take("sample_packing").IsTrue() {
		im.recipe.Arguments.Value("packing", true)
	}
}

func (im *importer) batches() {
	micro, total := im.Peek("micro_batch_size"), im.Take("batch_size")
	im.Number("micro_batch_size", &im.recipe.Arguments, "batch_size")
	if im.Peek("gradient_accumulation_steps").IsSet() || !total.IsSet() {
		im.Number("gradient_accumulation_steps", &im.recipe.Arguments, "gradient_accumulation")
		return
	}
	all, _ := total.Number()
	one, _ := micro.Number()
	if one > 0 && all >= one {
		im.recipe.Arguments.Value("gradient_accumulation", float64(int(all/one)))
	}
}

func (im *importer) duration() {
	if im.Peek("max_steps").IsSet() {
		im.Number("max_steps", &im.recipe.Arguments, "steps")
		im.Take("num_epochs")
		return
	}
	im.NumberOr("num_epochs", 1, &im.recipe.Arguments, "epochs")
}

func (im *importer) optimizer() {
	a := &im.recipe.Arguments
	im.Choice("optimizer", "adamw_torch_fused", a, "optimizer", finetune.Optimizers)
	im.Number("learning_rate", a, "learning_rate")
	im.Choice("lr_scheduler", "cosine", a, "schedule", finetune.Schedules)
	if im.Peek("warmup_steps").IsSet() {
		im.Number("warmup_steps", a, "warmup")
		im.Take("warmup_ratio")
	} else {
		im.Number("warmup_ratio", a, "warmup")
	}
	im.Number("weight_decay", a, "weight_decay")
	im.Number("max_grad_norm", a, "max_grad_norm")
	im.Number("seed", a, "seed")
}

func (im *importer) precision() {
	on := func(key string) bool { n := im.Take(key); return n.IsTrue() || n.Text() == "full" }
	bf16, fp16 := on("bf16") || on("bfloat16"), on("fp16") || on("float16")
	switch {
	case bf16:
		im.recipe.Arguments.Value("precision", "bfloat16")
	case fp16:
		im.recipe.Arguments.Value("precision", "float16")
	case on("float32"):
		im.recipe.Arguments.Value("precision", "float32")
	}
	checkpointing := im.Take("gradient_checkpointing")
	if checkpointing.IsSet() {
		im.recipe.Arguments.Value("gradient_checkpointing", checkpointing.IsTrue() || checkpointing.IsText())
	}
}

func (im *importer) evaluation() {
	if n, ok := im.Take("val_set_size").Number(); ok && n > 0 {
		if n < 1 {
			im.recipe.Holdout = n
		} else {
			im.Lost(im.At("val_set_size"), "val_set_size", "it is a number of rows. Add a transform \"split\" with a share, and pass its smaller part as validation.")
		}
	}
	im.evaluationSteps()
	im.Number("early_stopping_patience", &im.recipe.Evaluation, "patience")
}

// evaluationSteps reads after how many steps to evaluate. Axolotl also takes a
// share of all steps.
func (im *importer) evaluationSteps() {
	n, ok := im.Peek("eval_steps").Number()
	if ok && n < 1 {
		im.Take("eval_steps")
		im.Note(im.At("eval_steps"), "eval_steps", "it is a share of all steps. The imported stage evaluates after each epoch. Set steps in the block validation for another interval.")
		return
	}
	im.Number("eval_steps", &im.recipe.Evaluation, "steps")
}

// notes explain options that do not affect the result, or that quern covers in
// another way.
var notes = finetune.Explained{
	"output_dir":                    "the model is an artifact in quern's store. quern artifact export writes it to a folder.",
	"dataset_prepared_path":         "quern keeps prepared data in its store.",
	"logging_steps":                 "the dataset curves has the loss. log_steps sets how many steps a row covers.",
	"save*":                         "quern saves checkpoints itself, and continues an interrupted run from the last one. checkpoint_steps sets how often.",
	"resume_from_checkpoint":        "quern continues an interrupted run by itself.",
	"auto_resume_from_checkpoints":  "quern continues an interrupted run by itself.",
	"wandb_*":                       "quern records the curves itself. quern report draws them.",
	"mlflow_*":                      "quern records the curves itself. quern report draws them.",
	"comet_*":                       "quern records the curves itself. quern report draws them.",
	"swanlab_*":                     "quern records the curves itself. quern report draws them.",
	"trackio_*":                     "quern records the curves itself. quern report draws them.",
	"use_*board":                    "quern records the curves itself. quern report draws them.",
	"strict":                        "quern checks the whole pipeline before anything runs.",
	"model_type":                    "the plugin hf reads the architecture from the base model.",
	"tokenizer_type":                "the plugin hf reads the type of the tokenizer from the base model.",
	"tf32":                          "it affects the speed.",
	"attn_implementation":           "it affects the speed. The plugin hf chooses the implementation.",
	"flash_attention":               "it affects the speed. The plugin hf chooses the implementation.",
	"sdp_attention":                 "it affects the speed. The plugin hf chooses the implementation.",
	"xformers_attention":            "it affects the speed. The plugin hf chooses the implementation.",
	"liger_*":                       "it affects the speed and the memory.",
	"torch_compile*":                "it affects the speed.",
	"lora_*_kernel":                 "it affects the speed.",
	"gradient_checkpointing_kwargs": "it affects the speed and the memory.",
	"pad_to_sequence_len":           "it affects the speed.",
	"group_by_length":               "it affects the speed.",
	"dataset_processes":             "it affects the speed.",
	"dataset_num_proc":              "it affects the speed.",
	"dataloader_*":                  "it affects the speed.",
	"ddp_timeout":                   "quern has its own time limits.",
	"eval_sample_packing":           "it affects the speed of evaluations.",
	"eval_batch_size":               "it affects the speed of evaluations.",
	"evals_per_epoch":               "the imported stage evaluates after each epoch. Set steps in the block validation for more.",
	"eval_strategy":                 "the imported stage evaluates after each epoch. Set steps in the block validation for another interval.",
	"remove_unused_columns":         "the training stage reads only the columns that its arguments name.",
	"gc_*":                          "it affects the memory.",
	"profiler_*":                    "it does not affect the result.",
	"include_t*":                    "the values of the stage include the tokens per second.",
}

// lost says why options have no equivalent.
var lost = finetune.Explained{
	"plugins":           "they are programs, and the import does not run programs.",
	"deepspeed":         "the plugin hf starts several processes with accelerate. Set processes to the number of GPUs.",
	"fsdp*":             "the plugin hf starts several processes with accelerate. Set processes to the number of GPUs.",
	"special_tokens":    "the tokens are those of the base model's tokenizer.",
	"tokens":            "the tokens are those of the base model's tokenizer.",
	"hub_model_id":      `to publish the model, add a deploy "huggingface".`,
	"train_on_inputs":   "the training stage learns the assistant's messages only.",
	"lora_model_dir":    "to go on from an adapter, set base to the stage that trained it.",
	"trust_remote_code": "the plugin hf does not run programs of models.",
}
