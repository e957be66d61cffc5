package fasttext

import "math"

// tree is the Huffman tree of hierarchical softmax. Its leaves are the labels;
// an inner node's output decides between its two children.
type tree struct {
	labels int
	// children of the inner nodes, whose numbers follow those of the labels. The
	// last one is the root.
	children [][2]int32
}

// unbuilt is the count of nodes that do not exist yet. fastText relies on it
// being larger than the sum of all counts.
const unbuilt = int64(1e15)

// newTree builds the tree of labels that occur counts times in the training
// data, in descending order.
func newTree(counts []int64) (*tree, error) {
	n := len(counts)
	var sum int64
	for _, c := range counts {
		if c < 0 || c >= unbuilt-sum {
			return nil, damaged("a label occurs %d times", c)
		}
		sum += c
	}
	t := &tree{labels: n, children: make([][2]int32, n-1)}
	all := make([]int64, 2*n-1)
	copy(all, counts)
	for i := n; i < len(all); i++ {
		all[i] = unbuilt
	}
	leaf, node := n-1, n
	for i := range t.children {
		for child := range 2 {
			smallest := node
			if leaf >= 0 && all[leaf] < all[node] {
				smallest, leaf = leaf, leaf-1
			} else {
				node++
			}
			t.children[i][child] = int32(smallest)
		}
		all[n+i] = all[t.children[i][0]] + all[t.children[i][1]]
	}
	return t, nil
}

func (t *tree) root() int { return t.labels + len(t.children) - 1 }

// descend ranks the leaves below a node. score is the logarithm of the node's
// probability.
func (t *tree) descend(output matrix, hidden []float32, node int, score float32, best *ranking) {
	// fastText's threshold of 0 has this logarithm, too.
	if score < logarithm(0) || best.hopeless(score) {
		return
	}
	if node < t.labels {
		best.add(node, score)
		return
	}
	inner := node - t.labels
	f := output.dot(inner, hidden)
	right := float32(1 / (1 + float64(float32(math.Exp(float64(-f))))))
	t.descend(output, hidden, int(t.children[inner][0]), score+logarithm(float32(1-float64(right))), best)
	t.descend(output, hidden, int(t.children[inner][1]), score+logarithm(right), best)
}
