package measurement

import "encoding/json"

// ClassFigure is a figure of a class.
type ClassFigure struct{ Figure }

// UnmarshalJSON also reads a plain number, which reports contained before
// classes had intervals.
func (f *ClassFigure) UnmarshalJSON(text []byte) error {
	var value float64
	if err := json.Unmarshal(text, &value); err == nil {
		*f = ClassFigure{Figure{Value: &value}}
		return nil
	}
	return json.Unmarshal(text, &f.Figure)
}

// Number is the figure's value; 0 if there is none.
func (f ClassFigure) Number() float64 {
	if f.Value == nil {
		return 0
	}
	return *f.Value
}
