# Trains spam filters for a bank's messages, and deploys the best of them, first
# to dev and then, by promotion, to prod. See README.md.

quern {
  budget {
    seconds = 600 # of machine time in one run
  }

  environment "prod" {
    budget {
      seconds = 60 # prod computes next to nothing: it adopts what dev has
    }
  }
}

source "csv" "sms" {
  path      = "data/sms.tsv"
  delimiter = "\t"
  quote     = ""
}

source "csv" "bank" {
  path = "data/bank.csv"
}

# Customers' questions are never spam.
transform "map" "bank" {
  input   = source.bank
  columns = { text = row.text, label = "ham" }
}

module "messages" {
  source   = "./modules/messages"
  for_each = { sms = source.sms, bank = transform.bank }

  messages       = each.value
  channel        = each.key
  least_messages = var.least_messages
}

# The messages of all channels, for each purpose.
transform "sql" "all" {
  for_each = toset(["train", "validation", "test"])
  inputs   = { for channel, m in module.messages : channel => m[each.key] }
  query    = "select channel, text, label from sms union all by name select channel, text, label from bank"
}

module "candidate" {
  source   = "./modules/candidate"
  for_each = var.candidates

  messages    = transform.all["train"]
  word_ngrams = each.value.words
  char_ngrams = each.value.characters
}

evaluate "classification" "candidates" {
  dataset  = transform.all["validation"]
  subjects = { for name, m in module.candidate : name => m.model }
  target   = row.label
}

# The best candidate is tested with messages that had no part in the choice.
locals {
  winner = evaluate.candidates.best.macro_f1
}

evaluate "classification" "winner" {
  dataset  = transform.all["test"]
  subjects = { winner = module.candidate[local.winner].model }
  target   = row.label
  id       = row.text
}

locals {
  spam_found  = evaluate.winner.subjects.winner.classes["spam"].recall
  others_kept = evaluate.winner.subjects.winner.classes["ham"].recall

  percent = {
    for name, share in { found = local.spam_found, kept = local.others_kept } :
    name => format("%.1f%% to %.1f%%", 100 * share.low, 100 * share.high)
  }
}

gate "good" {
  check {
    condition     = local.spam_found.low >= var.least_found
    error_message = "The filter may miss too much spam: it finds ${local.percent.found}."
  }

  check {
    condition     = local.others_kept.low >= var.least_kept
    error_message = "The filter may drop too many other messages: it keeps ${local.percent.kept}."
  }
}

deploy "directory" "filter" {
  artifact   = module.candidate[local.winner].model
  path       = var.serve_path
  depends_on = [gate.good]
}
