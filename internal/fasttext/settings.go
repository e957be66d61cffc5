package fasttext

import (
	"errors"
	"fmt"
)

const (
	magic = 793712314
	// supervised is the number of classifiers among the kinds of models. The
	// others are word vectors.
	supervised = 3

	largestDim = 1 << 16
)

// The losses that a model can be trained with.
const (
	hierarchicalSoftmax = 1
	negativeSampling    = 2
	softmax             = 3
	oneVersusAll        = 4
)

// settings are those of the training that predictions depend on.
type settings struct {
	dim, wordNgrams, loss, bucket, minn, maxn int32
}

func (s *settings) read(in *reader) {
	if in.int32() != magic {
		in.fail(errors.New("the file is not a fastText model"))
		return
	}
	version := in.int32()
	var fields [12]int32
	for i := range fields {
		fields[i] = in.int32()
	}
	in.int64() // the sampling threshold
	*s = settings{dim: fields[0], wordNgrams: fields[5], loss: fields[6], bucket: fields[8], minn: fields[9], maxn: fields[10]}
	switch model := fields[7]; {
	case in.err != nil:
	case version != 11 && version != 12:
		in.fail(fmt.Errorf("the model has version %d of fastText's format, but only 11 and 12 are supported", version))
	case model != supervised:
		in.fail(errors.New("the model contains word vectors and is not a classifier"))
	case s.loss < hierarchicalSoftmax || s.loss > oneVersusAll:
		in.fail(damaged("its loss has the unknown number %d", s.loss))
	case s.dim < 1 || s.dim > largestDim:
		in.fail(damaged("its vectors would have %d values", s.dim))
	case s.usesBuckets() && s.bucket < 1:
		in.fail(damaged("it has %d buckets for n-grams", s.bucket))
	}
	if version == 11 { // such classifiers have no n-grams of characters
		s.maxn = 0
	}
}

func (s *settings) usesBuckets() bool { return s.maxn > 0 || s.wordNgrams > 1 }
