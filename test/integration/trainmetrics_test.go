package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/need"
	records "github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/test/mlimage"
)

// TestTrainMetrics: a scikit-learn job says how its training goes, in its file and on its output, and each value comes back exactly.
func TestTrainMetrics(t *testing.T) {
	image := learningImage(t)
	adopt(t)
	trains(t, newBoxAt(t, image.root), image.ref, "testdata/metrics.py")
}

// TestTorchMetrics is TestTrainMetrics with PyTorch, in the large image, which the benchmarks make.
func TestTorchMetrics(t *testing.T) {
	layout, err := mlimage.Large.Find()
	if err != nil {
		need.Missing(t, "mlimage-large", err.Error())
	}
	adopt(t)
	trains(t, newBox(t), "oci:"+layout, "testdata/torch.py")
}

// trains runs a program that trains for five epochs, says of each what the two above say, and leaves it in /out/said.json.
func trains(t *testing.T, b *box, image, file string) {
	t.Helper()
	program, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b.file("data/metrics.py", string(program))
	b.dir("out")
	b.ok("run", "--name", "training", "--metric", `validation=epoch (?P<step>\d+): validation (?P<value>[0-9.]+)`,
		"-v", b.wd+"/data:/data:ro", "-v", b.wd+"/out:/out", image, "python3", "/data/metrics.py")

	raw, err := os.ReadFile(filepath.Join(b.wd, "out", "said.json"))
	if err != nil {
		t.Fatal(err)
	}
	var said [][2]float64 // loss and accuracy of each epoch
	if err := json.Unmarshal(raw, &said); err != nil || len(said) != 5 {
		t.Fatalf("%s: %v", raw, err)
	}
	var shown struct {
		ID      string
		Metrics map[string]records.Metric
		Dropped map[string]int64 `json:"metrics_dropped"`
	}
	if err := json.Unmarshal([]byte(b.ok("runs", "show", "training", "--json")), &shown); err != nil {
		t.Fatal(err)
	}
	for name, column := range map[string]int{"loss": 0, "eval.accuracy": 1, "printed_loss": 0, "train_loss": 0, "validation": 1} {
		var want records.Metric
		for i, values := range said {
			want.Add(values[column], float64(i+1))
		}
		got := shown.Metrics[name]
		if got.First != want.First || got.Last != want.Last || got.Min == nil || *got.Min != *want.Min || got.Max == nil || *got.Max != *want.Max || got.Count != want.Count {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
		if name != "train_loss" && (got.Step == nil || *got.Step != *want.Step) { // that trainer says no step
			t.Errorf("%s: at step %v, want %v", name, got.Step, *want.Step)
		}
	}
	if len(shown.Dropped) > 0 {
		t.Errorf("not kept: %v", shown.Dropped)
	}
	b.ok("report", "training", "--html", b.wd+"/page.html")
	page, err := os.ReadFile(filepath.Join(b.wd, "page.html"))
	if err != nil {
		t.Fatal(err)
	}
	for epoch, values := range said {
		for _, v := range values {
			if text := strconv.FormatFloat(v, 'g', -1, 64); !strings.Contains(string(page), text) {
				t.Errorf("the page does not have %s, of epoch %d", text, epoch+1)
			}
		}
	}
	nothingLeft(t, b)
}
