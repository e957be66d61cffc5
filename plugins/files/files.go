package files

import "github.com/quern-dev/quern/sdk/go/plugin"

// Types returns the sources of this package. root returns the folder that
// relative paths start from.
func Types(root func() string) []plugin.Type {
	return []plugin.Type{
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "avro", Doc: avroDoc, BehaviorVersion: 1}, newSource[avroArgs](root)),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "csv", Doc: csvDoc, BehaviorVersion: 2}, newSource[csvArgs](root)),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "json", Doc: jsonDoc, BehaviorVersion: 1}, newSource[jsonlArgs](root)),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "jsonl", Doc: jsonlDoc, BehaviorVersion: 2}, newSource[jsonlArgs](root)),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "parquet", Doc: parquetDoc, BehaviorVersion: 3}, newSource[parquetArgs](root)),
		plugin.NewSource(plugin.Info{Kind: plugin.KindSource, Name: "text", Doc: textDoc, BehaviorVersion: 1}, newSource[textArgs](root)),
	}
}
