package hubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// change is a line of a commit.
type change struct {
	Key   string
	Value struct {
		Summary, ParentCommit, Path, OID string
		Content                          []byte
	}
}

func (h *Hub) commit(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	if repo == nil {
		return
	}
	branch := r.PathValue("branch")
	head := repo.revision(w, branch)
	if head == "" {
		return
	}
	files, title := maps.Clone(repo.commits[head]), ""
	for lines := json.NewDecoder(r.Body); ; {
		var c change
		err := lines.Decode(&c)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			refuse(w, http.StatusBadRequest, err.Error())
			return
		}
		if c.Key == "header" {
			title = c.Value.Summary
			if parent := c.Value.ParentCommit; parent != "" && parent != head {
				refuse(w, http.StatusPreconditionFailed, "A commit has happened since. Please refresh and try again.")
				return
			}
			continue
		}
		if message := h.apply(files, &c); message != "" {
			refuse(w, http.StatusBadRequest, message)
			return
		}
	}
	commit := repo.add(branch, title, files)
	answer(w, map[string]any{"success": true, "commitOid": commit, "commitUrl": fmt.Sprintf("http://%s/%s/%s/commit/%s", r.Host, r.PathValue("owner"), r.PathValue("name"), commit)})
}

// apply applies a line of a commit to files, or says why that is impossible.
func (h *Hub) apply(files map[string]stored, c *change) string {
	name := c.Value.Path
	switch c.Key {
	case "file":
		files[name] = stored{content: c.Value.Content}
	case "lfsFile":
		content, ok := h.large[c.Value.OID]
		if !ok {
			return "The file " + name + " was not uploaded"
		}
		files[name] = stored{content, true}
	case "deletedFile":
		if _, ok := files[name]; !ok {
			return "A file with this name doesn't exist: " + name
		}
		delete(files, name)
	default:
		return "Unknown operation " + c.Key
	}
	return ""
}
