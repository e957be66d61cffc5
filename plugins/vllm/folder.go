package vllm

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/sdk/go/plugin"
)

// format is the format of models with adapters, and adapterFolder is where they
// have the adapter.
const (
	format        = "hf-adapter"
	adapterFolder = "adapter/"
)

// adapterOf returns the files of a model's adapter, or why vLLM cannot serve it.
func adapterOf(m *plugin.ModelFiles) ([]plugin.File, error) {
	files, err := findAdapter(m)
	if err != nil {
		return nil, &plugin.ArgumentError{Argument: "artifact", Err: err}
	}
	return files, nil
}

func findAdapter(m *plugin.ModelFiles) ([]plugin.File, error) {
	if m.Format != format {
		return nil, fmt.Errorf("a model in the format %s is not an adapter\nvLLM loads LoRA adapters, in the format %s, while it runs. It reads a whole model only when it starts.", m.Format, format)
	}
	var files []plugin.File
	for _, f := range m.Files {
		if name, ok := strings.CutPrefix(f.Name, adapterFolder); ok && !strings.Contains(name, "/") {
			f.Name = name
			files = append(files, f)
		}
	}
	for _, name := range []string{"adapter_config.json", "adapter_model.safetensors"} {
		if !slices.ContainsFunc(files, func(f plugin.File) bool { return f.Name == name }) {
			return nil, fmt.Errorf("the adapter has no %s", name)
		}
	}
	return files, checkConfig(m)
}

// checkConfig returns an error for a kind of adapter that vLLM does not load.
func checkConfig(m *plugin.ModelFiles) error {
	file, err := m.Path(adapterFolder + "adapter_config.json")
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	c := struct {
		Type  string   `json:"peft_type"`
		DoRA  bool     `json:"use_dora"`
		Bias  string   `json:"bias"`
		Saved []string `json:"modules_to_save"`
	}{Bias: "none"}
	if err := json.Unmarshal(text, &c); err != nil {
		return fmt.Errorf("read adapter_config.json: %w", err)
	}
	problem := ""
	switch {
	case c.Type != "LORA":
		problem = fmt.Sprintf("its type is %q instead of \"LORA\"", c.Type)
	case c.DoRA:
		problem = "it uses DoRA"
	case c.Bias != "none":
		problem = fmt.Sprintf("its bias is %q instead of \"none\"", c.Bias)
	case len(c.Saved) > 0:
		problem = "it contains whole layers: " + strings.Join(c.Saved, ", ")
	default:
		return nil
	}
	return fmt.Errorf("vLLM does not load this adapter: %s\nMerge it into its base model, or train it with other arguments.", problem)
}

// place is the folder that quern and the replicas share.
type place string

func (d *deployment) place(n *notes) place {
	if filepath.IsAbs(n.Path) {
		return place(filepath.Clean(n.Path))
	}
	return place(filepath.Join(d.root, n.Path))
}

func (p place) folder(version string) string { return filepath.Join(string(p), version) }

func (p place) has(version string) bool {
	info, err := os.Stat(p.folder(version))
	return err == nil && info.IsDir()
}

// temporary is the prefix of folders that are being written.
const temporary = ".quern-tmp-"

// write creates the folder of a version, unless it exists with these files. It
// appears under its name only when it is complete.
func (p place) write(ctx context.Context, version string, files []plugin.File) error {
	if p.has(version) && p.same(version, files) {
		return nil
	}
	if err := os.MkdirAll(string(p), 0o755); err != nil {
		return fmt.Errorf("create the folder for adapters: %w", err)
	}
	dir, err := os.MkdirTemp(string(p), temporary+version+"-")
	if err != nil {
		return fmt.Errorf("create a folder for the adapter: %w", err)
	}
	defer os.RemoveAll(dir)
	for _, f := range files {
		if err := copyFile(ctx, f, filepath.Join(dir, f.Name)); err != nil {
			return fmt.Errorf("write %s: %w", f.Name, err)
		}
	}
	// The replicas run as other users.
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := syncFolder(dir); err != nil {
		return err
	}
	if err := os.RemoveAll(p.folder(version)); err != nil {
		return fmt.Errorf("replace a damaged folder: %w", err)
	}
	if err := os.Rename(dir, p.folder(version)); err != nil {
		return fmt.Errorf("move the adapter into place: %w", err)
	}
	return syncFolder(string(p))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}

// same reports whether the folder of a version has these files.
func (p place) same(version string, files []plugin.File) bool {
	return !slices.ContainsFunc(files, func(f plugin.File) bool {
		content, err := os.Open(filepath.Join(p.folder(version), f.Name))
		if err != nil {
			return true
		}
		defer content.Close()
		sum := sha256.New()
		_, err = io.Copy(sum, content)
		return err != nil || fmt.Sprintf("sha256:%x", sum.Sum(nil)) != f.Digest
	})
}

// copyFile copies a file and verifies its content.
func copyFile(ctx context.Context, f plugin.File, to string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(f.Path)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	sum := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, sum), in)
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", sum.Sum(nil)); got != f.Digest {
		return fmt.Errorf("the file in the store is damaged: its digest is %s, but should be %s", got, f.Digest)
	}
	return nil
}

// sweep deletes the folders of versions that are not kept, and what interrupted
// applies left.
func (p place) sweep(n *notes, kept []string) error {
	entries, err := os.ReadDir(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the folder for adapters: %w", err)
	}
	var errs []error
	for _, e := range entries {
		unfinished := strings.HasPrefix(e.Name(), temporary+n.Name+versionMark)
		if unfinished || n.isVersion(e.Name()) && !slices.Contains(kept, e.Name()) {
			errs = append(errs, os.RemoveAll(filepath.Join(string(p), e.Name())))
		}
	}
	return errors.Join(errs...)
}
