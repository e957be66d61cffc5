package promptfoo

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/quern-dev/quern/importers/internal/importtest"
)

func TestConfigurationsBecomeThesePipelines(t *testing.T) {
	importtest.Archives(t, Importer{}, "")
}

// seeds returns the configurations in an archive.
func seeds(archive []byte) [][]byte {
	var all [][]byte
	for _, f := range txtar.Parse(archive).Files {
		if strings.HasPrefix(f.Name, "promptfooconfig") {
			all = append(all, f.Data)
		}
	}
	return all
}
