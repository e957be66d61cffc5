package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/quern-dev/quern/internal/english"
	"github.com/quern-dev/quern/ui/results"
)

// frameText is what the pages of profiles and trainings begin and end with.
//
//go:embed frame.html
var frameText string

//go:embed training.html
var trainingText string

var trainingTemplate = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("training").Funcs(template.FuncMap{"color": color}).Parse(frameText + trainingText))
})

// trainingPage is the data of the template.
type trainingPage struct {
	Title, Lead, Environment, Made string
	Charts                         []chart
	Values, Facts                  [][2]string
	Inputs, Outputs                [][]string
	Style                          template.CSS
}

// WriteTraining writes a page about a training. It has no script.
func WriteTraining(w io.Writer, t *results.Training, o Options) error {
	p := &trainingPage{
		Title: t.Address, Lead: t.Type, Environment: o.Environment, Made: o.Made,
		Charts: charts(t.Curves), Values: t.Values, Style: template.CSS(styleText),
	}
	for _, port := range slices.Sorted(maps.Keys(t.Outputs)) {
		name := port
		if name == "" {
			name = t.Address
		}
		p.Outputs = append(p.Outputs, []string{name, t.Outputs[port].Kind, t.Outputs[port].Digest})
	}
	if e := t.Entry; e != nil {
		p.Facts = [][2]string{
			{"plugin", strings.TrimSpace(e.Plugin.Name + " " + e.Plugin.Version)}, {"program", e.Plugin.Digest},
			{"duration", strconv.FormatFloat(e.Seconds, 'f', 1, 64) + " s"}, {"run", e.Run}, {"action key", e.Key},
		}
		for _, in := range e.Inputs {
			p.Inputs = append(p.Inputs, []string{strings.TrimSuffix(in.Address+"."+in.Port, "."), string(in.Role), in.Digest})
		}
	}
	var b bytes.Buffer
	if err := trainingTemplate().Execute(&b, p); err != nil {
		return fmt.Errorf("fill in the page: %w", err)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// chart draws curves with a common axis over the steps.
type chart struct {
	Title, Note   string
	Width, Height float64
	// Left and Bottom are where the axes are, Right where they end.
	Left, Right, Bottom float64
	XTicks, YTicks      []axisTick
	Lines               []line
	// Text describes the chart to people who cannot see it.
	Text string
}

type axisTick struct {
	At    float64
	Label string
}

// line is a curve in a chart.
type line struct {
	Name  string
	Color int
	// Path is the SVG path, Dots are the points if there are few.
	Path string
	Dots []dot
	Last string
}

type dot struct {
	X, Y  float64
	Title string
}

const (
	chartWidth  = 560.0
	chartHeight = 240.0
	chartLeft   = 58.0
	chartBottom = 212.0
	chartTop    = 10.0
	chartRight  = 548.0
	// mostDots is the number of points up to which each is marked.
	mostDots = 60
)

// chartGroups are the curves that are drawn together, by title. Any other curve has
// a chart of its own.
var chartGroups = []struct {
	title string
	names []string
}{
	{"Loss", []string{"loss", "eval_loss"}},
	{"Learning rate", []string{"learning_rate"}},
	{"Norm of the gradients", []string{"grad_norm"}},
	{"Tokens per second", []string{"tokens_per_second"}},
}

func charts(curves []results.Curve) []chart {
	byName := map[string]results.Curve{}
	for _, c := range curves {
		byName[c.Name] = c
	}
	var out []chart
	draw := func(title string, names ...string) {
		var group []results.Curve
		for _, name := range names {
			if c, ok := byName[name]; ok && len(c.Points) > 0 {
				group = append(group, c)
			}
			delete(byName, name)
		}
		if len(group) > 0 {
			out = append(out, newChart(title, group))
		}
	}
	for _, g := range chartGroups {
		draw(g.title, g.names...)
	}
	for _, c := range curves {
		draw(strings.ReplaceAll(c.Name, "_", " "), c.Name)
	}
	return out
}

func newChart(title string, curves []results.Curve) chart {
	c := chart{Title: title, Width: chartWidth, Height: chartHeight, Left: chartLeft, Right: chartRight, Bottom: chartBottom}
	x := axis(curves, func(p results.Point) float64 { return p.Step }, chartLeft, chartRight, 0)
	y := axis(curves, func(p results.Point) float64 { return p.Value }, chartBottom, chartTop, 0.06)
	for _, v := range ticks(x.low, x.high) {
		c.XTicks = append(c.XTicks, axisTick{x.at(v), results.Short(v)})
	}
	for _, v := range ticks(y.low, y.high) {
		c.YTicks = append(c.YTicks, axisTick{y.at(v), tickLabel(v)})
	}
	var texts []string
	for i, curve := range curves {
		l := line{Name: curve.Name, Color: color(i), Last: figure(curve.Points[len(curve.Points)-1].Value)}
		var path strings.Builder
		for k, p := range curve.Points {
			fmt.Fprintf(&path, "%s%g %g", map[bool]string{true: "M", false: "L"}[k == 0], x.at(p.Step), y.at(p.Value))
			if len(curve.Points) <= mostDots {
				l.Dots = append(l.Dots, dot{x.at(p.Step), y.at(p.Value), fmt.Sprintf("%s at step %s: %s", curve.Name, results.Short(p.Step), figure(p.Value))})
			}
		}
		l.Path = path.String()
		c.Lines = append(c.Lines, l)
		texts = append(texts, fmt.Sprintf("%s from %s to %s", curve.Name, figure(curve.Points[0].Value), l.Last))
		if curve.Mean > 1 {
			c.Note = "Each point is the mean of " + english.Count(curve.Mean, "row") + "."
		}
	}
	c.Text = title + ": " + strings.Join(texts, "; ")
	return c
}

// scale maps values to an axis.
type scale struct{ low, high, from, to float64 }

// axis returns the scale that contains all points, with some room.
func axis(curves []results.Curve, of func(results.Point) float64, from, to, room float64) scale {
	low, high := math.Inf(1), math.Inf(-1)
	for _, c := range curves {
		for _, p := range c.Points {
			low, high = min(low, of(p)), max(high, of(p))
		}
	}
	if low == high {
		margin := max(math.Abs(low)/10, 1e-9)
		low, high = low-margin, high+margin
	}
	space := room * (high - low)
	return scale{low - space, high + space, from, to}
}

func (s scale) at(v float64) float64 {
	return round(s.from + (s.to-s.from)*(v-s.low)/(s.high-s.low))
}

func figure(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// tickLabel shortens a number on an axis: 2,000, 0.5, 2e-5.
func tickLabel(v float64) string {
	if math.Abs(v) >= 1000 && math.Abs(v) < 1e6 {
		return english.Number(int64(math.Round(v)))
	}
	return strings.NewReplacer("e-0", "e-", "e+0", "e+").Replace(strconv.FormatFloat(v, 'g', 3, 64))
}
