package huggingface

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// configuration is one of the datasets of a repository, also called subset.
type configuration struct {
	name     string
	standard bool // it is the default
	splits   []splitFiles
}

// splitFiles are the files of a split.
type splitFiles struct {
	name  string
	files []datasetFile
}

func (c *configuration) splitNames() []string {
	var names []string
	for _, s := range c.splits {
		names = append(names, s.name)
	}
	return names
}

// cardConfig is an entry of configs in a card
// (https://huggingface.co/docs/hub/datasets-manual-configuration).
type cardConfig struct {
	Name    string `yaml:"config_name"`
	Default bool   `yaml:"default"`
	Dir     string `yaml:"data_dir"`
	// Files is a pattern, a list of patterns, or a list of splits.
	Files any `yaml:"data_files"`
}

// configurations returns what the card lists or, if it lists nothing, what the
// names of files say.
func (l *listed) configurations() ([]configuration, error) {
	var card struct {
		Configs []cardConfig `yaml:"configs"`
	}
	if text, ok := metadata(l.Card); ok {
		if err := yaml.Unmarshal([]byte(text), &card); err != nil {
			return nil, fmt.Errorf("the card of the dataset cannot be read: %w\nSet path to name the files.", err)
		}
	}
	var out []configuration
	for _, c := range card.Configs {
		if c.Files == nil && c.Dir == "" {
			continue
		}
		out = append(out, configuration{name: c.Name, standard: c.Default || c.Name == "default", splits: l.splitsOf(c)})
	}
	if len(out) > 0 {
		return out, nil
	}
	if splits := bySplit(l.Files); len(splits) > 0 {
		return []configuration{{name: "default", standard: true, splits: splits}}, nil
	}
	return nil, nil
}

// metadata returns the YAML between two lines of dashes at the start of a
// card.
func metadata(card string) (string, bool) {
	card = strings.ReplaceAll(card, "\r\n", "\n")
	rest, ok := strings.CutPrefix(card, "---\n")
	if !ok {
		return "", false
	}
	text, _, ok := strings.Cut(rest, "\n---")
	return text, ok
}

// splitsOf returns the splits of an entry of a card.
func (l *listed) splitsOf(c cardConfig) []splitFiles {
	if c.Files == nil {
		return bySplit(matching(l.Files, path.Join(c.Dir, "**")))
	}
	var out []splitFiles
	for _, item := range list(c.Files) {
		split, isSplit := item.(map[string]any)
		if !isSplit {
			out = addFiles(out, "train", l.matching(c.Dir, item))
			continue
		}
		for _, pattern := range list(split["path"]) {
			out = addFiles(out, fmt.Sprint(split["split"]), l.matching(c.Dir, pattern))
		}
	}
	return out
}

// list returns the elements of a list, or the only value.
func list(v any) []any {
	if all, ok := v.([]any); ok {
		return all
	}
	return []any{v}
}

func (l *listed) matching(dir string, pattern any) []datasetFile {
	return matching(l.Files, path.Join(dir, fmt.Sprint(pattern)))
}

// addFiles adds files to a split, without repeating any.
func addFiles(splits []splitFiles, name string, all []datasetFile) []splitFiles {
	i := slices.IndexFunc(splits, func(s splitFiles) bool { return s.name == name })
	if i < 0 {
		i, splits = len(splits), append(splits, splitFiles{name: name})
	}
	for _, f := range all {
		if !slices.Contains(splits[i].files, f) {
			splits[i].files = append(splits[i].files, f)
		}
	}
	return splits
}

// splitWords are the words in names of files that say which split they belong to
// (https://huggingface.co/docs/hub/datasets-file-names-and-splits).
var splitWords = []struct {
	split string
	words []string
}{
	{"train", []string{"train", "training"}},
	{"validation", []string{"validation", "valid", "val", "dev"}},
	{"test", []string{"test", "testing", "eval", "evaluation"}},
}

// bySplit finds the splits of files by words in their names. Without such words,
// all files are the split train.
func bySplit(all []datasetFile) []splitFiles {
	var out []splitFiles
	var rows []datasetFile
	for _, f := range all {
		if readable(f.Path) {
			rows = append(rows, f)
		}
	}
	for _, s := range splitWords {
		for _, f := range rows {
			if slices.ContainsFunc(words(f.Path), func(w string) bool { return slices.Contains(s.words, w) }) {
				out = addFiles(out, s.split, []datasetFile{f})
			}
		}
	}
	if len(out) == 0 && len(rows) > 0 {
		return []splitFiles{{"train", rows}}
	}
	return out
}

// words returns the words of a path.
func words(name string) []string {
	return strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return strings.ContainsRune("/-_. ", r) })
}

// readable reports whether quern can read files with a name, other than those that
// describe a dataset.
func readable(name string) bool {
	base := strings.ToLower(path.Base(name))
	if base == "dataset_infos.json" || base == "dataset_dict.json" || base == "state.json" || strings.HasPrefix(base, ".") {
		return false
	}
	for _, ext := range []string{".parquet", ".csv", ".tsv", ".jsonl", ".ndjson", ".json"} {
		for _, packed := range []string{"", ".gz", ".zst", ".bz2", ".xz"} {
			if strings.HasSuffix(base, ext+packed) {
				return true
			}
		}
	}
	return false
}
