# Teaches a small language model to answer questions about tables with SQL, and
# deploys it only if it does so better than before, with 95% confidence. See
# README.md.

quern {
  required_plugins {
    hf = { command = ["../../.cache/train/bin/python", "-m", "quern_hf"] } # make finetune installs it
  }
}

source "jsonl" "questions" {
  path = "data/questions.jsonl"
}

# A text is the table's name, its columns, a question after "Q: ", and the SQL
# after "A: ".
transform "map" "clean" {
  input = source.questions
  columns = {
    table    = trimprefix(split("\n", row.text)[0], "table: ")
    question = replace(trimspace(split("\nA: ", row.text)[0]), "Q:  ", "Q: ")
    sql      = trimspace(split("\nA: ", row.text)[1])
  }
}

transform "split" "parts" {
  input  = transform.clean
  by     = row.table # the model is evaluated on tables that it has never seen
  shares = { train = 0.9, test = 0.1 }
}

transform "sample" "train" {
  input = transform.parts.train
  rows  = var.train_rows
}

transform "sample" "test" {
  input = transform.parts.test
  rows  = var.test_rows
}

# ---- the training ----------------------------------------------------------

model "hf" "base" {
  gguf       = var.base
  max_tokens = 64
}

# The prompt of the training is also that of the evaluation, so both render the
# same text.
prompt "sql" {
  system = "Answer with the SQL query that answers the question about the table."
  user   = row.question
}

train "hf_sft" "tuned" {
  base    = model.base
  dataset = transform.train
  prompt  = prompt.sql
  target  = row.sql

  max_length    = 320
  longer        = "drop"
  epochs        = 1
  batch_size    = 4
  learning_rate = 1e-3
  schedule      = "cosine"
  warmup        = 0.1
  log_steps     = 5

  lora {
    r     = 16
    alpha = 32
  }
}

# ---- the evaluation --------------------------------------------------------

# How likely the correct queries are to each model.
evaluate "perplexity" "perplexity" {
  dataset  = transform.test
  subjects = { base = model.base, tuned = train.tuned }
  prompt   = prompt.sql
  target   = row.sql
}

# How many queries each model writes exactly.
evaluate "prompt" "exact" {
  dataset = transform.test
  subjects = {
    base  = { model = model.base, prompt = prompt.sql }
    tuned = { model = train.tuned, prompt = prompt.sql }
  }
  cluster = row.table # questions about a table resemble each other
  metrics = {
    exact = trimspace(output.text) == row.sql
  }
}

gate "better" {
  check {
    condition     = evaluate.exact.differences["tuned - base"].exact.low > 0
    error_message = "The tuned model is not significantly better than its base."
  }
}

deploy "directory" "prod" {
  artifact   = train.tuned
  path       = "serve/current"
  depends_on = [gate.better]
}
