package mlimage

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestWeightsAreTheSameEachTime(t *testing.T) {
	var before [][]byte
	for range 2 {
		root := t.TempDir()
		if err := writeWeights(root, 1); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(root, "opt/model/*.bin"))
		if err != nil || len(files) != shards {
			t.Fatal(files, err)
		}
		var now [][]byte
		for _, name := range files {
			raw, err := os.ReadFile(name)
			if err != nil || len(raw) != 1_000_000/shards {
				t.Fatal(len(raw), err)
			}
			now = append(now, raw)
		}
		if bytes.Equal(now[0], now[1]) {
			t.Error("two shards hold the same")
		}
		for n := range before {
			if !bytes.Equal(before[n], now[n]) {
				t.Errorf("shard %d differs", n)
			}
		}
		before = now
	}
}
