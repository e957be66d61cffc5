package hubtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
)

func (h *Hub) preupload(w http.ResponseWriter, r *http.Request) {
	repo := h.at(w, r)
	var request struct {
		Files []struct {
			Path   string
			Sample []byte
			Size   int64
		}
	}
	if repo == nil || !decode(w, r, &request) {
		return
	}
	there := repo.commits[repo.branches[r.PathValue("branch")]]
	files := []map[string]any{}
	for _, f := range request.Files {
		mode := "regular"
		if f.Size >= h.LargeFrom || path.Ext(f.Path) == ".safetensors" {
			mode = "lfs"
		}
		one := map[string]any{"path": f.Path, "uploadMode": mode, "shouldIgnore": false}
		if old, ok := there[f.Path]; ok {
			one["oid"] = gitOID(old.content)
			if old.large {
				one["oid"] = sha(old.content)
			}
		}
		files = append(files, one)
	}
	answer(w, map[string]any{"files": files})
}

func (h *Hub) batch(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Objects []struct {
			OID  string
			Size int64
		}
	}
	if !decode(w, r, &request) {
		return
	}
	objects := []map[string]any{}
	for _, o := range request.Objects {
		one := map[string]any{"oid": o.OID, "size": o.Size}
		if _, ok := h.large[o.OID]; !ok {
			one["actions"] = h.actions(r.Host, o.OID, o.Size)
		}
		objects = append(objects, one)
	}
	w.Header().Set("Content-Type", "application/vnd.git-lfs+json")
	_ = json.NewEncoder(w).Encode(map[string]any{"transfer": "basic", "objects": objects})
}

func (h *Hub) actions(host, oid string, size int64) map[string]any {
	verify := map[string]any{"href": "http://" + host + "/api/verify"}
	if h.PartSize == 0 || size <= h.PartSize {
		return map[string]any{"upload": map[string]any{"href": "http://" + host + "/storage/" + oid}, "verify": verify}
	}
	header := map[string]string{"chunk_size": strconv.FormatInt(h.PartSize, 10)}
	for n := int64(1); (n-1)*h.PartSize < size; n++ {
		header[fmt.Sprintf("%05d", n)] = fmt.Sprintf("http://%s/storage/%s?part=%d", host, oid, n)
	}
	return map[string]any{"upload": map[string]any{"href": "http://" + host + "/api/complete/" + oid, "header": header}, "verify": verify}
}

func (h *Hub) store(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "" {
		refuse(w, http.StatusBadRequest, "Only one auth mechanism allowed")
		return
	}
	content, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	oid, part := r.PathValue("oid"), r.URL.Query().Get("part")
	w.Header().Set("ETag", `"`+sha(content)[:16]+`"`)
	switch {
	case part != "":
		h.parts[oid+" "+part] = content
	case sha(content) != oid:
		refuse(w, http.StatusBadRequest, "The SHA-256 does not match")
	default:
		h.large[oid] = content
	}
}

func (h *Hub) complete(w http.ResponseWriter, r *http.Request) {
	var request struct {
		Parts []struct {
			PartNumber int
			ETag       string
		}
	}
	if !decode(w, r, &request) {
		return
	}
	var content []byte
	for _, p := range request.Parts {
		part := h.parts[fmt.Sprintf("%s %d", r.PathValue("oid"), p.PartNumber)]
		if p.ETag != `"`+sha(part)[:16]+`"` {
			refuse(w, http.StatusBadRequest, "The ETag of a part does not match")
			return
		}
		content = append(content, part...)
	}
	if sha(content) != r.PathValue("oid") {
		refuse(w, http.StatusBadRequest, "The SHA-256 does not match")
		return
	}
	h.large[sha(content)] = content
}

func (h *Hub) verify(w http.ResponseWriter, r *http.Request) {
	var request struct {
		OID  string
		Size int64
	}
	if !decode(w, r, &request) {
		return
	}
	if content, ok := h.large[request.OID]; !ok || int64(len(content)) != request.Size {
		refuse(w, http.StatusNotFound, "The file was not uploaded")
	}
}
