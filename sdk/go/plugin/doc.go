// Package plugin is the SDK for writing quern plugins.
//
// A plugin is a program that offers stage types, such as transform
// "acme_clean". To write one, pick an interface, describe the arguments of the
// block with a struct, and pass both to Serve:
//
//	type args struct {
//		Input plugin.Dataset `quern:"input,required" doc:"The rows to label."`
//		Text  plugin.Column  `quern:"text,required" type:"string" doc:"The text to measure."`
//	}
//
//	type labeler struct{}
//
//	// Prepare declares the output: the input's columns and one more.
//	func (labeler) Prepare(_ context.Context, p *plugin.Prepare[args]) error {
//		p.KeepInput("input")
//		p.AddColumn(p.Name(), "int64")
//		return nil
//	}
//
//	// Map fills the new column.
//	func (labeler) Map(_ context.Context, a *args, b *plugin.Batch) error {
//		text := b.Strings(a.Text)
//		for row := range b.N {
//			if s, ok := text.At(row); ok {
//				b.SetInt(b.Name(), row, int64(len(s)))
//			}
//		}
//		return nil
//	}
//
//	func main() {
//		plugin.Serve(plugin.Plugin{
//			Name: "acme", Version: "1.0.0",
//			Types: []plugin.Type{
//				plugin.NewMapper(plugin.Info{Kind: plugin.KindLabel, Name: "acme_length", BehaviorVersion: 1}, labeler{}),
//			},
//		})
//	}
//
// "quern plugin new" writes such a plugin with a test. Package plugintest runs
// it in tests exactly as quern does.
//
// # Kinds of types
//
// Choose the interface by what the type does:
//
//   - [Source] reads rows from outside.
//   - [Mapper] adds columns to rows. quern calls it only for rows whose result it
//     does not have.
//   - [FlatMapper] produces any number of rows for each row.
//   - [Runner] reads whole datasets and models, and produces any artifacts: datasets,
//     trained models, reports, and plain values.
//   - [Provider] calls language models.
//   - [Deployment] manages something outside the store, such as an endpoint.
//
// An implementation can offer more through optional interfaces: [Opener],
// [Concurrent], [Batched], [Previewer], [ModelLoader], [Stopper], [Chatter],
// [Embedder], [Checker], and [StateUpgrader].
//
// Mappers and runners never call a language model themselves. They ask the
// [Host], which enforces limits, retries, caches answers, and counts costs.
//
// # The life of an instance
//
// An instance is one stage: a block, or one of its copies with count or
// for_each.
//
//  1. Prepare validates the arguments and declares the output. quern calls it as often
//     as it likes while planning, so it must have no side effects. Values that are not
//     known yet are zero; Prepare.Known distinguishes them from real zeros.
//  2. quern calls Prepare once more, now with all values known, then Open if there is
//     one, and then the work itself: Read, Map, FlatMap, Run, Chat, Embed, or Apply. The
//     work must produce exactly what this last Prepare declared.
//
// Prepare must be deterministic: sort the keys of a map before you range over
// it.
//
// One value implements a type for all instances, and its methods are called for
// several instances at the same time. Keep what belongs to an instance in its
// argument struct, in fields without a quern tag, and never in the
// implementation.
//
// # Argument structs
//
// A field with a quern tag is an argument. The tag is the argument's name,
// followed by any of these options:
//
//	required     users must set it
//	sensitive    it is never shown or stored
//	operational  it does not affect results (a path, a limit, a timeout)
//	recorded     its value is written to the results, so quern refuses a secret in it
//	feature      for a trainer's Column: the model needs it to predict
//	constant     for a Column: the expression may be the same for every row
//	block        the field is a slice of structs, one for each nested block
//	single       for a block: at most one
//	label        in a block's struct: the field holds the block's label
//
// More tags describe the argument:
//
//	doc:"…"           what it is for; the first sentence is the summary
//	default:"…"       the default, as JSON
//	oneof:"a,b"       the allowed values
//	type:"string"     for Column, ColumnOrModel, and LateColumn: what the values are
//	                  converted to: string, number, bool, or dynamic (the default,
//	                  any type)
//	rows_of:"input"   for a Column: the dataset argument that row refers to; by
//	                  default the only required one
//	late:"out=output" for a LateColumn: the additional names and their types
//
// A field is a string, bool, int, int64, float64, [time.Duration] (written
// "90s"), [cty.Value] (anything), a slice or string map of these, or a pointer
// to one of them if null and zero differ. Or it is a handle: [Dataset],
// [Model], [Artifact], [Column], [ColumnOrModel], [Prompt], [LateColumn], or
// [Subject], or a slice or string map of handles. A handle holds a key; the
// methods of Prepare, Batch, and Run take it and return what it refers to. The
// fields of an embedded struct count as the struct's own.
package plugin
