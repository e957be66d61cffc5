package llamafactory

import (
	"testing"

	"github.com/quern-dev/quern/importers/internal/importtest"
)

func TestConfigurationsBecomeThesePipelines(t *testing.T) {
	importtest.Archives(t, Importer{}, "train.yaml")
}
