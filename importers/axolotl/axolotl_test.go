package axolotl

import (
	"testing"

	"github.com/quern-dev/quern/importers/internal/importtest"
)

func TestConfigurationsBecomeThesePipelines(t *testing.T) {
	importtest.Archives(t, Importer{}, "config.yml")
}
