package linear

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/xxh3"
)

// checkpointFile contains, in little-endian order: a SHA-256 of everything that
// determines the training, the number of finished epochs and the loss of each,
// the fitter's numbers, and an xxh3 of everything before it. Only the version
// that wrote a checkpoint reads it. A checkpoint that does not match is
// ignored.
const checkpointFile = "checkpoint"

const checkpointVersion = 1

// identity identifies trainings whose checkpoints are interchangeable.
func (f *fitter) identity() [sha256.Size]byte {
	text, err := json.Marshal([]any{
		checkpointVersion, batchRows, window, f.opts, f.survey.rows, f.survey.classes, f.survey.counts, len(f.weights),
	})
	if err != nil {
		panic(err) // cannot happen: the options are plain numbers and strings, and NaN was refused before
	}
	return sha256.Sum256(text)
}

// numbers returns everything that an epoch changes, in the file's order.
func (f *fitter) numbers() []any {
	return []any{&f.steps, &f.scale, &f.grownBias, f.bias, f.grown, f.weights}
}

// checkpoint writes the state after an epoch under a temporary name, and then
// renames it over the previous checkpoint.
func (f *fitter) checkpoint(dir string, losses []float64) error {
	if dir == "" {
		return nil
	}
	name := filepath.Join(dir, checkpointFile)
	file, err := os.Create(name + ".new")
	if err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	defer file.Close()
	if err := f.write(file, losses); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		return fmt.Errorf("write a checkpoint: %w", err)
	}
	return nil
}

func (f *fitter) write(file io.Writer, losses []float64) error {
	buffer := bufio.NewWriterSize(file, 1<<20)
	sum := xxh3.New()
	w := io.MultiWriter(buffer, sum)
	for _, part := range append([]any{f.identity(), int64(len(losses)), losses}, f.numbers()...) {
		if err := binary.Write(w, binary.LittleEndian, part); err != nil {
			return err
		}
	}
	if err := binary.Write(buffer, binary.LittleEndian, sum.Sum64()); err != nil {
		return err
	}
	return buffer.Flush()
}

// restore loads the last checkpoint, if there is one that matches, and returns
// the losses of the finished epochs.
func (f *fitter) restore(dir string) []float64 {
	if dir == "" {
		return nil
	}
	content, err := os.ReadFile(filepath.Join(dir, checkpointFile))
	identity := f.identity()
	if err != nil || len(content) < len(identity)+16 || !bytes.HasPrefix(content, identity[:]) {
		return nil
	}
	body, sum := content[:len(content)-8], content[len(content)-8:]
	if xxh3.Hash(body) != binary.LittleEndian.Uint64(sum) {
		return nil
	}
	r := bytes.NewReader(body[len(identity):])
	var epochs int64
	if binary.Read(r, binary.LittleEndian, &epochs) != nil || epochs < 1 || epochs > int64(f.opts.Epochs) {
		return nil
	}
	losses := make([]float64, epochs)
	for _, part := range append([]any{losses}, f.numbers()...) {
		if err := binary.Read(r, binary.LittleEndian, part); err != nil {
			// The checksum matched, so this cannot happen. Start again.
			*f = *newFitter(f.survey, f.opts)
			return nil
		}
	}
	return losses
}
