package files

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/twmb/avro"

	"github.com/quern-dev/quern/sdk/go/data"
)

// avroLogical are the logical types, with the types that they can have. Elsewhere,
// a logical type has no meaning.
var avroLogical = map[string][]string{
	"date": {"int"}, "time-millis": {"int"}, "time-micros": {"long"}, "decimal": {"bytes", "fixed"}, "uuid": {"string", "fixed"}, "duration": {"fixed"},
	"timestamp-millis": {"long"}, "timestamp-micros": {"long"}, "timestamp-nanos": {"long"},
	"local-timestamp-millis": {"long"}, "local-timestamp-micros": {"long"}, "local-timestamp-nanos": {"long"},
}

// avroOptions make the library return values of logical types as they are stored,
// which are exact, and accept names that are not identifiers, as many writers do.
func avroOptions() []avro.SchemaOpt {
	out := []avro.SchemaOpt{avro.WithLaxNames(nil), avro.CustomType{LogicalType: "big-decimal"}}
	for name := range avroLogical {
		out = append(out, avro.CustomType{LogicalType: name})
	}
	return out
}

// logicalType returns the logical type of a schema, or "" if it has none.
func logicalType(node *avro.SchemaNode) string {
	name := node.LogicalType
	if !slices.Contains(avroLogical[name], node.Type) || node.Type == "fixed" && (name == "uuid" && node.Size != 16 || name == "duration" && node.Size != 12) {
		return ""
	}
	return name
}

// avroColumn is a column of an Avro file, or a part of one: a field, a type of a
// union, or the elements of a list.
type avroColumn struct {
	name string
	// typ is a type of a union of files.
	typ arrow.DataType
	// node is the schema of a value that is not null.
	node *avro.SchemaNode
	// nullable says that values are in a union with null, under the name tag.
	nullable bool
	tag      string
	children []avroColumn
}

// avroReader converts a value as the library decodes it, and adds its size.
type avroReader func(v any, size *int) (parsed, error)

// avroColumns returns the columns of a file. A column whose type quern does not have
// is in problems.
func avroColumns(schema *avro.Schema) (columns []avroColumn, problems map[string]error, err error) {
	root := schema.Root().ExpandReferences()
	if root.Type != "record" && root.Type != "error" {
		return nil, nil, fmt.Errorf("its values have the type %q\nquern reads files of records, whose fields are the columns.", root.Type)
	}
	problems = map[string]error{}
	for i := range root.Fields {
		f := &root.Fields[i]
		c, err := describeAvro(f.Name, &f.Type)
		if err != nil {
			problems[f.Name], c.typ = err, arrow.Null
		}
		columns = append(columns, c)
	}
	return columns, problems, nil
}

// projected returns the schema with only some of the fields, or nil if all are
// needed.
func projected(schema *avro.Schema, columns data.Schema) (*avro.Schema, error) {
	if columns == nil {
		return nil, nil
	}
	root := schema.Root()
	if root.Type != "record" && root.Type != "error" {
		return nil, nil
	}
	root.Fields = slices.DeleteFunc(root.Fields, func(f avro.SchemaField) bool {
		_, _, selected := columns.Lookup(f.Name)
		return !selected
	})
	return root.Schema(avroOptions()...)
}

// describeAvro determines the type of a column.
func describeAvro(name string, node *avro.SchemaNode) (c avroColumn, err error) {
	c = avroColumn{name: name, node: node}
	switch node.Type {
	case "union":
		return describeUnion(name, node)
	case "record", "error":
		for i := range node.Fields {
			if err := c.describe(node.Fields[i].Name, &node.Fields[i].Type); err != nil {
				return c, err
			}
		}
		err = c.structure()
	case "array":
		if err = c.describe("element", node.Items); err == nil {
			c.typ = arrow.ListOf(c.children[0].typ)
		}
	case "map":
		if err = c.describe("value", node.Values); err == nil {
			pair := arrow.StructOf(arrow.Field{Name: "key", Type: stringType, Nullable: true}, arrow.Field{Name: "value", Type: c.children[0].typ, Nullable: true})
			c.typ = arrow.ListOf(pair)
		}
	default:
		c.typ, err = avroScalar(node)
	}
	return c, err
}

func (c *avroColumn) describe(name string, node *avro.SchemaNode) error {
	child, err := describeAvro(name, node)
	c.children = append(c.children, child)
	return err
}

// structure sets the type of a struct with the children as its fields.
func (c *avroColumn) structure() error {
	if len(c.children) == 0 {
		return errors.New("a record without fields has no values")
	}
	fields := make([]arrow.Field, len(c.children))
	for i, child := range c.children {
		fields[i] = arrow.Field{Name: child.name, Type: child.typ, Nullable: true}
	}
	c.typ = arrow.StructOf(fields...)
	return nil
}

// describeUnion determines the type of a union: that of its only type other than
// null, or a struct with a field for each type.
func describeUnion(name string, node *avro.SchemaNode) (avroColumn, error) {
	var branches []*avro.SchemaNode
	var names []string
	for i := range node.Branches {
		if b := &node.Branches[i]; b.Type != "null" {
			branches = append(branches, b)
			names = append(names, shortName(b))
		}
	}
	switch len(branches) {
	case 0:
		return avroColumn{name: name, node: node, typ: arrow.Null}, nil
	case 1:
		c, err := describeAvro(name, branches[0])
		c.nullable, c.tag = true, tagOf(branches[0])
		return c, err
	}
	c := avroColumn{name: name, node: node}
	for i, unique := range UniqueNames(names) {
		if err := c.describe(unique, branches[i]); err != nil {
			return c, err
		}
		c.children[i].tag = tagOf(branches[i])
	}
	return c, c.structure()
}

// tagOf returns the name of a type in a union, as the library writes it: the full name
// of a named type, and the kind of another.
func tagOf(node *avro.SchemaNode) string {
	switch node.Type {
	case "record", "error", "enum", "fixed":
		if node.Namespace != "" && !strings.Contains(node.Name, ".") {
			return node.Namespace + "." + node.Name
		}
		return node.Name
	}
	return node.Type
}

// shortName returns the name of a type without its namespace.
func shortName(node *avro.SchemaNode) string {
	name := tagOf(node)
	return name[strings.LastIndexByte(name, '.')+1:]
}

// avroScalar returns the type of values that are neither lists nor structs.
func avroScalar(node *avro.SchemaNode) (arrow.DataType, error) {
	switch logicalType(node) {
	case "date":
		return arrow.FixedWidthTypes.Date32, nil
	case "time-millis", "time-micros", "uuid", "duration":
		return stringType, nil
	case "decimal":
		switch {
		case node.Scale == 0 && node.Precision <= 18:
			return arrow.PrimitiveTypes.Int64, nil
		case node.Scale > 0 && node.Precision <= exactDigits:
			return arrow.PrimitiveTypes.Float64, nil
		}
		return digitsType, nil
	}
	if _, ok := timestampUnit(node); ok {
		return timestampType, nil
	}
	switch node.Type {
	case "null":
		return arrow.Null, nil
	case "boolean":
		return arrow.FixedWidthTypes.Boolean, nil
	case "int", "long":
		return arrow.PrimitiveTypes.Int64, nil
	case "float", "double":
		return arrow.PrimitiveTypes.Float64, nil
	case "string", "enum":
		return stringType, nil
	case "bytes", "fixed":
		return arrow.BinaryTypes.Binary, nil
	}
	// A reference that is left in an expanded schema is to a type around it.
	return nil, fmt.Errorf("the type %s contains itself", node.Type)
}

// timestampUnit returns the unit of a timestamp.
func timestampUnit(node *avro.SchemaNode) (arrow.TimeUnit, bool) {
	switch strings.TrimPrefix(logicalType(node), "local-") {
	case "timestamp-millis":
		return arrow.Millisecond, true
	case "timestamp-micros":
		return arrow.Microsecond, true
	case "timestamp-nanos":
		return arrow.Nanosecond, true
	}
	return 0, false
}

// reader returns a function that converts values to a column type.
func (c *avroColumn) reader(to arrow.DataType, v *conversion) (avroReader, error) {
	read, err := c.present(to, v)
	if err != nil {
		return nil, err
	}
	return func(value any, size *int) (parsed, error) {
		if value == nil {
			return parsed{null: true}, nil
		}
		if c.nullable {
			value = value.(map[string]any)[c.tag]
		}
		return read(value, size)
	}, nil
}

// present is reader for values that are not null.
func (c *avroColumn) present(to arrow.DataType, v *conversion) (avroReader, error) {
	switch {
	case c.typ.ID() == arrow.NULL:
		return func(any, *int) (parsed, error) { return parsed{null: true}, nil }, nil
	case len(c.children) == 0:
		return c.scalar(to, v)
	}
	switch to := to.(type) {
	case *arrow.StructType:
		if c.typ.ID() == arrow.STRUCT {
			return c.record(to, v)
		}
	case *arrow.ListType:
		switch c.node.Type {
		case "array":
			return c.list(to, v)
		case "map":
			return c.pairs(to, v)
		}
	}
	return nil, mismatch(c.typ, to)
}

// record reads records, and unions of several types.
func (c *avroColumn) record(to *arrow.StructType, v *conversion) (avroReader, error) {
	reads, keys := make([]avroReader, to.NumFields()), make([]string, to.NumFields())
	for i, f := range to.Fields() {
		k := slices.IndexFunc(c.children, func(o avroColumn) bool { return o.name == f.Name })
		if k < 0 {
			continue // it is null
		}
		keys[i] = c.children[k].name
		if c.node.Type == "union" {
			keys[i] = c.children[k].tag
		}
		var err error
		if reads[i], err = c.children[k].reader(f.Type, v); err != nil {
			return nil, fmt.Errorf("field %q: %w", f.Name, err)
		}
	}
	return func(value any, size *int) (parsed, error) {
		record, fields := value.(map[string]any), make([]parsed, len(reads))
		for i, read := range reads {
			fields[i].null = true
			if read == nil {
				continue
			}
			var err error
			if fields[i], err = read(record[keys[i]], size); err != nil {
				return parsed{}, fmt.Errorf("field %q: %w", to.Field(i).Name, err)
			}
		}
		return parsed{deep: fields}, nil
	}, nil
}

func (c *avroColumn) list(to *arrow.ListType, v *conversion) (avroReader, error) {
	read, err := c.children[0].reader(to.Elem(), v)
	if err != nil {
		return nil, fmt.Errorf("elements: %w", err)
	}
	return func(value any, size *int) (parsed, error) {
		list := value.([]any)
		elements := make([]parsed, len(list))
		for i := range list {
			var err error
			if elements[i], err = read(list[i], size); err != nil {
				return parsed{}, fmt.Errorf("element %d: %w", i, err)
			}
		}
		return parsed{deep: elements}, nil
	}, nil
}

// pairs reads maps as lists of structs with the fields key and value.
func (c *avroColumn) pairs(to *arrow.ListType, v *conversion) (avroReader, error) {
	pair, ok := to.Elem().(*arrow.StructType)
	if !ok || pair.NumFields() != 2 || pair.Field(0).Name != "key" || pair.Field(0).Type.ID() != arrow.STRING || pair.Field(1).Name != "value" {
		return nil, mismatch(c.typ, to)
	}
	read, err := c.children[0].reader(pair.Field(1).Type, v)
	if err != nil {
		return nil, fmt.Errorf("values: %w", err)
	}
	return func(value any, size *int) (parsed, error) {
		entries := value.(map[string]any)
		out := make([]parsed, 0, len(entries))
		for _, key := range sortedKeys(entries) {
			if err := checkText([]byte(key)); err != nil {
				return parsed{}, fmt.Errorf("a key: %w", err)
			}
			*size += len(key)
			v, err := read(entries[key], size)
			if err != nil {
				return parsed{}, fmt.Errorf("key %q: %w", key, err)
			}
			out = append(out, parsed{deep: []parsed{{text: []byte(key)}, v}})
		}
		return parsed{deep: out}, nil
	}, nil
}

// scalar reads values that are neither lists nor structs.
func (c *avroColumn) scalar(to arrow.DataType, v *conversion) (avroReader, error) {
	if arrow.IsNested(to.ID()) {
		return nil, mismatch(c.typ, to)
	}
	from, natural := c.natural(to, v)
	cast, err := v.caster(from, to)
	if err != nil {
		return nil, err
	}
	return func(value any, size *int) (parsed, error) {
		p, err := natural(value)
		if err == nil && cast != nil {
			p, err = cast(p)
		}
		*size += len(p.text)
		return p, err
	}, nil
}

// natural returns the type in which values are read, and a function that reads one.
func (c *avroColumn) natural(to arrow.DataType, v *conversion) (arrow.DataType, func(any) (parsed, error)) {
	if unit, ok := timestampUnit(c.node); ok {
		return c.timestamp(unit, to, v)
	}
	switch logicalType(c.node) {
	case "time-millis":
		return stringType, dayTime(arrow.Millisecond)
	case "time-micros":
		return stringType, dayTime(arrow.Microsecond)
	case "duration":
		return stringType, func(v any) (parsed, error) { return parsed{text: []byte(isoInterval(v.([]byte)))}, nil }
	case "uuid":
		return stringType, func(v any) (parsed, error) {
			if b, ok := v.([]byte); ok && len(b) == 16 {
				return parsed{text: []byte(uuidText(b))}, nil
			}
			return plainValue(v)
		}
	case "decimal":
		// The digits are converted to the type of the column.
		return digitsType, func(v any) (parsed, error) {
			return parsed{text: []byte(decimalText(v.([]byte), c.node.Scale))}, nil
		}
	}
	if c.typ.ID() == arrow.STRING {
		return stringType, func(v any) (parsed, error) {
			text := []byte(v.(string))
			return parsed{text: text}, checkText(text)
		}
	}
	return c.typ, plainValue
}

// plainValue reads a value without a logical type.
func plainValue(v any) (parsed, error) {
	switch v := v.(type) {
	case bool:
		return parsed{b: v}, nil
	case int32:
		return parsed{i: int64(v)}, nil
	case int64:
		return parsed{i: v}, nil
	case float32:
		return parsed{f: float64(v)}, nil
	case float64:
		return parsed{f: v}, nil
	case string:
		return parsed{text: []byte(v)}, checkText([]byte(v))
	case []byte:
		return parsed{text: v}, nil
	}
	return parsed{}, fmt.Errorf("a value has the type %T, which no column can contain", v)
}

// wholeOf returns an int or long.
func wholeOf(v any) int64 {
	if i, ok := v.(int32); ok {
		return int64(i)
	}
	return v.(int64)
}

// dayTime reads times of day.
func dayTime(unit arrow.TimeUnit) func(any) (parsed, error) {
	second, _ := perSecond(unit)
	return func(v any) (parsed, error) {
		n := wholeOf(v)
		if n < 0 || uint64(n) > 24*3600*second {
			return parsed{}, fmt.Errorf("%d %s is not a time of day", n, unit)
		}
		return parsed{text: []byte(timeOfDay(n, unit))}, nil
	}
}

// timestamp reads timestamps: microseconds or, if the user asked for text, all
// their digits.
func (c *avroColumn) timestamp(unit arrow.TimeUnit, to arrow.DataType, v *conversion) (arrow.DataType, func(any) (parsed, error)) {
	layout := timestampLayout(!strings.HasPrefix(c.node.LogicalType, "local-"))
	if to.ID() == arrow.STRING {
		return stringType, func(n any) (parsed, error) {
			return parsed{text: arrow.Timestamp(wholeOf(n)).ToTime(unit).UTC().AppendFormat(nil, layout)}, nil
		}
	}
	return timestampType, func(n any) (parsed, error) { return v.micros(wholeOf(n), unit, layout) }
}

// decimalText formats a number of Avro's logical type decimal: a whole number in
// big-endian two's complement, divided by 10 to the power of scale.
func decimalText(b []byte, scale int) string {
	unscaled := new(big.Int)
	switch {
	case len(b) == 0:
	case len(b) <= 8:
		unscaled.SetInt64(signExtended(b))
	default:
		unscaled.SetBytes(b)
		if b[0]&0x80 != 0 {
			unscaled.Sub(unscaled, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	text := unscaled.String()
	if scale <= 0 {
		return text
	}
	digits, negative := strings.CutPrefix(text, "-")
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	text = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	if negative {
		text = "-" + text
	}
	return text
}

func signExtended(b []byte) int64 {
	var word [8]byte
	if b[0]&0x80 != 0 {
		binary.BigEndian.PutUint64(word[:], math.MaxUint64)
	}
	copy(word[8-len(b):], b)
	return int64(binary.BigEndian.Uint64(word[:]))
}
