package main

import (
	"math"
	"math/rand/v2"
)

const hiddenUnits = 128

// network is a multilayer perceptron with one hidden layer of rectified units and a softmax on top.
type network struct {
	Hidden layer `json:"hidden"`
	Output layer `json:"output"`
}

// layer is a weight for each output and input, and a bias for each output.
type layer struct {
	Weight [][]float64 `json:"weight"`
	Bias   []float64   `json:"bias"`
}

func newNetwork(rng *rand.Rand, in, hidden, out int) *network {
	return &network{Hidden: newLayer(rng, in, hidden), Output: newLayer(rng, hidden, out)}
}

// newLayer draws weights that keep the size of a signal through rectified units (He and others, 2015).
func newLayer(rng *rand.Rand, in, out int) layer {
	l := layer{Weight: make([][]float64, out), Bias: make([]float64, out)}
	for i := range l.Weight {
		l.Weight[i] = make([]float64, in)
		for j := range l.Weight[i] {
			l.Weight[i][j] = rng.NormFloat64() * math.Sqrt(2/float64(in))
		}
	}
	return l
}

func (l layer) forward(in []float64) []float64 {
	out := make([]float64, len(l.Bias))
	for i, weights := range l.Weight {
		sum := l.Bias[i]
		for j, w := range weights {
			sum += w * in[j]
		}
		out[i] = sum
	}
	return out
}

// descend moves the layer against the gradient of its outputs and returns the gradient of its inputs.
func (l layer) descend(in, gradient []float64, rate float64) []float64 {
	back := make([]float64, len(in))
	for i, weights := range l.Weight {
		step := rate * gradient[i]
		for j := range weights {
			back[j] += gradient[i] * weights[j]
			weights[j] -= step * in[j]
		}
		l.Bias[i] -= step
	}
	return back
}

// scores runs the network: what the hidden units say, and a probability for each digit.
func (n *network) scores(im image) (hidden, probability []float64) {
	hidden = n.Hidden.forward(im.pixel[:])
	for i, v := range hidden {
		hidden[i] = max(v, 0)
	}
	return hidden, softmax(n.Output.forward(hidden))
}

func softmax(v []float64) []float64 {
	largest := v[0]
	for _, x := range v {
		largest = max(largest, x)
	}
	sum := 0.0
	for i, x := range v {
		v[i] = math.Exp(x - largest)
		sum += v[i]
	}
	for i := range v {
		v[i] /= sum
	}
	return v
}

// epoch learns from each image once and returns the mean cross entropy.
func (n *network) epoch(set []image, rate float64) float64 {
	loss := 0.0
	for _, im := range set {
		hidden, gradient := n.scores(im)
		loss -= math.Log(gradient[im.digit])
		gradient[im.digit]-- // of the cross entropy by the scores before the softmax
		back := n.Output.descend(hidden, gradient, rate)
		for i, h := range hidden {
			if h == 0 {
				back[i] = 0
			}
		}
		n.Hidden.descend(im.pixel[:], back, rate)
	}
	return loss / float64(len(set))
}

// accuracy is the share of images whose most probable digit is right.
func (n *network) accuracy(set []image) float64 {
	right := 0
	for _, im := range set {
		_, probability := n.scores(im)
		best := 0
		for digit, p := range probability {
			if p > probability[best] {
				best = digit
			}
		}
		if best == im.digit {
			right++
		}
	}
	return float64(right) / float64(len(set))
}
