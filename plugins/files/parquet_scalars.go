package files

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/extensions"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/schema"

	"github.com/quern-dev/quern/sdk/go/data"
)

// scalars converts values one by one.
func (v *conversion) scalars(a arrow.Array, column *parquetColumn, to arrow.DataType) (arrow.Array, error) {
	get, err := v.getter(a, column, to)
	if err != nil {
		return nil, err
	}
	b := array.NewBuilder(memory.DefaultAllocator, to)
	defer b.Release()
	b.Reserve(a.Len())
	for i := range a.Len() {
		if a.IsNull(i) {
			b.AppendNull()
			continue
		}
		value, err := get(i)
		if err == nil {
			err = put(b, value)
		}
		if err != nil {
			return nil, &valueError{i, err}
		}
	}
	return b.NewArray(), nil
}

// getter returns a function that reads a non-null value as a type.
func (v *conversion) getter(a arrow.Array, column *parquetColumn, to arrow.DataType) (func(i int) (parsed, error), error) {
	from, natural, err := v.natural(a, column, to)
	if err != nil {
		return nil, err
	}
	cast, err := v.caster(from, to)
	if err != nil || cast == nil {
		return natural, err
	}
	return func(i int) (parsed, error) {
		value, err := natural(i)
		if err != nil {
			return value, err
		}
		return cast(value)
	}, nil
}

// natural returns the union type of an array's values, and a function that
// reads one of them.
func (v *conversion) natural(a arrow.Array, column *parquetColumn, to arrow.DataType) (arrow.DataType, func(i int) (parsed, error), error) {
	switch a := a.(type) {
	case *array.Boolean:
		return arrow.FixedWidthTypes.Boolean, func(i int) (parsed, error) { return parsed{b: a.Value(i)}, nil }, nil
	case *array.Int8:
		if column.typ.ID() == arrow.BOOL {
			return arrow.FixedWidthTypes.Boolean, func(i int) (parsed, error) { return parsed{b: a.Value(i) != 0}, nil }, nil
		}
		return whole(a.Value)
	case *array.Int16:
		return whole(a.Value)
	case *array.Int32:
		return whole(a.Value)
	case *array.Int64:
		if d, ok := column.origin.(*arrow.DurationType); ok {
			return words(func(i int) string { return isoDuration(a.Value(i), d.Unit) })
		}
		return whole(a.Value)
	case *array.Uint8:
		return whole(a.Value)
	case *array.Uint16:
		return whole(a.Value)
	case *array.Uint32:
		return whole(a.Value)
	case *array.Uint64:
		return digitsType, func(i int) (parsed, error) { return parsed{text: strconv.AppendUint(nil, a.Value(i), 10)}, nil }, nil
	case *array.Float16:
		return arrow.PrimitiveTypes.Float64, func(i int) (parsed, error) { return parsed{f: float64(a.Value(i).Float32())}, nil }, nil
	case *array.Float32:
		return arrow.PrimitiveTypes.Float64, func(i int) (parsed, error) { return parsed{f: float64(a.Value(i))}, nil }, nil
	case *array.Float64:
		return arrow.PrimitiveTypes.Float64, func(i int) (parsed, error) { return parsed{f: a.Value(i)}, nil }, nil
	case *array.Decimal128:
		return digits(func(i int) string { return a.Value(i).ToString(column.scale) })
	case *array.Decimal256:
		return digits(func(i int) string { return a.Value(i).ToString(column.scale) })
	case *array.Date32:
		return arrow.FixedWidthTypes.Date32, func(i int) (parsed, error) { return parsed{i: int64(a.Value(i))}, nil }, nil
	case *array.Timestamp:
		return v.timestamp(a, to)
	case *array.Time32:
		unit := a.DataType().(*arrow.Time32Type).Unit
		return words(func(i int) string { return timeOfDay(int64(a.Value(i)), unit) })
	case *array.Time64:
		unit := a.DataType().(*arrow.Time64Type).Unit
		return words(func(i int) string { return timeOfDay(int64(a.Value(i)), unit) })
	case *array.String:
		if to.ID() == arrow.BINARY {
			return to, func(i int) (parsed, error) { return parsed{text: []byte(a.Value(i))}, nil }, nil
		}
		return legible(func(i int) []byte { return []byte(a.Value(i)) })
	case *array.Binary:
		return v.bytes(column, a.Value)
	case *array.FixedSizeBinary:
		return v.bytes(column, a.Value)
	case *extensions.UUIDArray:
		return words(func(i int) string { return a.Value(i).String() })
	case *extensions.VariantArray:
		return stringType, variantJSON(a), nil
	case array.ExtensionArray:
		return v.natural(a.Storage(), column, to)
	}
	return nil, nil, fmt.Errorf("%s is not a supported column type", a.DataType())
}

func whole[T int8 | int16 | int32 | int64 | uint8 | uint16 | uint32](value func(int) T) (arrow.DataType, func(int) (parsed, error), error) {
	return arrow.PrimitiveTypes.Int64, func(i int) (parsed, error) { return parsed{i: int64(value(i))}, nil }, nil
}

func digits(text func(int) string) (arrow.DataType, func(int) (parsed, error), error) {
	return digitsType, func(i int) (parsed, error) { return parsed{text: []byte(text(i))}, nil }, nil
}

func words(text func(int) string) (arrow.DataType, func(int) (parsed, error), error) {
	return stringType, func(i int) (parsed, error) { return parsed{text: []byte(text(i))}, nil }, nil
}

// legible reads texts, which must be valid UTF-8.
func legible(text func(int) []byte) (arrow.DataType, func(int) (parsed, error), error) {
	return stringType, func(i int) (parsed, error) {
		b := text(i)
		if err := checkText(b); err != nil {
			return parsed{}, fmt.Errorf("%w\nWrite the file with UTF-8 text, or read the column as \"binary\" with schema.", err)
		}
		return parsed{text: b}, nil
	}, nil
}

// bytes reads bytes, which may represent text.
func (v *conversion) bytes(column *parquetColumn, value func(int) []byte) (arrow.DataType, func(int) (parsed, error), error) {
	switch {
	case isIn[schema.IntervalLogicalType](column.logical):
		return words(func(i int) string { return isoInterval(value(i)) })
	case isIn[schema.UUIDLogicalType](column.logical) || isUUID(column.origin):
		return words(func(i int) string { return uuidText(value(i)) })
	case column.typ.ID() == arrow.STRING:
		return legible(value)
	}
	return arrow.BinaryTypes.Binary, func(i int) (parsed, error) { return parsed{text: value(i)}, nil }, nil
}

func isUUID(t arrow.DataType) bool {
	_, ok := t.(*extensions.UUIDType)
	return ok
}

func variantJSON(a *extensions.VariantArray) func(int) (parsed, error) {
	return func(i int) (parsed, error) {
		value, err := a.Value(i)
		if err != nil {
			return parsed{}, err
		}
		text, err := json.Marshal(value)
		return parsed{text: text}, err
	}
}

// timestamp reads timestamps: microseconds or, if the user asked for text, all
// their digits.
func (v *conversion) timestamp(a *array.Timestamp, to arrow.DataType) (arrow.DataType, func(int) (parsed, error), error) {
	t := a.DataType().(*arrow.TimestampType)
	layout := timestampLayout(t.TimeZone != "")
	if to.ID() == arrow.STRING {
		return words(func(i int) string { return a.Value(i).ToTime(t.Unit).UTC().Format(layout) })
	}
	return timestampType, func(i int) (parsed, error) { return v.micros(int64(a.Value(i)), t.Unit, layout) }, nil
}

// timestampLayout is the form of a timestamp with all its digits, which is in UTC or
// in no time zone.
func timestampLayout(utc bool) string {
	if utc {
		return "2006-01-02T15:04:05.999999999Z"
	}
	return "2006-01-02T15:04:05.999999999"
}

// micros converts a time since 1970 to microseconds. More precise times are
// truncated only if the user asked for timestamps.
func (v *conversion) micros(n int64, unit arrow.TimeUnit, layout string) (parsed, error) {
	micros, exact := toMicros(n, unit)
	switch {
	case exact || v.asked && unit == arrow.Nanosecond:
		return parsed{i: micros}, nil
	case unit == arrow.Nanosecond:
		return parsed{}, fmt.Errorf("%s is more precise than a timestamp, which has microseconds\nIn schema, \"string\" keeps all digits, and \"timestamp\" truncates them.", arrow.Timestamp(n).ToTime(unit).UTC().Format(layout))
	}
	return parsed{}, fmt.Errorf("%d %s since 1970 is outside the range of timestamp", n, unit)
}

// toMicros converts a time to microseconds, rounding down. exact is false if
// this changes the time.
func toMicros(value int64, unit arrow.TimeUnit) (micros int64, exact bool) {
	switch unit {
	case arrow.Second:
		return value * 1_000_000, value >= math.MinInt64/1_000_000 && value <= math.MaxInt64/1_000_000
	case arrow.Millisecond:
		return value * 1_000, value >= math.MinInt64/1_000 && value <= math.MaxInt64/1_000
	case arrow.Nanosecond:
		micros = value / 1_000
		if value%1_000 < 0 {
			micros--
		}
		return micros, value%1_000 == 0
	}
	return value, true
}

// caster returns a function that converts a value from one type to another, or
// nil if the value stays the same.
func (v *conversion) caster(from, to arrow.DataType) (func(parsed) (parsed, error), error) {
	f, t := from.ID(), to.ID()
	switch {
	case f == t:
		return nil, nil
	case f == arrow.INT64 && t == arrow.FLOAT64:
		return exactFloat, nil
	case f == arrow.DATE32 && t == arrow.TIMESTAMP:
		return midnight, nil
	case f == digitsType.ID() && t == arrow.STRING:
		return nil, nil
	case f == digitsType.ID() && t == arrow.INT64:
		return wholeDigits, nil
	case f == digitsType.ID() && t == arrow.FLOAT64:
		return v.floatDigits, nil
	case (f == arrow.INT64 || f == arrow.FLOAT64 || v.asked) && t == arrow.STRING:
		return v.texts(from), nil
	}
	if !v.asked {
		return nil, mismatch(from, to)
	}
	return askedCaster(from, to)
}

// askedCaster returns the conversions that are made only if the user sets the
// type.
func askedCaster(from, to arrow.DataType) (func(parsed) (parsed, error), error) {
	f, t := from.ID(), to.ID()
	name, err := data.TypeName(to)
	switch {
	case err != nil:
		return nil, err
	case f == arrow.STRING && t == arrow.BINARY:
		return nil, nil
	case f == arrow.STRING:
		return func(p parsed) (parsed, error) { return parseText(name, p.text) }, nil
	case f == arrow.FLOAT64 && t == arrow.INT64:
		return func(p parsed) (parsed, error) {
			if p.f != math.Trunc(p.f) || math.Abs(p.f) >= 1<<63 {
				return p, fmt.Errorf("%v is not an int64", p.f)
			}
			return parsed{i: int64(p.f)}, nil
		}, nil
	case f == arrow.TIMESTAMP && t == arrow.DATE32:
		return func(p parsed) (parsed, error) {
			const day = 24 * int64(time.Hour/time.Microsecond)
			if p.i%day != 0 {
				return p, fmt.Errorf("%s is not a date: it has a time of day", time.UnixMicro(p.i).UTC().Format(time.RFC3339Nano))
			}
			return parsed{i: p.i / day}, nil
		}, nil
	}
	return nil, mismatch(from, to)
}

func exactFloat(p parsed) (parsed, error) {
	f := float64(p.i)
	if f >= 1<<63 || int64(f) != p.i {
		return p, fmt.Errorf("%d cannot be converted to float64, the type of the column's other values, without losing digits\nIn schema, \"string\" keeps them.", p.i)
	}
	return parsed{f: f}, nil
}

func midnight(p parsed) (parsed, error) {
	const day = 24 * int64(time.Hour/time.Microsecond)
	if p.i > math.MaxInt64/day || p.i < math.MinInt64/day {
		return p, fmt.Errorf("the date %d days after 1970 is outside the range of timestamp", p.i)
	}
	return parsed{i: p.i * day}, nil
}

func wholeDigits(p parsed) (parsed, error) {
	text := string(p.text)
	if at := strings.IndexByte(text, '.'); at >= 0 && strings.Trim(text[at+1:], "0") == "" {
		text = text[:at]
	}
	i, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return p, fmt.Errorf("%s is outside the range of int64\nIn schema, \"string\" keeps its digits.", p.text)
	}
	return parsed{i: i}, nil
}

func (v *conversion) floatDigits(p parsed) (parsed, error) {
	text := string(p.text)
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return p, err
	}
	if strings.Contains(text, ".") {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	if !v.asked && len(text) > exactDigits && strconv.FormatFloat(f, 'f', -1, 64) != text {
		return p, fmt.Errorf("%s cannot be converted to float64 without losing digits\nIn schema, \"string\" keeps them, and \"float64\" rounds to the nearest number.", p.text)
	}
	return parsed{f: f}, nil
}

// texts returns a function that formats a type as text.
func (v *conversion) texts(from arrow.DataType) func(parsed) (parsed, error) {
	return func(p parsed) (parsed, error) {
		switch from.ID() {
		case arrow.INT64:
			p.text = strconv.AppendInt(nil, p.i, 10)
		case arrow.FLOAT64:
			p.text = strconv.AppendFloat(nil, p.f, 'g', -1, 64)
		case arrow.BOOL:
			p.text = strconv.AppendBool(nil, p.b)
		case arrow.DATE32:
			p.text = []byte(arrow.Date32(p.i).FormattedString())
		case arrow.BINARY:
			return p, checkText(p.text)
		}
		return p, nil
	}
}

// perSecond returns how many units make a second, and the number of digits of
// that.
func perSecond(unit arrow.TimeUnit) (n uint64, digits int) {
	switch unit {
	case arrow.Second:
		return 1, 0
	case arrow.Millisecond:
		return 1e3, 3
	case arrow.Microsecond:
		return 1e6, 6
	}
	return 1e9, 9
}

// isoDuration formats a duration in ISO 8601: PT26H3M4.5S.
func isoDuration(n int64, unit arrow.TimeUnit) string {
	sign, u := "", uint64(n)
	if n < 0 {
		sign, u = "-", -u
	}
	second, digits := perSecond(unit)
	return sign + "PT" + clock(u/second, u%second, digits)
}

// timeOfDay formats a time in ISO 8601: 15:04:05.5. Midnight at the end of a
// day is 24:00:00.
func timeOfDay(n int64, unit arrow.TimeUnit) string {
	second, digits := perSecond(unit)
	s, part := uint64(n)/second, uint64(n)%second
	return fmt.Sprintf("%02d:%02d:%02d%s", s/3600, s/60%60, s%60, fraction(part, digits))
}

// fraction formats the digits after the point, without trailing zeros.
func fraction(part uint64, digits int) string {
	if part == 0 {
		return ""
	}
	return "." + strings.TrimRight(fmt.Sprintf("%0*d", digits, part), "0")
}

// clock formats hours, minutes, and seconds. part contains the digits of the
// fraction.
func clock(seconds, part uint64, digits int) string {
	var text strings.Builder
	if h := seconds / 3600; h > 0 {
		fmt.Fprintf(&text, "%dH", h)
	}
	if m := seconds / 60 % 60; m > 0 {
		fmt.Fprintf(&text, "%dM", m)
	}
	if s := seconds % 60; s > 0 || part > 0 || text.Len() == 0 {
		fmt.Fprintf(&text, "%d%sS", s, fraction(part, digits))
	}
	return text.String()
}

// isoInterval formats Parquet's interval (months, days, milliseconds) in ISO
// 8601: P1Y2M3DT4H5M6.007S.
func isoInterval(b []byte) string {
	months, days, millis := binary.LittleEndian.Uint32(b), binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint32(b[8:])
	var text strings.Builder
	text.WriteString("P")
	for _, part := range []struct {
		n    uint32
		unit string
	}{{months / 12, "Y"}, {months % 12, "M"}, {days, "D"}} {
		if part.n > 0 {
			fmt.Fprintf(&text, "%d%s", part.n, part.unit)
		}
	}
	if millis > 0 || text.Len() == 1 {
		text.WriteString("T" + clock(uint64(millis/1000), uint64(millis%1000), 3))
	}
	return text.String()
}

func uuidText(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
