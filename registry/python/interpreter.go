package python

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Variable names the Python that plugins are installed with.
const Variable = "QUERN_PYTHON"

// interpreter is a Python.
type interpreter struct {
	// path is its program. uv can find others than those in PATH, and is then
	// given a request instead, such as cpython3.12.
	path    string
	request string
	// series identifies it as lock files do: cpython 3.11.
	series string
	// version is all of its version: 3.11.7.
	version string
}

// names are the programs that may be a suitable Python, the likeliest first.
var names = []string{"python3", "python3.14", "python3.13", "python3.12", "python3.11", "python3.10", "python3.9", "python", "pypy3"}

// find returns the first Python that is of a series, if series is not empty, and
// that satisfies a constraint, if it is not empty.
func find(ctx context.Context, series, constraint string, uv *uv) (*interpreter, error) {
	candidates := names
	if implementation, version, ok := strings.Cut(series, " "); ok {
		exact := strings.Replace(implementation, "cpython", "python", 1) + version
		candidates = append([]string{exact}, names...)
	}
	if named := os.Getenv(Variable); named != "" {
		candidates = []string{named}
	}
	var found []string
	for _, name := range candidates {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		i, err := probe(ctx, path)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil && os.Getenv(Variable) == "": // such as pyenv's, for a version that is not chosen
		case err != nil:
			found = append(found, fmt.Sprintf("%s does not work (%s)", path, err))
		case slices.Contains(found, fmt.Sprintf("%s is %s", path, i.version)):
		case series != "" && i.series != series, constraint != "" && !allows(constraint, i.version):
			found = append(found, fmt.Sprintf("%s is %s", path, i.version))
		default:
			return i, nil
		}
	}
	if uv != nil && os.Getenv(Variable) == "" {
		return &interpreter{request: request(series, constraint)}, nil
	}
	return nil, missing(series, constraint, found)
}

// request is what uv calls a Python of a series, or one that satisfies a
// constraint.
func request(series, constraint string) string {
	switch {
	case series != "":
		return strings.ReplaceAll(series, " ", "@")
	case constraint != "":
		return constraint
	}
	return "3"
}

func missing(series, constraint string, found []string) error {
	wanted := "Python"
	switch {
	case series != "":
		wanted = "the locked Python, " + series
	case constraint != "":
		wanted = "a Python with requires-python " + constraint
	}
	has := "no Python is in PATH"
	if len(found) > 0 {
		has = strings.Join(found, ", ")
	}
	how := fmt.Sprintf("Install it, name its program in %s, or install uv, which can download it", Variable)
	if named := os.Getenv(Variable); named != "" {
		how = fmt.Sprintf("%s is %s. Name another Python in it", Variable, named)
	}
	if series != "" {
		how += `. To lock another one, run "quern init -upgrade"`
	}
	return fmt.Errorf("the plugin needs %s, but %s. %s", wanted, has, how)
}

const question = `import sys; print(sys.implementation.name, *sys.version_info[:3])`

// probe asks a Python for its version.
func probe(ctx context.Context, path string) (*interpreter, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-I", "-c", question)
	cmd.Env = environment(os.TempDir())
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(out))
	if len(fields) != 4 {
		return nil, fmt.Errorf("it printed %q", out)
	}
	return &interpreter{
		path: path, series: fields[0] + " " + fields[1] + "." + fields[2], version: strings.Join(fields[1:], "."),
	}, nil
}
