package main

// canaryFaults contains blocks that fail because of a secret, or try to reveal
// one, by name.
var canaryFaults = map[string]string{
	"syntax of SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select '${replace(var.key, "'", "")}' frm t"
}
`,
	"secret as SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = var.s
}
`,
	"column in SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select \"${var.key}\" from t"
}
`,
	"name in SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select 1 as \"${var.key}\" from t"
}
`,
	"value in SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select '${var.key}' as v from t"
}
`,
	"conversion in SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select cast(text || '${var.key}' as integer) as v from t"
}
`,
	"memory of SQL": `
transform "sql" "x" {
  inputs = { t = source.t }
  query = "select 1 as v from t"
  memory_limit = var.s
}
`,
	"path": `
source "csv" "x" {
  path = var.s
}
`,
	"path in part": `
source "jsonl" "x" {
  path = "data/${var.key}/*.jsonl"
}
`,
	"encoding": `
source "csv" "x" {
  path = "t.csv"
  encoding = var.s
}
`,
	"delimiter": `
source "csv" "x" {
  path = "t.csv"
  delimiter = var.s
}
`,
	"schema": `
source "csv" "x" {
  path = "t.csv"
  schema = { id = var.s }
}
`,
	"column of a schema": `
source "csv" "x" {
  path = "t.csv"
  schema = { (var.key) = "string" }
}
`,
	"columns": `
source "csv" "x" {
  path = "t.csv"
  columns = [var.s]
}
`,
	"null values": `
source "csv" "x" {
  path = "t.csv"
  null_values = [var.s]
}
`,
	"column": `
transform "map" "x" {
  input = source.t
  columns = { a = row[var.s] }
}
`,
	"name of a column": `
transform "map" "x" {
  input = source.t
  columns = { (var.key) = row.text }
}
`,
	"value of a column": `
transform "map" "x" {
  input = source.t
  columns = { a = "${row.text}${var.s}" }
}
`,
	"encoded in a column": `
transform "map" "x" {
  input = source.t
  columns = { a = base64encode("${row.text}${var.s}") }
}
`,
	"list in a column": `
transform "map" "x" {
  input = source.t
  columns = { a = [row.text, var.o.password] }
}
`,
	"row expression": `
transform "map" "x" {
  input = source.t
  columns = { a = tonumber("${row.text}${var.s}") }
}
`,
	"regular expression": `
transform "map" "x" {
  input = source.t
  columns = { a = regex(var.s, row.text) }
}
`,
	"wrong pattern": `
transform "map" "x" {
  input = source.t
  columns = { a = regex("(${var.s}", row.text) }
}
`,
	"condition": `
transform "filter" "x" {
  input = source.t
  where = tobool("${row.text}${var.n}")
}
`,
	"quarantine": `
transform "map" "x" {
  input = source.t
  columns = { a = tonumber("${row.text}${var.s}") }
  max_errors = 10
}
`,
	"number": `
transform "sample" "x" {
  input = source.t
  rows = var.s
}
`,
	"share": `
transform "sample" "x" {
  input = source.t
  share = var.n
}
`,
	"label of a rule": `
label "rules" "x" {
  input = source.t
  rule "a" {
    when = row.id == 1
    label = var.s
  }
}
`,
	"name of a rule": `
label "rules" "x" {
  input = source.t
  rule "a" {
    when = row.id == 1
    label = tonumber(var.s)
  }
}
`,
	"log of a plugin": `
label "test_upper" "x" {
  input = source.t
  text = row.text
  token = var.s
  fault = "tell"
}
`,
	"file of a plugin": `
label "test_upper" "x" {
  input = source.t
  text = row.text
  trace = "none/${var.s}"
}
`,
	"choice of a plugin": `
label "test_upper" "x" {
  input = source.t
  text = row.text
  fault = var.s
}
`,
	"failed rows": `
label "test_upper" "x" {
  input = source.t
  text = "${row.text} ${var.s}"
  bad = "c"
  max_errors = 5
}
`,
	"instances": `
transform "filter" "x" {
  for_each = toset([var.s])
  input = source.t
  where = true
}
`,
	"count": `
transform "filter" "x" {
  count = var.n
  input = source.t
  where = true
}
`,
	"path of a deployment": `
deploy "directory" "x" {
  artifact = source.t
  path = "serve/${var.key}"
}
`,
	"way of a deployment": `
deploy "test_service" "x" {
  artifact = source.t
  path = "none/${var.key}"
  token = var.s
}
`,
	"notes of a deployment": `
deploy "test_service" "x" {
  artifact = source.t
  path = "notes"
  token = var.s
}
`,
	"values of a deployment": `
deploy "test_service" "x" {
  artifact = source.t
  path = "values"
  token = var.s
}
`,
	"rubric": `
model "openai" "m" {
  name = "m"
  base_url = "http://127.0.0.1:1/v1"
  retries = 0
}
evaluate "prompt" "x" {
  dataset = source.t
  subjects = { a = row.text }
  judge "j" {
    model = model.m
    rubric = "not ${var.s}"
  }
}
`,
	"fault of a deployment": `
deploy "test_service" "x" {
  artifact = source.t
  path = "none/none"
  token = var.s
}
`,
	"gate": `
gate "x" {
  condition = source.t.rows > 5 && var.n > 1
  error_message = "not with ${var.s}"
}
`,
	"output": `
output "x" {
  value = var.s
}
`,
	"explode": `
transform "explode" "x" {
  input  = source.t
  values = jsondecode("[${var.s}")
  as     = "y"
}
`,
	"name in explode": `
transform "explode" "x" {
  input  = source.t
  values = [row.text]
  as     = var.key
}
`,
	"row in explode": `
transform "explode" "x" {
  input  = source.t
  values = row.id > 1 ? [tonumber("${row.text}${var.s}")] : []
  as     = "y"
}
`,
	"chunk": `
transform "chunk" "x" {
  input = source.t
  text  = tostring(tonumber("${row.text}${var.s}"))
  size  = 10
}
`,
	"size in chunk": `
transform "chunk" "x" {
  input   = source.t
  text    = row.text
  size    = 10
  overlap = var.n
}
`,
	"tokenizer in chunk": `
transform "chunk" "x" {
  input     = source.t
  text      = row.text
  size      = 10
  unit      = "tokens"
  tokenizer = var.s
}
`,
	"flat map": `
quern {
  required_plugins {
    test = {}
  }
}
transform "test_words" "x" {
  input = source.t
  text  = "${row.text}${var.s}"
  bad   = "o"
  token = var.key
}
`,
	"check": `
check "x" {
  assert {
    condition     = source.t.rows > 5 && var.n > 1
    error_message = "not with ${var.s}"
  }
}
`,
	"condition of a check": `
check "x" {
  assert {
    condition     = tonumber("${var.s}${source.t.rows}") > 1
    error_message = "no"
  }
}
`,
	"known condition of a check": `
check "x" {
  assert {
    condition     = tobool(var.o.password)
    error_message = "no"
  }
}
`,
	"failing output": `
output "x" {
  value = tonumber("${var.s}${source.t.rows}")
  sensitive = true
}
`,
	"local": `
locals {
  x = tonumber(var.s)
}
output "x" {
  value = local.x
  sensitive = true
}
`,
}

// faultyModel contains blocks that call an endpoint that reveals its keys.
const faultyModel = `
model "openai" "m" {
  name     = %q
  base_url = %q
  api_key  = var.key
  headers  = { "X-Extra" = var.o.password }
  retries  = 1
}

label "llm" "x" {
  input      = source.t
  model      = model.m
  text       = row.text
  max_errors = 1
}

evaluate "prompt" "y" {
  dataset  = source.t
  subjects = { m = { model = model.m, prompt = prompt.p } }
  metrics  = { right = output.text == row.text }
}

prompt "p" {
  user = "${row.text} ${var.s}"
}
`
