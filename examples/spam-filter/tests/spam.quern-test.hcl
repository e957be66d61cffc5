# Run these tests with "quern test". They deploy nothing.

variables {
  least_messages = 1
}

run "messages_are_cleaned" {
  target = ["module.messages"]
  mock "source.sms" {
    rows = [
      { label = "spam", text = "  WIN   now!\t Call 09061701461 " },
      { label = "spam", text = "WIN now! Call 08712402050" },
      { label = "ham", text = "see you at 5" },
    ]
  }
  expect "module.messages[\"sms\"].transform.clean" {
    rows = [
      { channel = "sms", label = "spam", text = "WIN now! Call #" },
      { channel = "sms", label = "ham", text = "see you at 5" },
    ]
  }
}

run "customers_are_no_spammers" {
  target = ["transform.bank"]
  mock "source.bank" {
    rows = [{ text = "WIN now!", category = "other" }]
  }
  expect "transform.bank" {
    rows = [{ text = "WIN now!", label = "ham" }]
  }
}

run "contradictory_labels_stop_the_pipeline" {
  mock "source.sms" {
    rows = [
      { label = "spam", text = "Call me" },
      { label = "ham", text = "Call  me" },
    ]
  }
  expect_error {
    address = "module.messages[\"sms\"].transform.clean"
    text    = "unique"
  }
}

run "a_filter_that_drops_everything_is_not_deployed" {
  mock "module.candidate.train.filter" {
    columns = { label = "spam", confidence = 0.9 }
  }
  expect_error {
    address = "gate.good"
    text    = "may drop too many other messages: it keeps 0.0% to"
  }
}

run "the_best_filter_is_deployed" {
  mock "module.candidate.train.filter" {
    columns = { label = can(regex("#|(?i)free|win", row.text)) ? "spam" : "ham", confidence = 0.9 }
  }
  variables {
    least_found = 0.5
    least_kept  = 0.5
  }
  assert {
    condition     = plan.actions["deploy.filter"] == "create" && output.spam_found.value > 0.5
    error_message = "It finds ${output.spam_found.value} of the spam."
  }
  assert {
    condition     = sum([for part in transform.all : part.rows]) == sum([for m in module.messages : m.train.rows + m.validation.rows + m.test.rows])
    error_message = "Messages were lost or repeated."
  }
}
