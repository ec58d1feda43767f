package mlimage

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// shards is the number of files that the weights are in.
const shards = 4

// writeWeights writes a model's weights of about the given megabytes below root, always the same: normally distributed
// 32-bit numbers, which gzip makes a tenth smaller, as it does those of trained models.
func writeWeights(root string, megabytes int) error {
	dir := filepath.Join(root, "opt", "model")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for n := range shards {
		name := filepath.Join(dir, fmt.Sprintf("model-%05d-of-%05d.bin", n+1, shards))
		if err := writeShard(name, uint64(n), megabytes*1_000_000/shards/4); err != nil {
			return err
		}
	}
	return nil
}

func writeShard(name string, seed uint64, numbers int) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	random := rand.New(rand.NewPCG(seed, 0))
	for range numbers {
		bits := math.Float32bits(float32(random.NormFloat64() * 0.02))
		if err := binary.Write(w, binary.LittleEndian, bits); err != nil {
			return err
		}
	}
	return w.Flush()
}
