package python

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quern-dev/quern/registry/tree"
	"github.com/quern-dev/quern/sdk/go/host/pep440"
	"github.com/quern-dev/quern/store/disk"
)

// installer creates virtual environments and installs packages into them.
type installer interface {
	name() string
	// create makes venv, which may exist and be almost empty, a virtual environment.
	create(ctx context.Context, venv string, i *interpreter) error
	// resolve returns the text of a pylock.toml with a project's dependencies.
	resolve(ctx context.Context, venv string, p *Project) ([]byte, error)
	// dependencies installs packages from a file of requirements with hashes.
	dependencies(ctx context.Context, venv, requirements string, p *Project) error
	// project installs a project without its dependencies: a copy or, if it is
	// editable, a link to its folder.
	project(ctx context.Context, venv string, p *Project, editable bool) error
	// check finds dependencies that the lock file does not contain.
	check(ctx context.Context, venv string) error
}

// build is one Install.
type build struct {
	*Request
	runner    *runner
	uv        *uv // nil if it is not installed
	installer installer
	python    *interpreter
	lock      *Lock
	// newLock is the text of a lock file that must be written.
	newLock []byte
	// editable is set for a version under development: what is installed is a link
	// to the project's folder.
	editable bool
	pins     Pins

	// venv is the temporary folder of the virtual environment, work a folder in it
	// that is removed in the end, and source the project's copy there.
	venv, work string
	source     *Project
	modules    string
	unlock     func()
	record     record
}

func (b *build) close() {
	if b.unlock != nil {
		_ = os.RemoveAll(b.venv)
		b.unlock()
	}
}

func (b *build) begin(ctx context.Context) (err error) {
	b.runner = &runner{temp: os.TempDir(), log: b.Log}
	b.uv = findUV(b.runner)
	if b.lock, err = FindLock(b.Project.Dir); err != nil {
		return err
	}
	if b.lock != nil && b.lock.isGenerated() && b.Upgrade && b.WriteLock {
		b.lock = nil
	}
	b.editable = pep440.IsDevelopment(b.Project.Version)
	b.python, err = find(ctx, b.Python, b.Project.RequiresPython, b.uv)
	return err
}

// needsLock reports whether the dependencies have to be resolved.
func (b *build) needsLock() bool {
	return b.lock == nil && (len(b.Project.Dependencies) > 0 || b.Project.Dynamic)
}

// existing returns the virtual environment if it exists already.
func (b *build) existing() *Venv {
	if b.needsLock() || b.Project.Version == "" || b.python.series == "" {
		return nil
	}
	version, err := pep440.Semantic(b.Project.Version)
	if err != nil {
		return nil
	}
	digests, err := DigestsOf(b.Project.Dir, version, fileDigest)
	if err != nil {
		return nil
	}
	pins := Pins{Python: b.python.series, Version: version, Digests: digests}
	v, err := Open(filepath.Join(b.Dir, pins.Name(b.Project.Dir)))
	if err != nil || !v.Works() {
		return nil
	}
	b.pins = pins
	return v
}

func (b *build) create(ctx context.Context) (err error) {
	if b.venv, b.unlock, err = tempFolder(b.Dir); err != nil {
		return err
	}
	b.work = filepath.Join(b.venv, ".build")
	b.runner.temp = filepath.Join(b.work, "tmp")
	if err := os.MkdirAll(b.runner.temp, 0o755); err != nil {
		return err
	}
	if err := b.copySource(); err != nil {
		return err
	}
	b.installer = &pip{runner: b.runner, cache: b.Cache}
	if b.uv != nil {
		b.installer = b.uv
	}
	if b.Progress != nil {
		b.Progress(fmt.Sprintf("Installing %s with %s…", b.Project.Name, b.installer.name()))
	}
	if err := b.installer.create(ctx, b.venv, b.python); err != nil {
		return err
	}
	made, err := probe(ctx, pythonIn(b.venv))
	if err != nil {
		return fmt.Errorf("the Python of the virtual environment does not work: %w", err)
	}
	if b.Project.RequiresPython != "" && !allows(b.Project.RequiresPython, made.version) || b.Python != "" && made.series != b.Python {
		return missing(b.Python, b.Project.RequiresPython, []string{fmt.Sprintf("%s chose %s", b.installer.name(), made.version)})
	}
	implementation, _, _ := strings.Cut(made.series, " ")
	b.pins.Python, b.record.Python = made.series, implementation+" "+made.version
	return nil
}

// copySource copies the files that the digest covers, so that nothing else can get
// into the package, and no build tool writes into the project's folder.
func (b *build) copySource() error {
	_, files, err := ModulesOf(b.Project.Dir, func(string) (string, error) { return "", nil })
	if err != nil {
		return err
	}
	source := *b.Project
	source.Dir = filepath.Join(b.work, "source")
	for _, name := range files {
		if err := copyFile(filepath.Join(b.Project.Dir, filepath.FromSlash(name)), filepath.Join(source.Dir, filepath.FromSlash(name))); err != nil {
			return err
		}
	}
	b.source = &source
	b.modules, err = tree.Digest(source.Dir, files, fileDigest)
	return err
}

func copyFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		out.Close()
		return err
	}
	return out.Close()
}

func (b *build) lockDependencies(ctx context.Context) (err error) {
	if !b.needsLock() {
		return nil
	}
	if !b.WriteLock {
		return fmt.Errorf("%s has no lock file, and -lockfile=readonly does not allow one to be written; run \"quern init\" without it and commit %s", b.Project.Dir, pylock)
	}
	if b.newLock, err = b.installer.resolve(ctx, b.venv, b.source); err != nil {
		return err
	}
	b.lock = newLock(b.Project.Dir, pylock, b.newLock)
	return nil
}

func (b *build) installDependencies(ctx context.Context) error {
	if b.lock == nil {
		return nil
	}
	text, err := b.lock.requirements(ctx, b.uv)
	if err != nil || len(bytes.TrimSpace(text)) == 0 {
		return err
	}
	requirements := filepath.Join(b.work, "requirements.txt")
	if err := os.WriteFile(requirements, text, 0o644); err != nil {
		return err
	}
	return b.installer.dependencies(ctx, b.venv, requirements, b.source)
}

func (b *build) installProject(ctx context.Context) error {
	installed, err := b.install(ctx)
	if err == nil && pep440.IsDevelopment(b.record.Version) && !b.editable {
		// Its build backend computes the version.
		b.editable = true
		installed, err = b.install(ctx)
	}
	if err != nil {
		return err
	}
	if b.pins.Version, err = pep440.Semantic(b.record.Version); err != nil {
		return err
	}
	b.record.Script, b.record.Module, err = entryPoint(installed, b.Script)
	return err
}

// install installs the project, and returns the folder that describes it.
func (b *build) install(ctx context.Context) (string, error) {
	project := b.source
	if b.editable {
		project = b.Project
	}
	if err := b.installer.project(ctx, b.venv, project, b.editable); err != nil {
		return "", err
	}
	folders, _ := filepath.Glob(filepath.Join(b.venv, "lib", "*", "site-packages", "*.dist-info"))
	for _, folder := range folders {
		name, _, _ := strings.Cut(filepath.Base(folder), "-")
		if normalized(name) != normalized(b.Project.Name) {
			continue
		}
		b.record.Package = b.Project.Name
		var err error
		b.record.Version, err = metadataVersion(folder)
		return folder, err
	}
	return "", fmt.Errorf("%s installed no package %s; check its build backend in %s", b.installer.name(), b.Project.Name, ProjectFile)
}

func metadataVersion(folder string) (string, error) {
	text, err := os.ReadFile(filepath.Join(folder, "METADATA"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if version, ok := strings.CutPrefix(line, "Version:"); ok {
			return strings.TrimSpace(version), nil
		}
	}
	return "", fmt.Errorf("%s has no version", folder)
}

// scriptPrefix begins the names of the programs of plugins.
const scriptPrefix = "quern-plugin-"

// entryPointGroup is the group of entry points that name a plugin's module.
const entryPointGroup = "quern.plugins"

// entryPoint returns what starts a plugin: the script in the virtual environment
// that is named quern-plugin-NAME, or else the module of its entry point.
func entryPoint(installed, preferred string) (script, module string, err error) {
	groups, err := readEntryPoints(filepath.Join(installed, "entry_points.txt"))
	if err != nil {
		return "", "", err
	}
	var scripts []string
	for name := range groups["console_scripts"] {
		if strings.HasPrefix(name, scriptPrefix) {
			scripts = append(scripts, name)
		}
	}
	slices.Sort(scripts)
	switch {
	case len(scripts) == 1:
		return path.Join("bin", scripts[0]), "", nil
	case slices.Contains(scripts, preferred):
		return path.Join("bin", preferred), "", nil
	case len(scripts) > 1:
		return "", "", fmt.Errorf("the package has the scripts %s, and quern does not know which one is the plugin; name it %s", strings.Join(scripts, ", "), preferred)
	}
	modules := slices.Sorted(maps.Values(groups[entryPointGroup]))
	if len(modules) == 1 {
		return "", modules[0], nil
	}
	return "", "", fmt.Errorf("the package does not say how the plugin is started; add to %s:\n\n[project.scripts]\n%s = \"package.module:main\"", ProjectFile, preferred)
}

// readEntryPoints returns the entry points in a file by group and name. Without the
// file, a package has none.
func readEntryPoints(file string) (map[string]map[string]string, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	groups, group := map[string]map[string]string{}, ""
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if name, ok := strings.CutPrefix(line, "["); ok {
			group = strings.TrimSuffix(name, "]")
			groups[group] = map[string]string{}
			continue
		}
		if name, target, ok := strings.Cut(line, "="); ok && group != "" {
			groups[group][strings.TrimSpace(name)] = strings.TrimSpace(target)
		}
	}
	return groups, lines.Err()
}

func (b *build) check(ctx context.Context) error {
	err := b.installer.check(ctx, b.venv)
	if failed, ok := err.(*Failure); ok && b.lock != nil { //nolint:errorlint // The installer's own.
		failed.Advice = fmt.Sprintf("%s does not contain what %s requires. Lock the dependencies again.", b.lock.Name, ProjectFile)
	}
	return err
}

// publish gives the virtual environment its name, and writes a new lock file before
// that.
func (b *build) publish() (*Venv, error) {
	b.pins.Digests = map[string]string{}
	if b.lock != nil {
		b.pins.Digests[b.lock.Name] = b.lock.Digest
	}
	if b.editable {
		digest, err := fileDigest(filepath.Join(b.Project.Dir, ProjectFile))
		if err != nil {
			return nil, err
		}
		b.pins.Digests[ProjectFile] = digest
	} else {
		b.pins.Digests[Modules] = b.modules
	}
	final := filepath.Join(b.Dir, b.pins.Name(b.Project.Dir))
	if err := b.complete(final); err != nil {
		return nil, disk.Explain(err)
	}
	if b.newLock != nil {
		if err := disk.Replace(filepath.Join(b.Project.Dir, pylock), bytes.NewReader(b.newLock), 0o644); err != nil {
			return nil, fmt.Errorf("%w; if the folder cannot be written, lock the dependencies yourself", err)
		}
	}
	if err := b.rename(final); err != nil {
		return nil, err
	}
	return Open(final)
}

// complete writes the record and replaces the temporary path in scripts.
func (b *build) complete(final string) error {
	if err := os.RemoveAll(b.work); err != nil {
		return err
	}
	if err := replaceInScripts(filepath.Join(b.venv, "bin"), b.venv, final); err != nil {
		return err
	}
	b.record.Format, b.record.Installer, b.record.Digests = Format, b.installer.name(), b.pins.Digests
	text, err := json.MarshalIndent(&b.record, "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.venv, recordFile), append(text, '\n'), 0o644); err != nil {
		return err
	}
	return syncFolder(b.venv)
}

// maxScript is the maximum size of a file that is searched for the temporary path.
const maxScript = 1 << 20

func replaceInScripts(dir, old, now string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err != nil || info.Size() > maxScript {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(old)) || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		return os.WriteFile(path, bytes.ReplaceAll(text, []byte(old), []byte(now)), info.Mode().Perm())
	})
}

// rename publishes the virtual environment, unless another process was faster. One
// whose interpreter is gone is replaced.
func (b *build) rename(final string) error {
	v, err := Open(final)
	if err == nil && v.Works() {
		return nil
	}
	if isDir(final) {
		if err := os.Rename(final, filepath.Join(b.venv, ".replaced")); err != nil {
			return err
		}
		defer os.RemoveAll(filepath.Join(final, ".replaced"))
	}
	if err := os.Rename(b.venv, final); err != nil && !isDir(final) {
		return err
	}
	return nil
}
