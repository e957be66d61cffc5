// Package output encodes the answers of language models for late row
// expressions: what an evaluator passes to Host.Evaluate for a late name of
// type output.
package output

import (
	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/zclconf/go-cty/cty"

	"github.com/quern-dev/quern/sdk/go/data"
	"github.com/quern-dev/quern/sdk/go/llm"
)

// Type is the type of a late name of type output: a model's answer. What is
// unknown, such as a cost without prices, is null. json is the text parsed as
// JSON, or null if it is not JSON. tokens.input includes cached_input.
var Type = cty.Object(map[string]cty.Type{
	"text":          cty.String,
	"json":          cty.DynamicPseudoType,
	"tool_calls":    cty.List(cty.Object(map[string]cty.Type{"id": cty.String, "name": cty.String, "arguments": cty.DynamicPseudoType})),
	"finish_reason": cty.String,
	"refused":       cty.Bool,
	"refusal":       cty.String,
	"tokens":        cty.Object(map[string]cty.Type{"input": cty.Number, "cached_input": cty.Number, "output": cty.Number, "total": cty.Number}),
	"cost":          cty.Number,
	"latency":       cty.Number,
	"cached":        cty.Bool,
	"model":         cty.String,
	"logprobs":      cty.List(cty.Number),
})

// column is Type as a column type: values of any type are JSON texts.
const column = "struct<text:string,json:string,tool_calls:list<struct<id:string,name:string,arguments:string>>," +
	"finish_reason:string,refused:bool,refusal:string," +
	"tokens:struct<input:int64,cached_input:int64,output:int64,total:int64>," +
	"cost:float64,latency:float64,cached:bool,model:string,logprobs:list<float64>>"

// Array returns answers as values of a late name of type output. A nil answer
// is null. The caller releases the array.
func Array(answers []*llm.Response) arrow.Array {
	t, err := data.ArrowType(column)
	if err != nil {
		panic(err)
	}
	b := array.NewStructBuilder(memory.DefaultAllocator, t.(*arrow.StructType))
	defer b.Release()
	for _, a := range answers {
		if a == nil {
			b.AppendNull()
			continue
		}
		b.Append(true)
		for i := range b.NumField() {
			name := b.Type().(*arrow.StructType).Field(i).Name
			appendOutput(b.FieldBuilder(i), name, a)
		}
	}
	return b.NewArray()
}

func appendOutput(b array.Builder, name string, a *llm.Response) {
	switch name {
	case "text":
		b.(*array.StringBuilder).Append(a.Text)
	case "json":
		// Text that is not JSON is read as null.
		b.(*array.StringBuilder).Append(a.Text)
	case "tool_calls":
		appendToolCalls(b.(*array.ListBuilder), a.ToolCalls)
	case "finish_reason":
		appendText(b, a.FinishReason)
	case "refused":
		b.(*array.BooleanBuilder).Append(a.Refused())
	case "refusal":
		appendText(b, a.Refusal)
	case "tokens":
		appendTokens(b.(*array.StructBuilder), a.Usage)
	case "cost":
		if a.Cost == nil {
			b.AppendNull()
			return
		}
		b.(*array.Float64Builder).Append(*a.Cost)
	case "latency":
		b.(*array.Float64Builder).Append(a.Latency)
	case "cached":
		b.(*array.BooleanBuilder).Append(a.Cached)
	case "model":
		appendText(b, a.Model)
	case "logprobs":
		appendLogProbs(b.(*array.ListBuilder), a.LogProbs)
	}
}

func appendText(b array.Builder, s string) {
	if s == "" {
		b.AppendNull()
		return
	}
	b.(*array.StringBuilder).Append(s)
}

func appendToolCalls(b *array.ListBuilder, calls []llm.ToolCall) {
	b.Append(true)
	call := b.ValueBuilder().(*array.StructBuilder)
	for _, c := range calls {
		call.Append(true)
		for i, s := range []string{c.ID, c.Name, c.Arguments} {
			call.FieldBuilder(i).(*array.StringBuilder).Append(s)
		}
	}
}

func appendTokens(b *array.StructBuilder, u llm.Usage) {
	b.Append(true)
	for i, n := range []int64{u.Input, u.CachedInput, u.Output, u.Input + u.Output} {
		b.FieldBuilder(i).(*array.Int64Builder).Append(n)
	}
}

// appendLogProbs appends null if the model returned none.
func appendLogProbs(b *array.ListBuilder, tokens []llm.LogProb) {
	if len(tokens) == 0 {
		b.AppendNull()
		return
	}
	b.Append(true)
	for _, t := range tokens {
		b.ValueBuilder().(*array.Float64Builder).Append(t.LogProb)
	}
}
