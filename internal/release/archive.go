package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/quern-dev/quern/internal/version"
)

// target is a platform that quern is released for.
type target struct{ os, arch string }

func (t target) String() string { return t.os + "/" + t.arch }

var targets = []target{{"darwin", "amd64"}, {"darwin", "arm64"}, {"linux", "amd64"}, {"linux", "arm64"}}

func parseTarget(s string) (target, error) {
	for _, t := range targets {
		if t.String() == s {
			return t, nil
		}
	}
	return target{}, fmt.Errorf("%q is not a platform of quern; the platforms are %v", s, targets)
}

// archiveCommand builds the programs for one platform and packs them with the
// other files of a release. The same commit and tools give the same bytes,
// whatever the folder and the time.
func archiveCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("archive", flag.ContinueOnError)
	platform := flags.String("target", runtime.GOOS+"/"+runtime.GOARCH, "the platform, such as linux/arm64")
	out := flags.String("out", "dist", "the folder to write the archive to")
	if err := parse(flags, args); err != nil {
		return err
	}
	t, err := parseTarget(*platform)
	if err != nil {
		return err
	}
	at, err := commitTime(ctx, ".")
	if err != nil {
		return err
	}
	stage, err := os.MkdirTemp("", "quern-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := stageRelease(ctx, stage, t); err != nil {
		return err
	}
	if err := os.MkdirAll(*out, 0o755); err != nil {
		return err
	}
	name := archiveName(t)
	path := filepath.Join(*out, name+".tar.gz")
	if err := packFile(path, stage, name, at); err != nil {
		return err
	}
	fmt.Println(path)
	return os.CopyFS(filepath.Join(*out, "sbom", name), os.DirFS(filepath.Join(stage, "sbom")))
}

// archiveName returns the name of a platform's archive, without its extension.
func archiveName(t target) string {
	return fmt.Sprintf("quern_%s_%s_%s", version.Number, t.os, t.arch)
}

// commitTime returns the time of the released commit, which is the time of
// every file in the archives.
func commitTime(ctx context.Context, dir string) (time.Time, error) {
	out, err := output(ctx, dir, nil, "git", "log", "-1", "--format=%cI")
	if err != nil {
		return time.Time{}, err
	}
	return time.Parse(time.RFC3339, strings.TrimSpace(out))
}

// stageRelease copies the files of an archive to a folder.
func stageRelease(ctx context.Context, stage string, t target) error {
	if err := buildPrograms(ctx, stage, t); err != nil {
		return err
	}
	if err := bills(ctx, stage); err != nil {
		return err
	}
	if err := describeCommands(ctx, stage, t); err != nil {
		return err
	}
	for _, file := range []string{"LICENSE", "README.md", "CHANGELOG.md"} {
		if err := copyFile(filepath.Join(stage, file), file); err != nil {
			return err
		}
	}
	report, err := os.Create(filepath.Join(stage, "THIRD_PARTY_LICENSES.txt"))
	if err != nil {
		return err
	}
	defer report.Close()
	if err := writeLicenses(ctx, report, []target{t}); err != nil {
		return err
	}
	// Only files in Git, without what a run of the example left.
	files, err := output(ctx, ".", nil, "git", "ls-files", "-z", "examples/banking77")
	if err != nil {
		return err
	}
	for file := range strings.SplitSeq(strings.TrimRight(files, "\x00"), "\x00") {
		if err := copyFile(filepath.Join(stage, file), file); err != nil {
			return err
		}
	}
	return report.Close()
}

// program is one of the programs of a release.
type program struct {
	name string
	// about says what it is for, in a sentence without a period.
	about string
	cgo   bool
}

// programs are the programs of a release, starting with quern itself. One contains
// DuckDB, a C++ library.
var programs = []program{
	{name: "quern", about: "Compiles pipelines and runs them"},
	{name: "quern-plugin-sql", about: "SQL over datasets, and DuckDB files as sources of quern", cgo: true},
	{name: "quern-plugin-database", about: "Databases as sources of quern"},
	{name: "quern-plugin-documents", about: "Documents as sources of quern"},
	{name: "quern-plugin-kubernetes", about: "Deployments of quern to Kubernetes"},
	{name: "quern-plugin-storage", about: "Object stores as sources and deployments of quern"},
}

// buildTags are the same as in the Makefile, which explains them.
const buildTags = "duckdb_arrow,arrow_json_stdlib"

func buildPrograms(ctx context.Context, stage string, t target) error {
	stubs, err := os.MkdirTemp("", "quern-release-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(stubs)
	c, err := cToolchain(ctx, t, stubs)
	if err != nil {
		return fmt.Errorf("build for %s: %w", t, err)
	}
	for _, p := range programs {
		args, env := p.build(t, c)
		args = append(args, "-o", filepath.Join(stage, p.name), "./cmd/"+p.name)
		if _, err := output(ctx, ".", env, "go", args...); err != nil {
			return err
		}
	}
	return nil
}

// build returns how to build the program for a platform: the arguments and the
// environment of the go command.
func (p program) build(t target, c toolchain) (args, env []string) {
	tags := []string{buildTags}
	if t.os == "linux" {
		tags = append(tags, "netgo", "osusergo")
	}
	env = []string{"GOOS=" + t.os, "GOARCH=" + t.arch, "GOFLAGS=", "CGO_ENABLED=0"}
	ldflags := "-s -w -buildid="
	if p.cgo {
		env = append(append(env, "CGO_ENABLED=1"), c.env...)
		tags = append(tags, c.tags...)
		if len(c.ldflags) > 0 {
			ldflags += " -extldflags '" + strings.Join(c.ldflags, " ") + "'"
		}
	}
	return []string{"build", "-trimpath", "-buildvcs=false", "-tags", strings.Join(tags, ","), "-ldflags", ldflags}, env
}

// bills writes an SBOM for each program, from the code that is linked into it.
func bills(ctx context.Context, stage string) error {
	tool := os.Getenv("CYCLONEDX_GOMOD")
	if tool == "" {
		return fmt.Errorf("CYCLONEDX_GOMOD does not name the program cyclonedx-gomod; run \"make release\"")
	}
	dir := filepath.Join(stage, "sbom")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, p := range programs {
		_, err := output(ctx, ".", nil, tool, "bin", "-json", "-noserial", "-notimestamp", "-licenses", "-version", "v"+version.Number,
			"-output", filepath.Join(dir, p.name+".cdx.json"), filepath.Join(stage, p.name))
		if err != nil {
			return err
		}
	}
	return nil
}

// describeCommands writes completions for shells, and man pages.
func describeCommands(ctx context.Context, stage string, t target) error {
	native := filepath.Join(stage, "quern")
	if own := (target{runtime.GOOS, runtime.GOARCH}); t != own {
		dir, err := os.MkdirTemp("", "quern-release-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		native = filepath.Join(dir, "quern")
		args, env := programs[0].build(own, toolchain{})
		if _, err := output(ctx, ".", env, "go", append(args, "-o", native, "./cmd/quern")...); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(stage, "completions"), 0o755); err != nil {
		return err
	}
	for _, shell := range []string{"bash", "fish", "zsh"} {
		text, err := output(ctx, ".", nil, native, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(stage, "completions", "quern."+shell), []byte(text), 0o644); err != nil {
			return err
		}
	}
	_, err := output(ctx, ".", nil, native, "man", filepath.Join(stage, "man"))
	return err
}

// packFile writes the files of a folder to an archive, in a folder with the
// archive's name.
func packFile(path, dir, name string, at time.Time) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := pack(f, os.DirFS(dir), name, at); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.Close()
}

func pack(w io.Writer, files fs.FS, name string, at time.Time) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	out := tar.NewWriter(zipped)
	err = fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		header := &tar.Header{Name: name + "/" + path, Size: info.Size(), Mode: 0o644, ModTime: at, Format: tar.FormatPAX}
		if info.Mode()&0o111 != 0 {
			header.Mode = 0o755
		}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		f, err := files.Open(path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, f)
		return errors.Join(err, f.Close())
	})
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// checksumsCommand writes the SHA-256 of each archive and wheel, as sha256sum
// does.
func checksumsCommand(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("checksums", flag.ContinueOnError)
	dir := flags.String("dir", "dist", "the folder of the archives and wheels")
	if err := parse(flags, args); err != nil {
		return err
	}
	var files []string
	for _, pattern := range []string{"quern_*.tar.gz", "quern_*.whl"} {
		found, err := filepath.Glob(filepath.Join(*dir, pattern))
		if err != nil {
			return err
		}
		files = append(files, found...)
	}
	if len(files) == 0 {
		return fmt.Errorf("%s has no archives or wheels", *dir)
	}
	slices.Sort(files)
	var text strings.Builder
	for _, file := range files {
		sum, err := digest(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", sum, filepath.Base(file))
	}
	return os.WriteFile(filepath.Join(*dir, "checksums.txt"), []byte(text.String()), 0o644)
}

func digest(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return h.Sum(nil), err
}

func copyFile(to, from string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, 0o644)
}

// output runs a program in a folder and returns its output. An error ends with
// the program's standard error.
func output(ctx context.Context, dir string, env []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}
