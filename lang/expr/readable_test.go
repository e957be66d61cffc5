package expr

import "testing"

func TestReadableShowsTemplatesAsTheyWereWritten(t *testing.T) {
	for text, want := range map[string]string{
		`row.text`:                            `row.text`,
		`"Message: ${row.text}\nAnswer"`:      "Message: ${row.text}\nAnswer",
		`"a \u0024{b} ${upper("x${row.y}")}"`: `a ${b} ${upper("x${row.y}")}`,
		`jsonencode({messages = [{role = "system", content = "Be brief."}, {role = "user", content = "Say:\n${row.text}"}], tools = [1]})`: "── system\nBe brief.\n── user\nSay:\n${row.text}\n── tools\n[1]",
		`jsonencode({messages = concat([{role = "user", content = row.text}], row.turns)})`:                                                "── user\nrow.text\n── messages\nrow.turns",
		`jsonencode({a = 1})`: `jsonencode({a = 1})`,
		`not valid (`:         `not valid (`,
	} {
		if got := Readable(text); got != want {
			t.Errorf("Readable(%s) =\n%s\nwant\n%s", text, got, want)
		}
	}
}
