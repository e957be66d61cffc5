package onnx

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"sync"

	ort "github.com/yalue/onnxruntime_go"
)

// network computes a vector for each token.
type network struct {
	session *ort.DynamicAdvancedSession
	inputs  []string
}

// start loads ONNX Runtime. A process can load it once.
var start = struct {
	sync.Mutex
	path string
}{}

func startRuntime(library string) error {
	path := cmp.Or(library, os.Getenv("ONNXRUNTIME_LIBRARY"), usualName())
	start.Lock()
	defer start.Unlock()
	switch {
	case start.path == path:
		return nil
	case start.path != "":
		return fmt.Errorf("another model uses the library %s, and this one %s; use the same for all models", start.path, path)
	}
	ort.SetSharedLibraryPath(path)
	if err := ort.InitializeEnvironment(); err != nil {
		return fmt.Errorf("cannot load ONNX Runtime from %s: %w\nInstall it, for example with \"pip install onnxruntime\", and set library to the path of libonnxruntime", path, err)
	}
	start.path = path
	return nil
}

func usualName() string {
	if runtime.GOOS == "darwin" {
		return "libonnxruntime.dylib"
	}
	return "libonnxruntime.so"
}

// load reads a model.
func load(path, library string) (*network, error) {
	if err := startRuntime(library); err != nil {
		return nil, err
	}
	inputs, outputs, err := ort.GetInputOutputInfo(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the model %s: %w", path, err)
	}
	n := &network{}
	for _, in := range inputs {
		if _, ok := values(in.Name, nil); !ok || in.DataType != ort.TensorElementDataTypeInt64 {
			return nil, fmt.Errorf("the model has the input %s, which is not supported; models have the inputs input_ids, attention_mask, and token_type_ids, of type int64", in.String())
		}
		n.inputs = append(n.inputs, in.Name)
	}
	if len(outputs) == 0 || len(outputs[0].Dimensions) != 3 || outputs[0].DataType != ort.TensorElementDataTypeFloat {
		return nil, fmt.Errorf("the first output of the model is not a vector of float32 for each token")
	}
	n.session, err = ort.NewDynamicAdvancedSession(path, n.inputs, []string{outputs[0].Name}, nil)
	return n, err
}

// values returns what an input gets for the tokens of a text.
func values(input string, ids []int64) ([]int64, bool) {
	out := make([]int64, len(ids))
	switch input {
	case "input_ids":
		return ids, true
	case "attention_mask":
		for i := range out {
			out[i] = 1
		}
		return out, true
	case "token_type_ids":
		return out, true
	}
	return nil, false
}

// run returns the vector of each token. Any number of goroutines can call it.
func (n *network) run(ids []int64) ([][]float32, error) {
	var inputs []ort.Value
	defer func() {
		for _, v := range inputs {
			_ = v.Destroy()
		}
	}()
	for _, name := range n.inputs {
		v, _ := values(name, ids)
		t, err := ort.NewTensor(ort.NewShape(1, int64(len(ids))), v)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, t)
	}
	outputs := []ort.Value{nil}
	if err := n.session.Run(inputs, outputs); err != nil {
		return nil, err
	}
	defer func() { _ = outputs[0].Destroy() }()
	t, ok := outputs[0].(*ort.Tensor[float32])
	shape := outputs[0].GetShape()
	if !ok || len(shape) != 3 || shape[0] != 1 || shape[1] != int64(len(ids)) || shape[2] < 1 {
		return nil, fmt.Errorf("the output has the shape %v for %d tokens", shape, len(ids))
	}
	states, size := make([][]float32, len(ids)), int(shape[2])
	for i := range states { // the tensor's memory is freed
		states[i] = append([]float32(nil), t.GetData()[i*size:(i+1)*size]...)
	}
	return states, nil
}
