package report

import (
	"math"
	"strings"

	"github.com/quern-dev/quern/internal/measurement"
	"github.com/quern-dev/quern/ui/results"
)

// plot draws intervals on one axis: a line between the bounds, and a dot at the
// figure.
type plot struct {
	Width, Height float64
	Whiskers      []whisker
	Ticks         []tick
	// Text describes the plot to people who cannot see it.
	Text string
}

type whisker struct {
	Y, Low, High, At float64
	Color            int
	// Bare is set if there is no interval.
	Bare, Above, Below bool
}

type tick struct {
	X     float64
	Label string
	// Zero marks the line for no difference.
	Zero bool
}

const (
	plotWidth  = 240.0
	plotMargin = 20.0
	lineHeight = 16.0
	axisHeight = 18.0
	colors     = results.Few
)

func color(i int) int { return i % colors }

// newPlot plots figures below each other. The axis of differences includes
// zero.
func newPlot(m results.Metric, figures []measurement.Figure, difference bool) plot {
	low, high := extent(m, figures, difference)
	p := plot{Width: plotWidth, Height: lineHeight*float64(len(figures)) + axisHeight}
	x := func(v float64) float64 {
		return round(plotMargin + (plotWidth-2*plotMargin)*(v-low)/(high-low))
	}
	var texts []string
	for i, f := range figures {
		if f.Value == nil {
			continue
		}
		w := whisker{Y: lineHeight*float64(i) + lineHeight/2 + 1, At: x(*f.Value), Color: color(i), Bare: f.Low == nil || f.High == nil}
		if !w.Bare {
			w.Low, w.High = x(*f.Low), x(*f.High)
		}
		w.Above, w.Below = difference && !w.Bare && *f.Low > 0, difference && !w.Bare && *f.High < 0
		p.Whiskers = append(p.Whiskers, w)
		if difference {
			texts = append(texts, m.Change(f.Value)+" "+m.ChangeInterval(f))
		} else {
			texts = append(texts, m.Figure(f))
		}
	}
	p.Text = strings.Join(texts, "; ")
	for _, v := range ticks(low, high) {
		p.Ticks = append(p.Ticks, tick{X: x(v), Label: axisLabel(m, v, difference), Zero: difference && v == 0})
	}
	return p
}

// boardWidth is the width of the plot of one figure on a board.
const boardWidth = 120.0

// onAxisOf plots one figure on the common axis, without ticks.
func onAxisOf(m results.Metric, all []measurement.Figure, f measurement.Figure) plot {
	low, high := extent(m, all, false)
	x := func(v float64) float64 { return round(4 + (boardWidth-8)*(v-low)/(high-low)) }
	w := whisker{Y: lineHeight / 2, At: x(*f.Value), Bare: f.Low == nil || f.High == nil}
	if !w.Bare {
		w.Low, w.High = x(*f.Low), x(*f.High)
	}
	return plot{Width: boardWidth, Height: lineHeight, Whiskers: []whisker{w}, Text: m.Figure(f)}
}

func axisLabel(m results.Metric, v float64, difference bool) string {
	if m.Share {
		v = math.Round(100*v*1e6) / 1e6
	}
	text := results.Short(v)
	switch {
	case difference && v > 0:
		return "+" + text
	case m.Share && !difference:
		return text + "%"
	}
	return text
}

// extent returns the part of the axis that is drawn: the range of the figures
// with a margin, clipped to the possible range of a share.
func extent(m results.Metric, figures []measurement.Figure, difference bool) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	for _, f := range figures {
		for _, v := range []*float64{f.Value, f.Low, f.High} {
			if v != nil {
				low, high = min(low, *v), max(high, *v)
			}
		}
	}
	if math.IsInf(low, 0) {
		return 0, 1
	}
	if difference {
		low, high = min(low, 0), max(high, 0)
	}
	room := 0.12 * (high - low)
	if m.Share {
		room = max(room, 0.02)
	}
	if room == 0 {
		room = max(math.Abs(high)/10, 0.1)
	}
	if difference {
		return low - room, high + room
	}
	if m.Share {
		return max(low-room, 0), min(high+room, 1)
	}
	return low - room, high + room
}

// ticks returns three to six round numbers from low to high.
func ticks(low, high float64) []float64 {
	span := high - low
	step := math.Pow(10, math.Floor(math.Log10(span)))
	for _, by := range []float64{0.1, 0.2, 0.5, 1, 2} {
		if span/(step*by) <= 5 {
			step *= by
			break
		}
	}
	var out []float64
	for i := math.Ceil(low/step - 1e-9); i*step <= high+step*1e-9; i++ {
		out = append(out, i*step+0) // avoid -0
	}
	return out
}

func round(v float64) float64 { return math.Round(v*10) / 10 }
