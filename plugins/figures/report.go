package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// The files of a report: the figures for programs, and a page for people.
const (
	MetricsFile = "metrics.json"
	PageFile    = "report.md"
)

// WriteReport writes both files of a report into its folder: findings as JSON,
// and the page, which is Markdown.
func WriteReport(dir string, findings any, page string) error {
	text, err := json.MarshalIndent(findings, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the metrics: %w", err)
	}
	for name, content := range map[string]string{MetricsFile: string(text) + "\n", PageFile: page} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// String writes a figure with its interval.
func (f Figure) String() string {
	if f.Value == nil {
		return Text(nil)
	}
	return fmt.Sprintf("%s [%s, %s]", Text(f.Value), Text(f.Low), Text(f.High))
}

// Text writes a number that may not be known.
func Text(v *float64) string {
	if v == nil {
		return "–"
	}
	return fmt.Sprintf("%.4g", *v)
}

// Cell makes a name fit for a table in Markdown.
func Cell(name string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", "").Replace(name)
}
