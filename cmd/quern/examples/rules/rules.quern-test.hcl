# Run these tests with "quern test".

run "rules_label_messages" {
  mock "source.messages" {
    rows = [
      { text = "I lost my card", topic = "card" },
      { text = "Where is my transfer?", topic = "transfer" },
      { text = "Hello!", topic = "other" },
    ]
  }
  expect "label.guess" {
    rows = [
      { text = "I lost my card", guess = "card" },
      { text = "Where is my transfer?", guess = "transfer" },
      { text = "Hello!", guess = null },
    ]
  }
}
