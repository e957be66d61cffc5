// Package lid176 contains fastText's model for identifying 176 languages,
// compressed (lid.176.ftz). The model has a license of its own; see NOTICE.md.
package lid176

import (
	"bytes"
	_ "embed"
	"sync"

	"github.com/quern-dev/quern/internal/fasttext"
)

//go:embed lid.176.ftz
var file []byte

// Digest identifies the model: the SHA-256 of its file.
const Digest = "8f3472cfe8738a7b6099e8e999c3cbfae0dcd15696aac7d7738a8039db603e83"

// Model returns the model. The first call decodes it.
var Model = sync.OnceValues(func() (*fasttext.Model, error) {
	return fasttext.Read(bytes.NewReader(file), int64(len(file)))
})
