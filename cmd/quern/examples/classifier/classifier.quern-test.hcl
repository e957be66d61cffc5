# Run these tests with "quern test". They deploy nothing.

mock "source.messages" {
  rows = concat(
    [for day in ["today", "on Monday", "last week", "in June"] : { text = "I lost my card ${day}", topic = "card" }],
    [for day in ["today", "on Monday", "last week", "in June"] : { text = "What was the rate ${day}?", topic = "rate" }],
  )
}

run "messages_are_split" {
  command = plan
  assert {
    condition = plan.actions["transform.parts"] == "run"
  }
}

run "a_good_model_is_deployed" {
  mock "train.student" {
    columns = { label = strcontains(row.text, "card") ? "card" : "rate" }
  }
  assert {
    condition     = output.accuracy.value == 1
    error_message = "The model is right about ${output.accuracy.value * 100}% of the messages."
  }
  assert {
    condition = plan.actions["deploy.prod"] == "create"
  }
}

run "a_bad_model_is_not" {
  mock "train.student" {
    columns = { label = strcontains(row.text, "card") ? "rate" : "card" }
  }
  expect_error {
    address = "gate.good"
    text    = "less than half"
  }
}
