package document_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/quern-dev/quern/store/backend"
	"github.com/quern-dev/quern/store/disk"
	"github.com/quern-dev/quern/store/document"
)

type note struct {
	Format string `json:"format"`
	Text   string `json:"text"`
}

func TestADocumentIsJSONAndSurvives(t *testing.T) {
	text, err := document.Encode(note{"quern.note/v1", "größer \u2028"})
	if err != nil || !json.Valid(text) {
		t.Fatalf("%s %v", text, err)
	}
	var back note
	if err := document.Decode("note", "quern.note/v1", text, &back); err != nil || back.Text != "größer \u2028" {
		t.Fatal(back, err)
	}
}

func TestEveryFlippedBitIsFound(t *testing.T) {
	text, err := document.Encode(note{"quern.note/v1", "text"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for bit := range 8 {
			text[i] ^= 1 << bit
			var damaged *document.Damaged
			if err := document.Decode("note", "quern.note/v1", text, &note{}); !errors.As(err, &damaged) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			text[i] ^= 1 << bit
		}
	}
	for n := range text {
		if err := document.Decode("note", "quern.note/v1", text[:n], &note{}); err == nil {
			t.Fatalf("the first %d bytes pass for the whole", n)
		}
	}
}

func TestALaterFormatIsNotMisread(t *testing.T) {
	text, err := document.Encode(note{"quern.note/v2", "text"})
	if err != nil {
		t.Fatal(err)
	}
	var newer *document.Newer
	if err := document.Decode("note", "quern.note/v1", text, &note{}); !errors.As(err, &newer) {
		t.Fatal(err)
	}
}

func TestADamagedFileIsMovedAside(t *testing.T) {
	dir := t.TempDir()
	ctx, b := context.Background(), backend.NewLocal(dir, disk.NewSyncer())
	path := filepath.Join(dir, "note.json")
	if err := os.WriteFile(path, []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := document.SetAside(ctx, b, "note.json", document.Read(ctx, b, "note.json", "quern.note/v1", &note{}))
	var damaged *document.Damaged
	if !errors.As(err, &damaged) || damaged.Aside == "" {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(damaged.Aside); err != nil || string(text) != "{}" {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
}

func TestOnlyObjectsAreDocuments(t *testing.T) {
	for _, v := range []any{1, []int{1}, struct{}{}, nil, map[string]int{}} {
		if text, err := document.Encode(v); err == nil {
			t.Errorf("%v became %s", v, text)
		}
	}
}
