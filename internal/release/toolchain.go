package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// The oldest systems that a release runs on.
const (
	oldestGlibc = "2.28" // as for pyarrow's wheels
	oldestMacOS = "12.0" // as for Go 1.26
)

// toolchain is how the go command compiles and links C for a platform.
type toolchain struct {
	env     []string
	tags    []string
	ldflags []string // for the external linker
}

// cToolchain returns the toolchain for a platform: the compilers in QUERN_CC
// and QUERN_CXX, Apple's on macOS for its own platform, and Zig otherwise. It
// writes files that the linker needs to dir.
func cToolchain(ctx context.Context, t target, dir string) (toolchain, error) {
	switch cc := os.Getenv("QUERN_CC"); {
	case cc != "":
		return named(t, cc, cmp.Or(os.Getenv("QUERN_CXX"), cc))
	case t.os == "darwin" && t == target{runtime.GOOS, runtime.GOARCH}:
		return toolchain{env: []string{"MACOSX_DEPLOYMENT_TARGET=" + oldestMacOS}}, nil
	}
	python := os.Getenv("QUERN_RELEASE_PYTHON")
	if python == "" {
		return toolchain{}, fmt.Errorf("QUERN_RELEASE_PYTHON does not name a Python with ziglang; run \"make release\"")
	}
	zig := fmt.Sprintf("%q -m ziglang", python)
	triple := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[t.arch] + map[string]string{"darwin": "-macos." + oldestMacOS, "linux": "-linux-gnu." + oldestGlibc}[t.os]
	tools := toolchain{env: []string{
		"CC=" + zig + " cc -target " + triple, "CXX=" + zig + " c++ -target " + triple,
		"CGO_CFLAGS=-O2", "CGO_LDFLAGS=-O2", // without Go's -g, which would keep debug tables
	}}
	var err error
	if t.os == "darwin" {
		tools.ldflags, err = appleStubs(ctx, dir)
	} else {
		tools.tags = []string{"duckdb_use_static_lib"} // the libraries are named in ldflags
		tools.ldflags, err = linkDuckDB(ctx, t)
	}
	return tools, err
}

// named returns the toolchain of a C and a C++ compiler.
func named(t target, cc, cxx string) (toolchain, error) {
	if name, _, _ := strings.Cut(cc, " "); !found(name) {
		return toolchain{}, fmt.Errorf("the C compiler %s is missing: install it, or run this on a %s machine", name, t)
	}
	tools := toolchain{env: []string{"CC=" + cc, "CXX=" + cxx}}
	if t.os == "linux" {
		// Machines have a C library, but not always a C++ library.
		tools.ldflags = []string{"-static-libstdc++", "-static-libgcc", "-Wl,--build-id=none", "-Wl,--no-export-dynamic"}
	}
	return tools, nil
}

func found(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// linkDuckDB returns the flags that link DuckDB's libraries for Linux. They are
// built against GCC's C++ library, and -lstdc++ gives Zig's linker LLVM's.
// So these flags replace those of the module with the libraries.
func linkDuckDB(ctx context.Context, t target) ([]string, error) {
	folder, err := output(ctx, ".", nil, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/duckdb/duckdb-go-bindings/lib/"+t.os+"-"+t.arch)
	if err != nil {
		return nil, err
	}
	folder = strings.TrimSpace(folder)
	source, err := os.ReadFile(filepath.Join(folder, "prebuilt.go"))
	if err != nil {
		return nil, err
	}
	library, err := gnuLibrary(ctx, t)
	if err != nil {
		return nil, err
	}
	compat, err := filepath.Abs(filepath.Join("internal", "release", "glibc", "compat.c"))
	if err != nil {
		return nil, err
	}
	return duckDBFlags(string(source), folder, library, "-lunwind", compat)
}

// duckDBFlags returns the linker flags in the source of the module with DuckDB's
// libraries, with others in place of -lstdc++. Without -rdynamic, the program
// does not export DuckDB's symbols.
func duckDBFlags(source, folder string, library ...string) ([]string, error) {
	_, flags, _ := strings.Cut(source, "#cgo LDFLAGS:")
	flags, _, _ = strings.Cut(flags, "\n")
	var out []string
	linked := false
	for _, flag := range strings.Fields(strings.ReplaceAll(flags, "${SRCDIR}", folder)) {
		switch flag {
		case "-rdynamic":
		case "-lstdc++":
			out, linked = append(out, library...), true
		default:
			out = append(out, flag)
		}
	}
	if !linked {
		return nil, fmt.Errorf("the linker flags of DuckDB in %s have changed: they do not contain -lstdc++", folder)
	}
	return out, nil
}

// gnuLibrary returns the archive of GCC's C++ library for a platform.
func gnuLibrary(ctx context.Context, t target) (string, error) {
	gcc := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[t.arch] + "-linux-gnu-gcc"
	if (t == target{runtime.GOOS, runtime.GOARCH}) {
		gcc = "gcc"
	}
	library, err := output(ctx, ".", nil, gcc, "-print-file-name=libstdc++.a")
	library = strings.TrimSpace(library)
	if err != nil || !filepath.IsAbs(library) {
		return "", fmt.Errorf("%s has no static C++ library for %s: install Debian's package g++ or g++-%s, or name a compiler in QUERN_CC and QUERN_CXX: %w",
			gcc, t, strings.TrimSuffix(strings.ReplaceAll(gcc, "_", "-"), "-gcc"), cmp.Or(err, os.ErrNotExist))
	}
	return library, nil
}

var appleImport = regexp.MustCompile(`(?m)^//go:cgo_import_dynamic \S+ (\S+) "(/System/Library/Frameworks/\S+|/usr/lib/libresolv\S+)"$`)

// appleStubs writes stubs of the libraries of macOS that Go imports and Zig
// lacks, and returns the flags that find them. A stub lists the symbols that Go
// declares to import.
func appleStubs(ctx context.Context, dir string) ([]string, error) {
	root, err := output(ctx, ".", nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	symbols := map[string][]string{}
	for _, folder := range []string{"crypto/x509/internal/macos", "internal/syscall/unix"} {
		files, err := filepath.Glob(filepath.Join(strings.TrimSpace(root), "src", filepath.FromSlash(folder), "*.go"))
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			for _, match := range appleImport.FindAllStringSubmatch(string(source), -1) {
				symbols[match[2]] = append(symbols[match[2]], "_"+match[1])
			}
		}
	}
	for _, library := range slices.Sorted(maps.Keys(symbols)) {
		if err := writeStub(dir, library, symbols[library]); err != nil {
			return nil, err
		}
	}
	return []string{"-F" + dir, "-L" + dir}, nil
}

func writeStub(dir, library string, symbols []string) error {
	name, _, _ := strings.Cut(filepath.Base(library), ".")
	path := filepath.Join(dir, name+".tbd")
	if strings.Contains(library, ".framework/") {
		path = filepath.Join(dir, name+".framework", name+".tbd")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	const form = `--- !tapi-tbd
tbd-version: 4
targets: [ x86_64-macos, arm64-macos ]
install-name: '%s'
exports:
  - targets: [ x86_64-macos, arm64-macos ]
    symbols: [ %s ]
...
`
	return os.WriteFile(path, fmt.Appendf(nil, form, library, strings.Join(symbols, ", ")), 0o644)
}
