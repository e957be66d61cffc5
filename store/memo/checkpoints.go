package memo

import (
	"errors"

	"github.com/quern-dev/quern/store/blob"
	"github.com/quern-dev/quern/store/dataset"
	"github.com/quern-dev/quern/store/document"
)

// CheckpointsKey returns the shard key of the part with the checkpoints of a dataset
// that a definition produces.
func CheckpointsKey(definition, port string) string {
	return blob.Sum([]byte("quern.checkpoints/v1 " + definition + " " + port))
}

// Checkpoints returns the checkpoints of a dataset that the last run of a definition
// produced. Damaged ones count as none.
func (s *Store) Checkpoints(definition, port string) (*dataset.Checkpoints, error) {
	part, err := s.Lookup(definition, CheckpointsKey(definition, port))
	if damaged := (*document.Damaged)(nil); errors.As(err, &damaged) || err == nil && part == nil {
		return dataset.NewCheckpoints(nil), nil
	}
	if err != nil {
		return nil, err
	}
	return dataset.NewCheckpoints(part.Checkpoints), nil
}

// PutCheckpoints remembers the checkpoints of a dataset for the next run.
func (s *Store) PutCheckpoints(definition, port string, c *dataset.Checkpoints) error {
	if !c.Changed() {
		return nil
	}
	return s.Put(&Part{Definition: definition, ShardKey: CheckpointsKey(definition, port), Results: Results{Checkpoints: c.Made()}})
}
