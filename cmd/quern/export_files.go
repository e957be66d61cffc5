package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclwrite"

	"github.com/quern-dev/quern/cmd/quern/internal/arguments"
	"github.com/quern-dev/quern/internal/revision"
	"github.com/quern-dev/quern/lang/config"
	"github.com/quern-dev/quern/lang/diag"
	"github.com/quern-dev/quern/registry"
)

// exportFiles are the files of a pipeline that an archive contains.
type exportFiles struct {
	// base is the folder whose layout the archive has: the pipeline's, or one that also
	// contains its local modules and the included files. folder is the pipeline's folder
	// in the archive, and paths are the files, by their path in the archive. Both have
	// slashes.
	base, folder string
	paths        map[string]string
	// store is the pipeline's store, and local the folder that belongs to this machine.
	store, local string
	// settings is the file that says where the store is, or empty.
	settings string
}

// exportedFiles finds the files that Git tracks or would add, without Git all that are
// not hidden, in the folders of the pipeline and its modules, and the included ones.
func exportedFiles(ctx context.Context, ui *terminal, args *arguments.Export, archive string) (*exportFiles, error) {
	root, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	s, err := openStore(ui)
	if err != nil {
		return nil, err
	}
	folders, packages, err := moduleFolders(ui, root)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, dir := range append(folders, root) {
		if err := filesIn(ctx, dir, found); err != nil {
			return nil, diag.Failed(fmt.Sprintf("the files in %s cannot be listed", dir), "%w", err)
		}
	}
	maps.DeleteFunc(found, func(at string, _ bool) bool { return isExport(at) })
	found[filepath.Join(root, registry.LockFile)] = true // hidden, and perhaps not tracked yet
	if err := matching(args.Include.Value, func(at string) { found[at] = true }); err != nil {
		return nil, err
	}
	if err := matching(args.Exclude.Value, func(at string) { delete(found, at) }); err != nil {
		return nil, err
	}
	delete(found, archive)
	f := &exportFiles{base: root, paths: map[string]string{}, store: s.Dir, local: filepath.Join(root, localDir)}
	if settings, _, _ := config.LoadStore("."); settings != nil && settings.Path != "" {
		if f.settings = settings.PathRange.Filename; strings.HasSuffix(f.settings, config.JSONSuffix) {
			return nil, diag.Failed("the place of the store cannot be removed", "In an archive, the store is in %s, so the path in the store block has to go. quern cannot do that in JSON. Move the block to a file whose name ends in %s.", localDir, config.Suffix)
		}
	}
	for at := range found {
		for rel, err := filepath.Rel(f.base, at); err != nil || !filepath.IsLocal(rel); rel, err = filepath.Rel(f.base, at) {
			f.base = filepath.Dir(f.base)
		}
	}
	if f.folder, err = f.name(root); err != nil {
		return nil, err
	}
	for at := range found {
		// A tracked file may be deleted, and a link may lead to a folder.
		if info, err := os.Stat(at); err != nil || !info.Mode().IsRegular() || within(s.Dir, at) || within(f.local, at) {
			continue
		}
		name, err := f.name(at)
		if err != nil {
			return nil, err
		}
		f.paths[name] = at
	}
	return f, f.vendor(packages, root)
}

// exportTree is the folder of an archive that has the layout of the base folder.
const exportTree = "pipeline"

// name returns the path of a file in the archive.
func (f *exportFiles) name(at string) (string, error) {
	rel, err := filepath.Rel(f.base, at)
	return path.Join(exportTree, filepath.ToSlash(rel)), err
}

// within reports whether a path is in a folder.
func within(dir, at string) bool {
	rel, err := filepath.Rel(dir, at)
	return err == nil && filepath.IsLocal(rel)
}

// vendor adds the packages of modules, in the folder where a pipeline keeps those that
// need no installation.
func (f *exportFiles) vendor(packages []string, root string) error {
	to, err := f.name(filepath.Join(root, registry.VendorDir))
	if err != nil {
		return err
	}
	for _, dir := range packages {
		err := filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			rel, err := filepath.Rel(filepath.Dir(dir), at)
			f.paths[to+"/"+filepath.ToSlash(rel)] = at
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// moduleFolders returns the folders of local modules outside of the root folder, and
// those of the packages that other modules come from.
func moduleFolders(ui *terminal, root string) (folders, packages []string, err error) {
	modules := registry.OpenModules(".")
	_, diags := readTree(ui, func(call registry.ModuleCall) (string, hcl.Diagnostics) {
		dir, diags := modules.Find(call)
		if diags.HasErrors() {
			return dir, diags
		}
		if at := modules.Package(dir); at != "" {
			packages = append(packages, filepath.Join(root, at))
		} else if at := filepath.Join(root, dir); !within(root, at) {
			folders = append(folders, at)
		}
		return dir, nil
	})
	slices.Sort(packages)
	return folders, slices.Compact(packages), ui.failed(diags)
}

// filesIn adds the files in a folder.
func filesIn(ctx context.Context, dir string, found map[string]bool) error {
	if repo, err := revision.Open(ctx, dir); err == nil {
		names, err := repo.Files(ctx, dir)
		for _, name := range names {
			found[filepath.Join(dir, filepath.FromSlash(name))] = true
		}
		return err
	}
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(d.Name(), ".") && at != dir && d.Name() != registry.LockFile
		switch {
		case err != nil:
			return err
		case hidden && d.IsDir():
			return filepath.SkipDir
		case !hidden && d.Type().IsRegular():
			found[at] = true
		}
		return nil
	})
}

// isExport reports whether a file is an archive that an earlier export wrote: it
// begins with the name of its first file.
func isExport(at string) bool {
	if filepath.Ext(at) != ".tar" {
		return false
	}
	f, err := os.Open(at)
	if err != nil {
		return false
	}
	defer f.Close()
	begin := make([]byte, len(exportFolder)+1)
	_, err = io.ReadFull(f, begin)
	return err == nil && string(begin) == exportFolder+"/"
}

// matching calls f for the files that match patterns.
func matching(patterns []string, f func(at string)) error {
	for _, pattern := range patterns {
		if filepath.IsAbs(pattern) {
			return diag.Failed(fmt.Sprintf("%q is an absolute path", pattern), "Write a path relative to the folder of the pipeline. An archive is unpacked anywhere, so a source cannot have an absolute path there.")
		}
		names, err := doublestar.FilepathGlob(pattern, doublestar.WithFilesOnly())
		if err != nil {
			return diag.Failed(fmt.Sprintf("%q is not a valid pattern", pattern), "%w", err)
		}
		if len(names) == 0 {
			return diag.Failed(fmt.Sprintf("no file matches %q", pattern), "Write a path relative to the folder of the pipeline. ** matches any number of folders.")
		}
		for _, name := range names {
			at, err := filepath.Abs(name)
			if err != nil {
				return err
			}
			f(at)
		}
	}
	return nil
}

// largest is the size in bytes from which a file is linked into a view.
const largest = 1 << 20

// view creates a folder in which only the files of the archive exist, and the store.
func (f *exportFiles) view(dir string) error {
	for name, at := range f.paths {
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			return err
		}
		if err := stageFile(at, to); err != nil {
			return err
		}
	}
	local := filepath.Join(dir, filepath.FromSlash(f.folder), localDir)
	if _, err := os.Stat(f.local); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return os.Symlink(f.local, local)
}

// stageFile copies a file, or links it if it is large. Links in modules stay links, and
// their files are never linked, because the digests of modules distinguish the two.
func stageFile(from, to string) error {
	if target, ok := moduleLink(from); ok {
		return os.Symlink(target, to)
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if info.Size() > largest && !inModule(to) {
		return os.Symlink(from, to)
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm()|0o400)
}

// inModule reports whether a file belongs to an installed module.
func inModule(at string) bool {
	const sep = string(filepath.Separator)
	return strings.Contains(at, sep+registry.VendorDir+sep) || strings.Contains(at, sep+filepath.Join(localDir, "modules")+sep)
}

// moduleLink returns the target of a symbolic link in an installed module.
func moduleLink(at string) (target string, ok bool) {
	if !inModule(at) {
		return "", false
	}
	target, err := os.Readlink(at)
	return target, err == nil
}

// isVariables reports whether a file has values of variables. The archive has all of
// them in one file, without those of sensitive variables.
func isVariables(name string) bool {
	return strings.HasSuffix(name, ".vars.hcl") || strings.HasSuffix(name, ".vars.json")
}

// withoutSecrets refuses a file that contains the value of a sensitive variable.
func (e *exporting) withoutSecrets(at string) error {
	f, err := os.Open(at)
	if err != nil {
		return err
	}
	defer f.Close()
	const overlap = 64 << 10
	window := make([]byte, 0, largest+overlap)
	for {
		n, err := io.ReadFull(f, window[len(window):cap(window)])
		window = window[:len(window)+n]
		if text := string(window); e.ui.secrets.Text(text) != text {
			return diag.Failed(fmt.Sprintf("%s contains the value of a sensitive variable", shortPath(at)), "Archives never contain secrets. Remove the value from the file, or leave the file out with -exclude.")
		}
		if err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return err
		}
		window = append(window[:0], window[len(window)-overlap:]...)
	}
}

// ownStore returns the text of a configuration file without the place of the store: an
// archive has its store where a pipeline has it by default.
func ownStore(name string, text []byte) ([]byte, error) {
	f, diags := hclwrite.ParseConfig(text, name, hcl.InitialPos)
	if diags.HasErrors() {
		return nil, diagnosed{diags}
	}
	for _, settings := range f.Body().Blocks() {
		for _, block := range settings.Body().Blocks() {
			if settings.Type() == "quern" && block.Type() == "store" {
				block.Body().RemoveAttribute("path")
			}
		}
	}
	return f.Bytes(), nil
}
