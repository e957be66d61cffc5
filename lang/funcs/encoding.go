package funcs

import (
	"bytes"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/zclconf/go-cty/cty"
	"github.com/zclconf/go-cty/cty/convert"
	"github.com/zclconf/go-cty/cty/function"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/ianaindex"

	"github.com/quern-dev/quern/internal/ordered"
	"github.com/quern-dev/quern/sdk/go/host/verbatim"
)

var encodingFunctions = []entry{
	describe("base64decode", "Decodes a Base64 string to text.", `base64decode("aGk=")`, `"hi"`, stringFunc("str", decodeBase64)),
	describe("base64encode", "Encodes the UTF-8 bytes of a string as Base64.", `base64encode("hi")`, `"aGk="`, stringFunc("str", encodeBase64)),
	describe("csvdecode", "Decodes CSV with a header line to a list of objects with string attributes. A byte order mark is dropped.", `csvdecode("a,b\n1,2")`, `[{ a = "1", b = "2" }]`, csvDecodeFunc),
	describe("csvencode", "Encodes a list of objects as CSV with a header line. Columns are sorted by name.", `csvencode([{ a = 1, b = "x" }])`, `"a,b\n1,x\n"`, csvEncodeFunc),
	describe("jsondecode", "Reads JSON.", `jsondecode("{\"a\": 1}")`, `{ a = 1 }`, jsonDecodeFunc),
	describe("jsonencode", "Encodes a value as JSON. Keys are sorted, and only characters that JSON requires to be escaped are escaped.", `jsonencode({ b = 1, a = [true] })`, `"{\"a\":[true],\"b\":1}"`, jsonEncodeFunc),
	describe("textdecodebase64", "Decodes Base64 text in another character encoding.", `textdecodebase64("aABpAA==", "UTF-16LE")`, `"hi"`, textBase64(decodeText)),
	describe("textencodebase64", "Encodes a string in another character encoding, as Base64.", `textencodebase64("hi", "UTF-16LE")`, `"aABpAA=="`, textBase64(encodeText)),
	describe("urldecode", "Undoes urlencode.", `urldecode("a+b%26c")`, `"a b&c"`, stringFunc("str", decodeURL)),
	describe("urlencode", "Escapes a string for the query part of a URL.", `urlencode("a b&c")`, `"a+b%26c"`, stringFunc("str", func(s string) (string, error) { return url.QueryEscape(s), nil })),
	describe("yamldecode", "Decodes a single YAML 1.2 document.", `yamldecode("a: 1")`, `{ a = 1 }`, yamlDecodeFunc),
	describe("yamlencode", "Encodes a value as YAML. Keys are sorted.", `yamlencode({ a = 1 })`, `"\"a\": 1\n"`, yamlEncodeFunc),
}

// stringFunc returns a function from a string to a string.
func stringFunc(param string, f func(string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: param, Type: cty.String}},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString())
			if err != nil {
				return cty.NilVal, function.NewArgError(0, err)
			}
			return verbatim.Text(s), nil
		},
	})
}

func encodeBase64(s string) (string, error) {
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func decodeBase64(s string) (string, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", errors.New("the string is not valid Base64")
	}
	if !utf8.Valid(b) {
		return "", errors.New("the decoded bytes are not valid UTF-8; for another encoding, use textdecodebase64")
	}
	return string(b), nil
}

// textBase64 returns a function of a text and the name of an encoding.
func textBase64(f func(text, encoding string) (string, error)) function.Function {
	return function.New(&function.Spec{
		Params:       []function.Parameter{{Name: "text", Type: cty.String}, {Name: "encoding", Type: cty.String}},
		Type:         function.StaticReturnType(cty.String),
		RefineResult: notNull,
		Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
			s, err := f(args[0].AsString(), args[1].AsString())
			return verbatim.Text(s), err
		},
	})
}

func encodeText(text, name string) (string, error) {
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		return "", function.NewArgErrorf(1, "the encoding %q is not supported", name)
	}
	s, err := enc.NewEncoder().String(text)
	if err != nil {
		return "", function.NewArgErrorf(0, "the text contains characters that %s cannot represent", name)
	}
	return base64.StdEncoding.EncodeToString([]byte(s)), nil
}

func decodeText(text, name string) (string, error) {
	enc, err := ianaindex.IANA.Encoding(name)
	if err != nil || enc == nil {
		return "", function.NewArgErrorf(1, "the encoding %q is not supported", name)
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return "", function.NewArgErrorf(0, "the string is not valid Base64")
	}
	s, err := enc.NewDecoder().Bytes(b)
	if err != nil || !faithful(enc, b, string(s)) {
		return "", function.NewArgErrorf(0, "the bytes are not valid %s", name)
	}
	return string(s), nil
}

// faithful reports whether a decoded text contains all the information in the
// bytes. Decoders put U+FFFD in place of anything that they cannot decode.
func faithful(enc encoding.Encoding, from []byte, s string) bool {
	if !strings.ContainsRune(s, utf8.RuneError) {
		return true
	}
	again, err := enc.NewEncoder().Bytes([]byte(s))
	return err == nil && bytes.Equal(again, from)
}

func decodeURL(s string) (string, error) {
	text, err := url.QueryUnescape(s)
	if err != nil {
		return "", err
	}
	return valid(text)
}

var csvEncodeFunc = function.New(&function.Spec{
	Params:       []function.Parameter{{Name: "rows", Type: cty.DynamicPseudoType}},
	Type:         function.StaticReturnType(cty.String),
	RefineResult: notNull,
	Impl: func(args []cty.Value, _ cty.Type) (cty.Value, error) {
		if !isSequence(args[0].Type()) {
			return cty.NilVal, function.NewArgErrorf(0, "must be a list of objects")
		}
		if !args[0].IsWhollyKnown() {
			return cty.UnknownVal(cty.String), nil
		}
		text, err := encodeCSV(args[0].AsValueSlice())
		if err != nil {
			return cty.NilVal, function.NewArgError(0, err)
		}
		return verbatim.Text(text), nil
	},
})

func encodeCSV(rows []cty.Value) (string, error) {
	names := map[string]bool{}
	for _, row := range rows {
		if row.IsNull() || !row.Type().IsObjectType() && !row.Type().IsMapType() {
			return "", errors.New("every element must be an object or a map")
		}
		for name := range row.AsValueMap() {
			names[name] = true
		}
	}
	if err := elementsFit(float64(len(rows)) * float64(len(names))); err != nil {
		return "", err
	}
	return writeCSV(rows, ordered.Keys(names))
}

func writeCSV(rows []cty.Value, names []string) (string, error) {
	var b strings.Builder
	w := csv.NewWriter(&b)
	if len(names) > 0 {
		_ = w.Write(names) // a strings.Builder does not fail
	}
	for _, row := range rows {
		fields, err := csvFields(row.AsValueMap(), names)
		if err != nil {
			return "", err
		}
		_ = w.Write(fields)
	}
	w.Flush()
	return b.String(), nil
}

func csvFields(row map[string]cty.Value, names []string) ([]string, error) {
	fields := make([]string, len(names))
	for i, name := range names {
		v, ok := row[name]
		if !ok || v.IsNull() {
			continue
		}
		s, err := convert.Convert(v, cty.String)
		if err != nil {
			return nil, errors.New("the attribute " + name + " is not a string, number, or bool")
		}
		fields[i] = s.AsString()
	}
	return fields, nil
}
