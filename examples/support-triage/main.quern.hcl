# Trains a small classifier on a language model's labels, and deploys it only if
# it is not much worse, with 95% confidence. See README.md.

source "csv" "messages" {
  path = "data/messages.csv"
}

source "csv" "queues" {
  path = "data/queues.csv"
}

transform "sql" "clean" {
  inputs = { messages = source.messages, queues = source.queues }
  query  = <<-SQL
    select id, trim(regexp_replace(text, '\s+', ' ', 'g')) as text, queue
    from messages join queues using (intent)
  SQL
}

transform "split" "parts" {
  input  = transform.clean
  by     = row.text # a message always stays in the same part
  shares = { train = 0.65, test = 0.35 }
}

# ---- the teacher -----------------------------------------------------------

model "openai" "teacher" {
  name            = var.model
  base_url        = var.endpoint
  temperature     = 0
  max_tokens      = 64
  max_concurrency = 4
}

locals {
  queues = {
    card     = "ordering, receiving, activating, losing a card; its PIN"
    transfer = "sending money to or receiving money from another account"
    top_up   = "adding money to the account, topping up"
    exchange = "exchanging currencies, exchange rates"
  }
}

prompt "plain" {
  user = "Message: ${row.text}"
}

# The same question after four example exchanges, none of which is in the data.
prompt "examples" {
  user = "Message: ${row.text}"

  dynamic "example" {
    for_each = {
      card     = "How do I activate my new card?"
      transfer = "The money that I sent to my friend has not arrived."
      top_up   = "Why did my top up fail?"
      exchange = "What exchange rate do you use?"
    }

    content {
      user      = "Message: ${example.value}"
      assistant = jsonencode({ label = example.key })
    }
  }
}

label "llm" "plain" {
  input   = transform.parts.train
  model   = model.teacher
  prompt  = prompt.plain
  classes = local.queues
}

label "llm" "examples" {
  input   = transform.parts.train
  model   = model.teacher
  prompt  = prompt.examples
  classes = local.queues
}

# ---- the students ----------------------------------------------------------

# They learn from the teacher's labels, never from the correct ones.

train "linear" "plain" {
  dataset = label.plain
  text    = row.text
  target  = row.plain
}

train "linear" "examples" {
  dataset = label.examples
  text    = row.text
  target  = row.examples
}

# ---- the evaluation --------------------------------------------------------

evaluate "classification" "queues" {
  dataset = transform.parts.test
  subjects = {
    teacher          = { model = model.teacher, prompt = prompt.plain }
    teacher_examples = { model = model.teacher, prompt = prompt.examples }
    student          = train.plain
    student_examples = train.examples
  }
  target  = row.queue
  classes = local.queues
  id      = row.id
}

gate "good" {
  check {
    condition     = evaluate.queues.differences["student - teacher"].accuracy.low >= -var.most_lost
    error_message = "The student may be worse than its teacher by more than ${format("%.1f", 100 * var.most_lost)} points: the difference is between ${format("%.1f", 100 * evaluate.queues.differences["student - teacher"].accuracy.low)} and ${format("%.1f", 100 * evaluate.queues.differences["student - teacher"].accuracy.high)} points."
  }

  check {
    condition     = evaluate.queues.subjects.student.accuracy.low > 1 / length(local.queues)
    error_message = "The student is not significantly better than guessing."
  }
}

deploy "directory" "prod" {
  artifact   = train.plain
  path       = "serve/current"
  depends_on = [gate.good]
}
