# Run these tests with "quern test". They call no model and deploy nothing.

mock "model.teacher" {
  rule {
    when   = can(regex("(?i)top.?(ped|ping)?.?up", request.user))
    answer = { label = "top_up" }
  }
  rule {
    when   = can(regex("(?i)exchange|currenc|rate", request.user))
    answer = { label = "exchange" }
  }
  rule {
    when   = can(regex("(?i)transfer|sen[dt]|receiv", request.user))
    answer = { label = "transfer" }
  }
  answer = { label = "card" }
}

run "messages_are_cleaned" {
  target = ["transform.clean"]
  mock "source.messages" {
    rows = [
      { id = 1, text = "  my   card\n is lost ", intent = "activate_my_card" },
      { id = 2, text = "what?", intent = "small_talk" },
    ]
  }
  expect "transform.clean" {
    rows = [{ id = 1, text = "my card is lost", queue = "card" }]
  }
}

run "the_student_is_deployed" {
  assert {
    condition     = output.labeled.plain == 1 && output.labeled.examples == 1
    error_message = "Some answers of the teacher are not labels."
  }
  assert {
    condition     = output.student_less_teacher.low >= -var.most_lost
    error_message = "The student is too much worse than its teacher."
  }
  assert {
    condition = alltrue([for c in calls("model.teacher") : strcontains(c.request.user, "Message: ")])
  }
  assert {
    condition = plan.actions["deploy.prod"] == "create" && deploy.prod.path == "serve/current"
  }
}

run "nothing_is_labeled_again" {
  variables {
    most_lost = 0.2
  }
  assert {
    condition     = apply.calls == 0
    error_message = "A threshold must not call the teacher."
  }
}

run "a_bad_student_is_not_deployed" {
  mock "train.plain" {
    columns = { label = "card" }
  }
  expect_error {
    address = "gate.good"
    text    = "may be worse than its teacher"
  }
  expect_error {
    address = "gate.good"
    text    = "not significantly better than guessing"
  }
}
