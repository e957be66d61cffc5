package files

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types are the sources of this package. root returns the folder that
// relative paths start from.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.Source(plugin.Info{Kind: plugin.KindSource, Name: "csv", Doc: csvDoc, Behaviour: 2}, source[csvArgs, *csvArgs]{root}),
		plugin.Source(plugin.Info{Kind: plugin.KindSource, Name: "json", Doc: jsonDoc, Behaviour: 1}, source[jsonlArgs, *jsonlArgs]{root}),
		plugin.Source(plugin.Info{Kind: plugin.KindSource, Name: "jsonl", Doc: jsonlDoc, Behaviour: 2}, source[jsonlArgs, *jsonlArgs]{root}),
		plugin.Source(plugin.Info{Kind: plugin.KindSource, Name: "parquet", Doc: parquetDoc, Behaviour: 2}, source[parquetArgs, *parquetArgs]{root}),
	}
}
