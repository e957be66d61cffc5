package figures

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
)

// PageFile is the name of the report's page for people.
const PageFile = "report.md"

// WriteReport writes both files of a report into its folder: findings as JSON,
// and page as Markdown.
func WriteReport(dir string, findings any, page string) error {
	text, err := json.MarshalIndent(findings, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the metrics: %w", err)
	}
	for name, content := range map[string]string{measurement.File: string(text) + "\n", PageFile: page} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	return nil
}

// Cell escapes a name for a table in Markdown.
func Cell(name string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", "").Replace(name)
}
