package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/mod/modfile"

	"github.com/quern-dev/quern/internal/version"
)

// slow skips tests that build quern from the start. They run from the root of
// the module, like the program.
func slow(t *testing.T) {
	t.Helper()
	if os.Getenv("QUERN_TEST_RELEASE") == "" {
		t.Skip("QUERN_TEST_RELEASE is not set: make release-test")
	}
	t.Chdir("../..")
}

func TestAnArchiveDependsOnNothingButItsFiles(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	archive := func(modified time.Time, mode os.FileMode) []byte {
		t.Helper()
		var out bytes.Buffer
		files := fstest.MapFS{
			"quern":    {Data: []byte("program"), Mode: mode, ModTime: modified},
			"man/page": {Data: []byte("text"), Mode: 0o600, ModTime: modified},
		}
		if err := pack(&out, files, "quern_1", at); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	first := archive(time.Unix(1, 0), 0o700)
	if !bytes.Equal(first, archive(time.Unix(2, 0), 0o775)) {
		t.Error("times and the owner's modes of files are in the archive")
	}
	unzipped, err := gzip.NewReader(bytes.NewReader(first))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for in := tar.NewReader(unzipped); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, h.FileInfo().Mode().String()+" "+h.Name)
		if !h.ModTime.Equal(at) || h.Uname != "" || h.Uid != 0 {
			t.Errorf("%s: %v", h.Name, h)
		}
	}
	if want := "-rw-r--r-- quern_1/man/page, -rwxr-xr-x quern_1/quern"; strings.Join(got, ", ") != want {
		t.Errorf("got %v", got)
	}
}

func TestADependencyNeedsAPermittedLicense(t *testing.T) {
	const agpl = "This program is free software: you can redistribute it and/or modify it under the terms of the " +
		"GNU Affero General Public License as published by the Free Software Foundation, either version 3 of the License, or " +
		"(at your option) any later version.\n"
	apache, err := os.ReadFile("../../LICENSE")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, text, want string }{
		"permitted":    {"LICENSE.md", string(apache), ""},
		"forbidden":    {"COPYING", agpl, "AGPL-3.0"},
		"unknown":      {"LICENSE", "Do as I say.", "no known license"},
		"without file": {"README", string(apache), "no known license"},
		"for texts":    {"LICENSE.docs", string(apache), "no known license"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		d := dependency{path: "example.com/" + name, version: "v1.0.0", dir: dir}
		err := d.license()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAPlatformIsBuiltWithItsToolchain(t *testing.T) {
	if _, err := parseTarget("windows/amd64"); err == nil {
		t.Error("windows/amd64 is a target")
	}
	t.Setenv("QUERN_CC", "")
	t.Setenv("QUERN_RELEASE_PYTHON", "/with space/python")
	linux := target{"linux", runtime.GOARCH}
	tools, err := cToolchain(t.Context(), linux, t.TempDir())
	if runtime.GOOS == "linux" {
		if err != nil {
			t.Fatal(err)
		}
		if want := `CC="/with space/python" -m ziglang cc -target `; !strings.HasPrefix(tools.env[0], want) || !strings.HasSuffix(tools.env[0], "-linux-gnu.2.28") {
			t.Errorf("got %q", tools.env)
		}
		if flags := strings.Join(tools.ldflags, " "); !strings.Contains(flags, "-lduckdb_static ") || !strings.Contains(flags, "/libstdc++.a ") || strings.Contains(flags, "-rdynamic") {
			t.Errorf("got %s", flags)
		}
	}
	t.Setenv("QUERN_CC", "missing-gcc -m64")
	if _, err := cToolchain(t.Context(), linux, t.TempDir()); err == nil || !strings.Contains(err.Error(), "missing-gcc is missing") {
		t.Errorf("got %v", err)
	}
	t.Setenv("QUERN_CC", "go")
	if tools, err := cToolchain(t.Context(), linux, t.TempDir()); err != nil || strings.Join(tools.env, " ") != "CC=go CXX=go" || !slices.Contains(tools.ldflags, "-Wl,--no-export-dynamic") {
		t.Errorf("got %v, %v", tools, err)
	}
	t.Setenv("QUERN_CC", "")
	t.Setenv("QUERN_RELEASE_PYTHON", "")
	for _, other := range targets {
		if other == (target{runtime.GOOS, runtime.GOARCH}) {
			continue
		}
		if _, err := cToolchain(t.Context(), other, t.TempDir()); err == nil || !strings.Contains(err.Error(), "make release") {
			t.Errorf("%s: got %v", other, err)
		}
	}
}

func TestAReleaseIsBuiltWithTheTagsOfTheMakefile(t *testing.T) {
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	if want := "\nTAGS     := " + buildTags + "$(if $(LINUX),$(comma)netgo$(comma)osusergo)\n"; !strings.Contains(string(makefile), want) {
		t.Errorf("the Makefile has no line%s", want)
	}
}

func TestFlagsOfDuckDBMayNotChangeUnnoticed(t *testing.T) {
	got, err := duckDBFlags("/*\n#cgo LDFLAGS: -rdynamic -la -lstdc++ -lm -L${SRCDIR}\n*/", "/lib", "x.a", "y.c")
	if want := "-la x.a y.c -lm -L/lib"; err != nil || strings.Join(got, " ") != want {
		t.Errorf("got %v, %v", got, err)
	}
	if _, err := duckDBFlags("#cgo LDFLAGS: -la -lc++\n", "/lib"); err == nil {
		t.Error("flags without a C++ library are accepted")
	}
}

// The stubs have what Go imports from macOS, and no more.
func TestStubsHaveWhatGoImports(t *testing.T) {
	dir := t.TempDir()
	if _, err := appleStubs(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string][]string{
		"CoreFoundation.framework/CoreFoundation.tbd": {"install-name: '/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation'", "_CFRelease"},
		"Security.framework/Security.tbd":             {"install-name: '/System/Library/Frameworks/Security.framework/Versions/A/Security'", "_SecTrustEvaluateWithError"},
		"libresolv.tbd":                               {"install-name: '/usr/lib/libresolv.9.dylib'", "_res_9_nsearch"},
	} {
		stub, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range want {
			if !strings.Contains(string(stub), text) {
				t.Errorf("%s does not contain %s:\n%s", file, text, stub)
			}
		}
	}
}

func TestNotesAreTheSectionOfTheVersion(t *testing.T) {
	const changes = "# Changelog\n\n## Unreleased\n\n- new\n\n## 0.2.0 - 2026-12-01\n\n### Added\n\n- this\n\n## 0.2.0-rc.1\n\n- that\n\n## [0.1.0]\n"
	for version, want := range map[string]string{"0.2.0": "### Added\n\n- this\n", "0.2.0-rc.1": "- that\n", "0.1.0": "\n"} {
		if got, ok := section(changes, version); !ok || got != want {
			t.Errorf("%s: got %q, %v", version, got, ok)
		}
	}
	if got, ok := section(changes, "0.2"); ok {
		t.Errorf("0.2: got %q", got)
	}
}

// A commit of a release can be installed by its version, with nothing but what
// the Go module proxy serves.
func TestATaggedReleaseIsInstalled(t *testing.T) {
	slow(t)
	for _, name := range []string{"GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL"} {
		t.Setenv(name, "release@example.com")
	}
	dir := t.TempDir()
	clone, served := filepath.Join(dir, "clone"), filepath.Join(dir, "proxy")
	if err := commit(t.Context(), clone); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(clone, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if f, err := modfile.Parse("go.mod", content, nil); err != nil || len(f.Replace) > 0 {
		t.Fatalf("go.mod: %v\n%s", err, content)
	}
	if err := proxy(t.Context(), clone, served); err != nil {
		t.Fatal(err)
	}
	// All but the release comes from what is downloaded already. The checksum
	// database does not know a version that was never published.
	env := []string{
		"GOPROXY=file://" + served + ",file://" + filepath.Join(goEnv(t, "GOMODCACHE"), "cache", "download"), "GOSUMDB=off",
		"GOFLAGS=-trimpath -modcacherw", "GOBIN=" + filepath.Join(dir, "bin"), "GOMODCACHE=" + filepath.Join(dir, "modules"),
	}
	// In the clone, go.sum must have the SDK's checksums.
	for place, args := range map[string][]string{clone: {"list", "-deps", "./cmd/..."}, dir: {"install", mainModule + "/cmd/quern@v" + version.Number}} {
		if _, err := output(t.Context(), place, env, "go", args...); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(dir, "bin", "quern"), "version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "quern "+version.Number+" on ") {
		t.Errorf("got %v, %s", err, out)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := output(t.Context(), ".", nil, "go", "env", name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(value)
}

// The same commit gives the same archive in another folder, and the archive
// runs the README's pipeline in an empty one.
func TestAnArchiveIsReproducibleAndRunsTheReadme(t *testing.T) {
	slow(t)
	dir := t.TempDir()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var archives [][]byte
	for _, place := range []string{"one", "another/deeper"} {
		clone := filepath.Join(dir, place)
		if _, err := output(t.Context(), root, nil, "git", "clone", "--quiet", root, clone); err != nil {
			t.Fatal(err)
		}
		t.Chdir(clone)
		if err := archiveCommand(t.Context(), []string{"-out", filepath.Join(clone, "dist")}); err != nil {
			t.Fatal(err)
		}
		name := "quern_" + version.Number + "_" + runtime.GOOS + "_" + runtime.GOARCH
		archive, err := os.ReadFile(filepath.Join(clone, "dist", name+".tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		archives = append(archives, archive)
	}
	if !bytes.Equal(archives[0], archives[1]) {
		t.Error("two builds of one commit differ")
	}
	runReadme(t, archives[0])
}

func runReadme(t *testing.T, archive []byte) {
	t.Helper()
	clean := t.TempDir()
	unpack := exec.Command("tar", "xzf", "-", "--strip-components=1")
	unpack.Dir, unpack.Stdin = clean, bytes.NewReader(archive)
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, file := range []string{
		"LICENSE", "README.md", "CHANGELOG.md", "THIRD_PARTY_LICENSES.txt", "completions/quern.bash", "completions/quern.zsh",
		"completions/quern.fish", "man/quern-plan.1", "sbom/quern.cdx.json", "sbom/quern-plugin-sql.cdx.json",
		"sbom/quern-plugin-database.cdx.json", "sbom/quern-plugin-documents.cdx.json", "sbom/quern-plugin-kubernetes.cdx.json", "sbom/quern-plugin-storage.cdx.json",
	} {
		if info, err := os.Stat(filepath.Join(clean, file)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", file, err)
		}
	}
	apply := exec.Command("./quern", "-chdir=examples/banking77", "apply", "-auto-approve")
	apply.Dir, apply.Env = clean, []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
	out, err := apply.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkReadme(t, clean, string(out))
}

// checkReadme checks that the output of the README's pipeline is what the README
// in a folder shows.
func checkReadme(t *testing.T, dir, out string) {
	t.Helper()
	if !strings.Contains(out, "Apply complete") {
		t.Errorf("got %s", out)
	}
	readme, err := os.ReadFile(filepath.Join(dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	deployed := regexp.MustCompile(`serving = "sha256:[0-9a-f]+"`)
	if got, want := deployed.FindString(out), deployed.FindString(string(readme)); got == "" || got != want {
		t.Errorf("the pipeline deploys %s; the README says %s", got, want)
	}
}
