package chattemplate

import (
	"errors"
	"fmt"
	"strings"

	"github.com/quern-dev/quern/internal/jinja"
)

// strftimeLayouts are the directives of Python's strftime in its C locale.
var strftimeLayouts = map[byte]string{
	'a': "Mon", 'A': "Monday", 'b': "Jan", 'B': "January", 'd': "02", 'm': "01", 'y': "06", 'Y': "2006",
	'H': "15", 'I': "03", 'M': "04", 'S': "05", 'p': "PM", 'j': "002", 'F': "2006-01-02", 'T': "15:04:05", 'D': "01/02/06", 'h': "Jan", 'e': "_2", 'R': "15:04",
}

// strftime is the function strftime_now of transformers, at midnight of the given
// date.
func (t *Template) strftime(args []any, named *jinja.Dict) (any, error) {
	if len(args) != 1 || len(named.Keys) > 0 {
		return nil, errors.New("strftime_now needs a format")
	}
	format, ok := args[0].(string)
	if !ok {
		return nil, errors.New("strftime_now needs a format")
	}
	var out strings.Builder
	for i := 0; i < len(format); i++ {
		if format[i] != '%' || i+1 == len(format) {
			out.WriteByte(format[i])
			continue
		}
		i++
		layout, ok := strftimeLayouts[format[i]]
		switch {
		case format[i] == '%':
			out.WriteByte('%')
		case !ok:
			return nil, fmt.Errorf("strftime_now does not support %%%c", format[i])
		default:
			out.WriteString(t.settings.Date.Format(layout))
		}
	}
	return out.String(), nil
}
