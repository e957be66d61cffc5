# Run these tests with "quern test". They deploy nothing.

mock "source.messages" {
  rows = [
    { text = "  my   card\n is lost ", category = "lost_card" },
    { text = "my card is lost", category = "lost_card" },
    { text = "How do I top up?", category = "top_up" },
    { text = "?", category = "other" },
  ]
}

run "messages_are_cleaned" {
  target = ["transform.clean"]
  expect "transform.clean" {
    rows = [
      { text = "my card is lost", intent = "lost_card" },
      { text = "How do I top up?", intent = "top_up" },
    ]
  }
}

run "the_first_rule_decides" {
  target = ["label.topic"]
  mock "transform.parts" {
    output "train" {
      rows = [
        { text = "Why was my card top up declined?", intent = "a" },
        { text = "My new card", intent = "a" },
        { text = "Hello", intent = "b" },
      ]
    }
    output "test" {
      rows = [{ text = "Hello", intent = "b" }]
    }
  }
  expect "label.topic" {
    rows = [
      { text = "Why was my card top up declined?", topic = "top up" },
      { text = "My new card", topic = "card" },
      { text = "Hello", topic = null },
    ]
  }
}

run "a_bad_student_is_not_deployed" {
  mock "transform.parts" {
    output "train" {
      rows = [{ text = "my card", intent = "a" }]
    }
    output "test" {
      rows = [for i in range(20) : { text = "card ${i}", intent = "a" }]
    }
  }
  mock "train.student" {
    columns = { label = "b" }
  }
  expect_error {
    address = "gate.good"
    text    = "The student's accuracy may be below"
  }
}
