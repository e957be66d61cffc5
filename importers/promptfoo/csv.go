package promptfoo

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.yaml.in/yaml/v4"

	"github.com/quern-dev/quern/importers/internal/config"
	"github.com/quern-dev/quern/importers/internal/hcltext"
)

// testsOfCSV reads tests from CSV, one per row. The columns are variables,
// except for those that begin with two underscores. alone is true if the
// configuration has no other tests.
func (im *importer) testsOfCSV(file string, d defaults, alone bool) error {
	src, err := im.Bytes(file)
	if err != nil {
		return err
	}
	src = bytes.TrimPrefix(src, []byte("\ufeff"))
	r := csv.NewReader(bytes.NewReader(src))
	r.LazyQuotes, r.FieldsPerRecord = true, -1
	records, err := r.ReadAll()
	if err != nil {
		return fmt.Errorf("the file %s is not valid CSV: %w", file, err)
	}
	if len(records) < 2 {
		return fmt.Errorf("the file %s has no rows", file)
	}
	header := records[0]
	for i := range header {
		header[i] = strings.TrimSpace(header[i])
	}
	lines := recordLines(src)
	for i, record := range records[1:] {
		at := lineNode(file, lines, i+1)
		t := &test{at: at}
		vars := im.csvRow(t, at, header, record)
		im.addTest(at, t, d, vars...)
	}
	if alone && isPlain(header, records) && len(d.vars) == 0 && len(d.extra) == 0 {
		im.untouched = file
	}
	return nil
}

// recordLines returns the line of each record.
func recordLines(src []byte) []int {
	r := csv.NewReader(bytes.NewReader(src))
	r.LazyQuotes, r.FieldsPerRecord, r.ReuseRecord = true, -1, true
	var lines []int
	for {
		record, err := r.Read()
		if err != nil {
			return lines
		}
		line := 1
		if len(record) > 0 {
			line, _ = r.FieldPos(0)
		}
		lines = append(lines, line)
	}
}

func lineNode(file string, lines []int, record int) config.Node {
	line := 1
	if record < len(lines) {
		line = lines[record]
	}
	return textNode(file, line, "")
}

func textNode(file string, line int, text string) config.Node {
	return config.Node{File: filepath.ToSlash(file), YAML: &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text, Line: line}}
}

// isPlain reports whether the source can read the file unchanged: no cell has a
// special meaning, and no field is empty, because the source would read it as
// null.
func isPlain(header []string, records [][]string) bool {
	for _, name := range header {
		if name == "" || strings.HasPrefix(name, "__") {
			return false
		}
	}
	for _, record := range records[1:] {
		if len(record) != len(header) {
			return false
		}
		for _, field := range record {
			if field == "" || strings.HasPrefix(field, "file://") || strings.Contains(field, "{{") || strings.Contains(field, "{%") || strings.HasSuffix(field, "\n") {
				return false
			}
		}
	}
	return true
}

// csvRow reads a row: its variables, and the meaning of the other columns.
func (im *importer) csvRow(t *test, at config.Node, header, record []string) []config.Entry {
	var vars []config.Entry
	metric := config.Node{}
	thresholds := map[int]string{}
	var options []*yaml.Node
	for i, name := range header {
		if i >= len(record) {
			break
		}
		cell := textNode(at.File, at.Line(), record[i])
		field := strings.TrimSpace(record[i])
		switch {
		case strings.HasPrefix(name, "__expected"):
			if field != "" {
				t.asserts = append(t.asserts, assertionOf(at, field))
			}
		case name == "__prefix", name == "__suffix":
			options = append(options, textNode(at.File, at.Line(), name[2:]).YAML, cell.YAML)
		case name == "__description":
			t.extra = append(t.extra, config.Member{Name: "description", Value: record[i]})
		case name == "__metric":
			metric = cell
		case strings.HasPrefix(name, "__metadata:"):
			if field != "" {
				t.extra = append(t.extra, config.Member{Name: "metadata_" + hcltext.Identifier(strings.TrimPrefix(name, "__metadata:"), "value"), Value: field})
			}
		case strings.HasPrefix(name, "__config:__expected") && strings.HasSuffix(name, ":threshold"):
			number := strings.TrimSuffix(strings.TrimPrefix(name, "__config:__expected"), ":threshold")
			if n, err := strconv.Atoi(number); err == nil {
				thresholds[n-1] = field
			} else if number == "" {
				thresholds[0] = field
			}
		case strings.HasPrefix(name, "__"):
			if field != "" {
				im.Lost(at, "column "+name, "it has no equivalent.")
			}
		default:
			vars = append(vars, config.Entry{Key: name, At: at, Value: cell})
		}
	}
	for i, a := range t.asserts {
		if s := thresholds[i]; s != "" {
			setNode(a.YAML, "threshold", s)
		}
		if metric.Text() != "" {
			setNode(a.YAML, "metric", metric.Text())
		}
	}
	if len(options) > 0 {
		t.options = append(t.options, config.Node{File: at.File, YAML: &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line(), Content: options}})
	}
	return vars
}

func setNode(y *yaml.Node, key, value string) {
	y.Content = append(y.Content, textNode("", y.Line, key).YAML, textNode("", y.Line, value).YAML)
}

// shorthand matches an assertion in a cell: not-TYPE(THRESHOLD):VALUE.
var shorthand = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(not-)?([a-z]+(?:-[a-z0-9]+)*)(?:\((\d+(?:\.\d+)?)\))?(?::([\s\S]*))?$`)
})

// thresholded contains types that have a threshold in cells even if none is
// written.
var thresholded = map[string]string{
	"similar": "0.8", "answer-relevance": "0.75", "classifier": "0.75", "context-faithfulness": "0.75", "context-recall": "0.75",
	"context-relevance": "0.75", "cost": "0.75", "latency": "0.75", "levenshtein": "0.75", "perplexity-score": "0.75",
	"perplexity": "0.75", "rouge-n": "0.75", "starts-with": "0.75",
}

// assertionOf reads the assertion in a cell.
func assertionOf(at config.Node, cell string) config.Node {
	y := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: at.Line()}
	set := func(typ, value string) config.Node {
		setNode(y, "type", typ)
		setNode(y, "value", strings.TrimSpace(value))
		return config.Node{File: at.File, YAML: y}
	}
	for prefix, typ := range map[string]string{
		"javascript:": "javascript", "fn:": "javascript", "eval:": "javascript", "grade:": "llm-rubric", "llm-rubric:": "llm-rubric", "python:": "python",
	} {
		if rest, ok := strings.CutPrefix(cell, prefix); ok {
			return set(typ, rest)
		}
	}
	m := shorthand().FindStringSubmatch(cell)
	if m == nil || !slices.Contains(allTypes(), m[2]) {
		if isScript(cell) && strings.HasPrefix(cell, "file://") {
			return set("javascript", cell)
		}
		return set("equals", cell)
	}
	if m[3] == "" {
		m[3] = thresholded[m[2]]
	}
	if m[3] != "" {
		setNode(y, "threshold", m[3])
	}
	if m[4] == "" {
		setNode(y, "type", m[1]+m[2])
		return config.Node{File: at.File, YAML: y}
	}
	return set(m[1]+m[2], m[4])
}
