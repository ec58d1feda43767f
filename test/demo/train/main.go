// Command train trains a small neural network on images of handwritten digits and writes the model: the job of the demo.
// It is one static program that knows nothing of containers.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// options are the command line.
type options struct {
	data, out    string
	epochs, seed int
	rate         float64
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "/data/digits.csv.gz", "the data set")
	flag.StringVar(&o.out, "out", "/out", "the directory for model.json")
	flag.IntVar(&o.epochs, "epochs", 40, "passes over the training part")
	flag.IntVar(&o.seed, "seed", 1, "seed of the weights and of the order")
	flag.Float64Var(&o.rate, "rate", 0.02, "learning rate")
	flag.Parse()
	if err := train(o); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}

// model is what model.json holds.
type model struct {
	Accuracy float64  `json:"accuracy"` // on the test part
	Epochs   int      `json:"epochs"`
	Seed     int      `json:"seed"`
	Network  *network `json:"network"`
}

func train(o options) error {
	set, err := load(o.data)
	if err != nil {
		return err
	}
	rng := rand.New(rand.NewPCG(uint64(o.seed), 0))
	rng.Shuffle(len(set), func(i, j int) { set[i], set[j] = set[j], set[i] })
	part := len(set) * 4 / 5
	learn, test := set[:part], set[part:]
	net := newNetwork(rng, pixels, hiddenUnits, digits)
	fmt.Printf("%d images to learn from, %d to test on\n", len(learn), len(test))
	for epoch := 1; epoch <= o.epochs; epoch++ {
		rng.Shuffle(len(learn), func(i, j int) { learn[i], learn[j] = learn[j], learn[i] })
		loss := net.epoch(learn, o.rate)
		if epoch == 1 || epoch%10 == 0 || epoch == o.epochs {
			fmt.Printf("epoch %3d  loss %.4f  accuracy %.4f\n", epoch, loss, net.accuracy(test))
		}
	}
	m := model{Accuracy: net.accuracy(test), Epochs: o.epochs, Seed: o.seed, Network: net}
	path := filepath.Join(o.out, "model.json")
	if err := save(path, m); err != nil {
		return err
	}
	fmt.Printf("accuracy %.4f on images it has not seen; the model is in %s\n", m.Accuracy, path)
	return nil
}

// save writes the model whole or not at all.
func save(path string, m model) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	temp := path + ".part"
	if err := os.WriteFile(temp, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
