package documents

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// workbook is an Excel workbook (ECMA-376, SpreadsheetML).
type workbook struct {
	*archive
	sheets []sheet
	// since1904 says that days are counted from 1904, as on old Macs.
	since1904 bool
	// styles are how the numbers of cells are shown, by the style of a cell.
	styles []numberStyle
	texts  []string
}

// sheet is a sheet of a workbook: its name, and the file with its cells.
type sheet struct {
	name, file string
	hidden     bool
}

// numberStyle is what a number in a cell means.
type numberStyle int

const (
	plainNumber numberStyle = iota
	dateNumber              // a day
	timeNumber              // a time of a day
	momentNumber
)

// cell is the value of a cell: nil, string, int64, float64, bool, date, moment,
// or an error.
type (
	// dayOf is a date.
	dayOf struct{ time.Time }
	// clock is a time of a day.
	clock struct{ time.Time }
)

func openWorkbook(a *archive) (*workbook, error) {
	w := &workbook{archive: a}
	var book struct {
		Properties struct {
			Date1904 string `xml:"date1904,attr"`
		} `xml:"workbookPr"`
		Sheets []struct {
			Name  string `xml:"name,attr"`
			State string `xml:"state,attr"`
			ID    string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	if err := a.decode("xl/workbook.xml", &book); errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("it is not an Excel workbook (.xlsx): xl/workbook.xml is missing")
	} else if err != nil {
		return nil, err
	}
	var relations struct {
		All []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	if err := a.decode("xl/_rels/workbook.xml.rels", &relations); err != nil {
		return nil, err
	}
	targets := map[string]string{}
	for _, r := range relations.All {
		targets[r.ID] = r.Target
	}
	for _, s := range book.Sheets {
		target := targets[s.ID]
		if !strings.HasPrefix(target, "/") {
			target = path.Join("xl", target)
		}
		w.sheets = append(w.sheets, sheet{s.Name, target, s.State != "" && s.State != "visible"})
	}
	w.since1904 = book.Properties.Date1904 == "1" || book.Properties.Date1904 == "true"
	return w, errors.Join(w.readStyles(), w.readTexts())
}

// readStyles reads which cells contain dates: Excel stores them as numbers, and
// only their format says that they are dates.
func (w *workbook) readStyles() error {
	var styles struct {
		Formats []struct {
			ID   int    `xml:"numFmtId,attr"`
			Code string `xml:"formatCode,attr"`
		} `xml:"numFmts>numFmt"`
		Cells []struct {
			Format int `xml:"numFmtId,attr"`
		} `xml:"cellXfs>xf"`
	}
	err := w.decode("xl/styles.xml", &styles)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	codes := map[int]string{}
	for _, f := range styles.Formats {
		codes[f.ID] = f.Code
	}
	for _, c := range styles.Cells {
		style := builtinStyle(c.Format)
		if code, ok := codes[c.Format]; ok {
			style = styleOf(code)
		}
		w.styles = append(w.styles, style)
	}
	return err
}

// builtinStyle returns the meaning of a format that has no code in the file.
func builtinStyle(id int) numberStyle {
	switch {
	case id >= 14 && id <= 17, id >= 27 && id <= 31, id == 36, id >= 50 && id <= 54, id >= 57 && id <= 58:
		return dateNumber
	case id >= 18 && id <= 21, id >= 32 && id <= 35, id >= 45 && id <= 47, id == 55, id == 56:
		return timeNumber
	case id == 22:
		return momentNumber
	}
	return plainNumber
}

// styleOf returns the meaning of a format such as "yyyy-mm-dd".
func styleOf(code string) numberStyle {
	code, _, _ = strings.Cut(code, ";")
	var day, clock, month bool
	for i := 0; i < len(code); i++ {
		switch code[i] {
		case '"': // literal text
			if end := strings.IndexByte(code[i+1:], '"'); end >= 0 {
				i += end + 1
			}
		case '\\', '_', '*':
			i++
		case '[': // a color or condition, or hours beyond 24
			end := strings.IndexByte(code[i:], ']')
			if end < 0 {
				break
			}
			if inner := strings.ToLower(code[i+1 : i+end]); strings.Trim(inner, "hms") == "" && inner != "" {
				return plainNumber // a duration
			}
			i += end
		case 'y', 'Y', 'd', 'D':
			day = true
		case 'h', 'H', 's', 'S':
			clock = true
		case 'm', 'M':
			month = true
		case 'G', 'g': // General
			return plainNumber
		}
	}
	switch {
	case day && clock:
		return momentNumber
	case clock:
		return timeNumber
	case day || month:
		return dateNumber
	}
	return plainNumber
}

// readTexts reads the table of texts that cells refer to.
func (w *workbook) readTexts() error {
	f, err := w.file("xl/sharedStrings.xml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	d := newDecoder(f)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("xl/sharedStrings.xml is damaged: %w", err)
		}
		if t, ok := token.(xml.StartElement); ok && t.Name.Local == "si" {
			var text richText
			if err := d.DecodeElement(&text, &t); err != nil {
				return fmt.Errorf("xl/sharedStrings.xml is damaged: %w", err)
			}
			w.texts = append(w.texts, text.String())
		}
	}
}

// richText is text in parts with different fonts. It leaves out how Japanese
// text is read.
type richText struct {
	Text string `xml:"t"`
	Runs []struct {
		Text string `xml:"t"`
	} `xml:"r"`
}

func (r richText) String() string {
	text := r.Text
	for _, run := range r.Runs {
		text += run.Text
	}
	return text
}

// rows calls use with the cells of each row of a sheet and the row's number.
// cells is valid until use returns.
func (w *workbook) rows(s sheet, use func(number int, cells []any) error) error {
	f, err := w.file(s.file)
	if err != nil {
		return fmt.Errorf("the sheet %q cannot be read: %w", s.name, err)
	}
	defer f.Close()
	d := newDecoder(f)
	number, cells := 0, []any(nil)
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the sheet %q is damaged: %w", s.name, err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "row":
				number, cells = number+1, cells[:0]
				if n, err := strconv.Atoi(xmlAttribute(t, "r")); err == nil {
					number = n
				}
			case "c":
				if cells, err = w.cell(d, t, cells); err != nil {
					return fmt.Errorf("the sheet %q is damaged: %w", s.name, err)
				}
			}
		case xml.EndElement:
			if t.Name.Local == "row" {
				if err := use(number, cells); err != nil {
					return err
				}
			}
		}
	}
}

func xmlAttribute(t xml.StartElement, name string) string {
	for _, a := range t.Attr {
		if a.Name.Local == name && a.Name.Space == "" {
			return a.Value
		}
	}
	return ""
}

// maxColumns is the number of columns that a sheet can have.
const maxColumns = 16384

// cell adds a cell to those of its row.
func (w *workbook) cell(d *xml.Decoder, t xml.StartElement, cells []any) ([]any, error) {
	var c struct {
		Value   *string   `xml:"v"`
		Formula *struct{} `xml:"f"`
		Inline  *richText `xml:"is"`
	}
	if err := d.DecodeElement(&c, &t); err != nil {
		return cells, err
	}
	kind := xmlAttribute(t, "t")
	if c.Value != nil && *c.Value == "" && kind != "str" {
		c.Value = nil
	}
	at := len(cells)
	if name := xmlAttribute(t, "r"); name != "" {
		if at = columnOf(name); at < len(cells) || at >= maxColumns {
			return cells, fmt.Errorf("it has a cell %q in the wrong place", name)
		}
	}
	for len(cells) < at {
		cells = append(cells, nil)
	}
	style := plainNumber
	if n, err := strconv.Atoi(xmlAttribute(t, "s")); err == nil && n >= 0 && n < len(w.styles) {
		style = w.styles[n]
	}
	switch {
	case c.Inline != nil:
		return append(cells, c.Inline.String()), nil
	case c.Value == nil && c.Formula != nil:
		return append(cells, errors.New("it is a formula whose result is not stored in the file\nOpen the workbook in Excel or LibreOffice, and save it.")), nil
	case c.Value == nil:
		return append(cells, nil), nil
	}
	return append(cells, w.value(kind, *c.Value, style)), nil
}

// columnOf returns the index of the column in the name of a cell, such as B7, or
// -1.
func columnOf(name string) int {
	n := 0
	for _, c := range name {
		if c < 'A' || c > 'Z' || n > maxColumns {
			break
		}
		n = n*26 + int(c-'A') + 1
	}
	return n - 1
}

// columnName returns the name of a column, such as B.
func columnName(index int) string {
	name := ""
	for n := index + 1; n > 0; n = (n - 1) / 26 {
		name = string(rune('A'+(n-1)%26)) + name
	}
	return name
}

// value returns the value of a cell of a kind, whose text is in the file.
func (w *workbook) value(kind, text string, style numberStyle) any {
	switch kind {
	case "s":
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil || n < 0 || n >= len(w.texts) {
			return fmt.Errorf("it refers to the text %q, which does not exist", text)
		}
		return w.texts[n]
	case "str", "inlineStr":
		return text
	case "b":
		return strings.TrimSpace(text) == "1"
	case "e":
		if text == "#N/A" {
			return nil
		}
		return fmt.Errorf("it contains the error %s", text)
	case "d":
		if t, ok := moment(text).(time.Time); ok {
			return t
		}
		return fmt.Errorf("%q is not a date", text)
	}
	return w.number(strings.TrimSpace(text), style)
}

// number returns the value of a number, which may mean a date or time.
func (w *workbook) number(text string, style numberStyle) any {
	if style == plainNumber {
		if i, err := strconv.ParseInt(text, 10, 64); err == nil {
			return i
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return fmt.Errorf("%q is not a number", text)
	}
	if style == plainNumber {
		return f
	}
	t, err := w.moment(f)
	switch {
	case err != nil:
		return err
	case style == timeNumber && f >= 0 && f < 1:
		return clock{t}
	case style == dateNumber && f == math.Trunc(f):
		return dayOf{t}
	}
	return t
}

// moment returns the time that a number means: days and parts of a day.
func (w *workbook) moment(f float64) (time.Time, error) {
	if f < 0 || f >= 2_958_466 { // the year 10000
		return time.Time{}, fmt.Errorf("the number %v is not a date that Excel can show", f)
	}
	epoch := time.Date(1899, 12, 30, 0, 0, 0, 0, time.UTC)
	switch {
	case w.since1904:
		epoch = time.Date(1904, 1, 1, 0, 0, 0, 0, time.UTC)
	case f >= 60 && f < 61:
		return time.Time{}, errors.New("it contains February 29, 1900, which does not exist")
	case f < 60: // Excel takes 1900 for a leap year.
		epoch = epoch.AddDate(0, 0, 1)
	}
	day, part := math.Modf(f)
	return epoch.AddDate(0, 0, int(day)).Add(time.Duration(math.Round(part*86_400_000)) * time.Millisecond), nil
}
