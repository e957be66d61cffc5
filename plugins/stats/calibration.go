package stats

import (
	"fmt"
	"math"
)

// reliabilityBins is the number of bins of Guo et al. (2017).
const reliabilityBins = 15

// Reliability compares confidences with how often they are right. The zero
// value is empty. Its memory does not grow with the number of labels.
type Reliability struct {
	bins    [reliabilityBins]ReliabilityBin
	squares float64
}

// ReliabilityBin summarizes the confidences above Low and up to High. The first
// bin includes 0.
type ReliabilityBin struct {
	Low, High float64
	N         int64
	// Confidence is the mean confidence, and Accuracy is the share of correct
	// labels.
	Confidence, Accuracy float64
}

// Add counts a label that was given with a confidence from 0 to 1.
func (r *Reliability) Add(confidence float64, right bool) {
	at := min(max(int(math.Ceil(confidence*reliabilityBins))-1, 0), reliabilityBins-1)
	b := &r.bins[at]
	hit := 0.0
	if right {
		hit = 1
	}
	b.N++
	b.Confidence += confidence
	b.Accuracy += hit
	r.squares += (confidence - hit) * (confidence - hit)
}

// N returns the number of labels.
func (r *Reliability) N() (n int64) {
	for _, b := range r.bins {
		n += b.N
	}
	return n
}

// Confidence returns the mean confidence, or NaN if there are no labels.
func (r *Reliability) Confidence() (mean float64) {
	for _, b := range r.bins {
		mean += b.Confidence
	}
	return mean / float64(r.N())
}

// Accuracy returns the share of correct labels, or NaN if there are no labels.
func (r *Reliability) Accuracy() (share float64) {
	for _, b := range r.bins {
		share += b.Accuracy
	}
	return share / float64(r.N())
}

// ECE returns the expected calibration error: the mean distance between
// confidence and accuracy over 15 bins of equal width, weighted by the number
// of labels.
func (r *Reliability) ECE() (mean float64) {
	for _, b := range r.bins {
		mean += math.Abs(b.Confidence - b.Accuracy)
	}
	return mean / float64(r.N())
}

// Brier returns the Brier score: the mean of (confidence - 1)² for correct
// labels and confidence² for wrong ones.
func (r *Reliability) Brier() float64 { return r.squares / float64(r.N()) }

// Bins returns the bins that contain labels, for a reliability diagram.
func (r *Reliability) Bins() []ReliabilityBin {
	var out []ReliabilityBin
	for i, b := range r.bins {
		if b.N == 0 {
			continue
		}
		b.Low, b.High = float64(i)/reliabilityBins, float64(i+1)/reliabilityBins
		b.Confidence /= float64(b.N)
		b.Accuracy /= float64(b.N)
		out = append(out, b)
	}
	return out
}

// The range of fitted temperatures.
const (
	leastTemperature = 0.05
	mostTemperature  = 20
)

// FitTemperature returns the temperature T, from 0.05 to 20, that maximizes the
// likelihood of softmax(scores/T) over examples that the model has not learned
// from (Guo et al. 2017). Scores are unnormalized logarithms, one for each
// class. right[i] is the class of scores[i].
//
// The correct class counts as (n+1)/(n+2) of n examples, as in Platt (1999),
// and the other classes share the rest. This prevents complete certainty if all
// examples are correct.
func FitTemperature[F float32 | float64](scores [][]F, right []int) (float64, error) {
	if len(scores) == 0 {
		return 0, ErrNoObservations
	}
	for i, s := range scores {
		if right[i] < 0 || right[i] >= len(s) || len(s) < 2 {
			return 0, fmt.Errorf("example %d is of class %d of %d", i, right[i], len(s))
		}
	}
	unseen := 1 / float64(len(scores)+2)
	low, high := 1/float64(mostTemperature), 1/float64(leastTemperature)
	// The loss is convex in 1/T. Newton's method finds where its slope is 0. If
	// a step would leave the interval that is known to contain that point, the
	// next step goes to the middle of the interval.
	inverse := 1.0
	for range 100 {
		slope, curve := lossSlope(scores, right, unseen, inverse)
		if slope > 0 {
			high = inverse
		} else {
			low = inverse
		}
		next := inverse - slope/curve
		if !(next > low && next < high) {
			next = math.Sqrt(low * high)
		}
		if math.Abs(next-inverse) <= 1e-12*inverse {
			break
		}
		inverse = next
	}
	return 1 / inverse, nil
}

// lossSlope returns the first and second derivatives of the loss of all
// examples with respect to the inverse temperature.
func lossSlope[F float32 | float64](scores [][]F, right []int, unseen, inverse float64) (slope, curve float64) {
	for i, s := range scores {
		top := s[0]
		var all float64
		for _, z := range s {
			top = max(top, z)
			all += float64(z)
		}
		var sum, mean, square float64
		for _, z := range s {
			d := float64(z) - float64(top)
			p := math.Exp(inverse * d)
			sum += p
			mean += p * d
			square += p * d * d
		}
		mean /= sum
		z := float64(s[right[i]])
		target := (1-unseen)*z + unseen*(all-z)/float64(len(s)-1)
		slope += mean - (target - float64(top))
		curve += square/sum - mean*mean
	}
	return slope, curve
}
