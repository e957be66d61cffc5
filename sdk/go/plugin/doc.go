// Package plugin is what the author of a quern plugin writes against.
//
// A plugin is a program that offers stage types. Each type is a value that
// implements a small interface, and a struct whose tags say what arguments
// its block takes:
//
//	type args struct {
//		Input plugin.Dataset `quern:"input,required" doc:"Rows to label."`
//		Text  plugin.Column  `quern:"text,required" type:"string" doc:"Text to look at."`
//	}
//
//	func main() {
//		plugin.Serve(plugin.Plugin{
//			Name: "acme", Version: "1.0.0",
//			Types: []plugin.Type{
//				plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_length", Behavior: 1}, labeler{}),
//			},
//		})
//	}
//
// There are six kinds of type, by what they do: Source brings rows in, Mapper
// adds columns to the rows it is given, FlatMapper makes any number of rows of
// each, Runner gets whole datasets and models and makes any artifacts,
// Deployment puts an artifact somewhere that lives on, Provider gives language
// models. An implementation may offer more than
// its interface asks for by implementing Opener, Concurrent, Batched or
// ModelLoader.
//
// Mappers and Runners never call a language model themselves: they ask the
// Host, which keeps to limits, retries, caches answers and accounts for them.
//
// # The life of an instance
//
// Prepare is called first and as often as quern likes: it validates the
// arguments and declares what the instance will make, and has no side effects.
// It is called once more right before the work itself, with everything known;
// what it declares there is what the work is held to, so it has to declare the
// same each time: mind the order in which a map is ranged over. Values that are not
// known yet are zero in Prepare, and Prepare.Known tells them from zeros.
// Authors never meet an unknown value elsewhere.
//
// One value implements a type for all of its instances, and its methods are
// called for several of them at the same time: keep what belongs to an
// instance in its argument struct (fields without a quern tag are the
// author's own), never in the implementation.
//
// # Argument structs
//
// A field takes part when it has a quern tag: the argument's name, then any of
//
//	required     it must be written
//	sensitive    it is never shown or stored
//	operational  it does not influence results (a path, a limit, a time-out)
//	feature      of a trainer's Column: the model needs it to predict
//	block        the field is a slice of structs, one for each block written
//	label        of a struct for blocks: the field takes the block's label
//
// and beside it the tags doc:"…", default:"JSON", oneof:"a,b",
// rows_of:"dataset"; for Column, ColumnOrModel and Late type:"string" (the cty
// type that values are converted to; "dynamic", the default, takes any); for
// Late late:"output=output".
//
// A field is a string, bool, int, int64, float64, time.Duration (written
// "90s"), cty.Value (anything), a slice or string map of these, a pointer to
// one of these where null differs from zero; or one of Dataset, Model,
// Artifact, Column, ColumnOrModel, Prompt, Late and Subject, or a slice or
// string map of one of them. The fields of an embedded struct are as the
// struct's own.
package plugin
