package state

import (
	"github.com/quern-dev/quern/internal/ownjson"
	"github.com/quern-dev/quern/store/action"
	"github.com/quern-dev/quern/store/artifact"
)

// ReadJSON reads a state, as WriteJSON writes it. It reports whether it could, and
// otherwise changes nothing.
func (s *State) ReadJSON(text string) bool {
	var read State
	r := ownjson.NewReader(text)
	read.read(r)
	if !r.Done() {
		return false
	}
	*s = read
	return true
}

func (s *State) read(r *ownjson.Reader) {
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "checksum": // of the document
			r.SkipText()
		case "format":
			s.Format = r.Text()
		case "lineage":
			s.Lineage = r.Text()
		case "serial":
			s.Serial = r.Int()
		case "environment":
			s.Environment = r.Text()
		case "expires":
			r.Into(&s.Expires)
		case "instances":
			s.Instances = ownjson.Map(r, readInstance)
		case "outputs":
			r.Into(&s.Outputs)
		case "pending":
			r.Into(&s.Pending)
		case "rejected":
			r.Into(&s.Rejected)
		default:
			r.GiveUp()
		}
	}
}

func readInstance(r *ownjson.Reader) *Instance {
	i := &Instance{}
	for m := r.Members(); m.Next(); {
		switch m.Name {
		case "address":
			i.Address = r.Text()
		case "kind":
			i.Kind = r.Text()
		case "type":
			i.Type = r.Text()
		case "plugin":
			i.Plugin = r.Text()
		case "definition":
			i.Definition = r.Text()
		case "rows_key":
			i.RowsKey = r.Text()
		case "action_key":
			i.ActionKey = r.Text()
		case "preimage":
			i.Preimage = action.ReadPreimage(r)
		case "outputs":
			i.Outputs = ownjson.Map(r, artifact.ReadRef)
		case "value":
			r.Into(&i.Value)
		case "errors":
			i.Errors = r.Int()
		case "contracts":
			r.Into(&i.Contracts)
		case "fingerprint":
			i.Fingerprint = r.Text()
		case "memo":
			r.Into(&i.Memo)
		case "deployment":
			r.Into(&i.Deployment)
		case "inputs":
			r.Into(&i.Inputs)
		case "depends_on":
			i.DependsOn = ownjson.List(r, (*ownjson.Reader).Text)
		case "run":
			i.Run = r.Text()
		case "updated":
			i.Updated = r.Time()
		default:
			r.GiveUp()
		}
	}
	return i
}

// WriteJSON writes what json.Marshal writes.
func (s *State) WriteJSON(w *ownjson.Writer) {
	w.Grow(usualInstance * len(s.Instances))
	w.Open('{')
	w.Name("format")
	w.Text(s.Format)
	w.Name("lineage")
	w.Text(s.Lineage)
	w.Name("serial")
	w.Int(s.Serial)
	w.Name("environment")
	w.Text(s.Environment)
	if s.Expires != nil {
		w.Name("expires")
		w.Any(s.Expires)
	}
	w.Name("instances")
	ownjson.WriteMap(w, s.Instances, writeInstance)
	if len(s.Outputs) > 0 {
		w.Name("outputs")
		w.Any(s.Outputs)
	}
	if len(s.Pending) > 0 {
		w.Name("pending")
		w.Any(s.Pending)
	}
	if len(s.Rejected) > 0 {
		w.Name("rejected")
		w.Any(s.Rejected)
	}
	w.Close('}')
}

// usualInstance is the size of an instance with a short preimage, in bytes.
const usualInstance = 1500

func writeInstance(w *ownjson.Writer, i *Instance) {
	if i == nil {
		w.Any(nil)
		return
	}
	w.Open('{')
	w.Name("address")
	w.Text(i.Address)
	w.Name("kind")
	w.Text(i.Kind)
	w.Given("type", i.Type)
	w.Given("plugin", i.Plugin)
	w.Given("definition", i.Definition)
	w.Given("rows_key", i.RowsKey)
	w.Given("action_key", i.ActionKey)
	if !i.Preimage.IsZero() {
		w.Name("preimage")
		i.Preimage.Write(w)
	}
	if len(i.Outputs) > 0 {
		w.Name("outputs")
		ownjson.WriteMap(w, i.Outputs, func(w *ownjson.Writer, ref artifact.Ref) { ref.Write(w) })
	}
	i.writeRest(w)
	w.Close('}')
}

// writeRest writes what comes after the outputs.
func (i *Instance) writeRest(w *ownjson.Writer) {
	if i.Value != nil {
		w.Name("value")
		w.Any(i.Value)
	}
	if i.Errors != 0 {
		w.Name("errors")
		w.Int(i.Errors)
	}
	if len(i.Contracts) > 0 {
		w.Name("contracts")
		w.Any(i.Contracts)
	}
	w.Given("fingerprint", i.Fingerprint)
	if len(i.Memo) > 0 {
		w.Name("memo")
		w.Any(i.Memo)
	}
	if i.Deployment != nil {
		w.Name("deployment")
		w.Any(i.Deployment)
	}
	if len(i.Inputs) > 0 {
		w.Name("inputs")
		w.Any(i.Inputs)
	}
	if len(i.DependsOn) > 0 {
		w.Name("depends_on")
		ownjson.WriteList(w, i.DependsOn, (*ownjson.Writer).Text)
	}
	w.Given("run", i.Run)
	w.Name("updated")
	w.Time(i.Updated)
}
