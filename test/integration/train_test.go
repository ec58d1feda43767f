package integration_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// report is what train.py says about its world.
type report struct {
	Accuracy    float64
	Wrote       bool     `json:"wrote_data"`
	HomeVisible bool     `json:"host_home_visible"`
	Environment []string `json:"environment"`
}

// TestTrainDigits is the purpose of the whole: a real training job in a real image, from a real registry, with a volume
// that can only be read and one for the result.
func TestTrainDigits(t *testing.T) {
	image := learningImage(t)
	adopt(t)
	b := newBoxAt(t, image.root)
	program, err := os.ReadFile("testdata/train.py")
	if err != nil {
		t.Fatal(err)
	}
	b.file("data/train.py", string(program))
	b.dir("out")
	canary := canaryOfHome(t)
	t.Setenv("SECRET_OF_THE_HOST", "1")

	out := b.ok("run", "-v", b.wd+"/data:/data:ro", "-v", b.wd+"/out:/out", "-e", "CANARY="+canary, image.ref,
		"python3", "/data/train.py")
	t.Logf("%s", out)

	raw, err := os.ReadFile(filepath.Join(b.wd, "out", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if r.Accuracy <= 0.95 {
		t.Errorf("accuracy %v", r.Accuracy)
	}
	if r.Wrote {
		t.Error("the job could write to /data")
	}
	if r.HomeVisible {
		t.Errorf("the job sees %s", canary)
	}
	for _, name := range r.Environment {
		if name == "SECRET_OF_THE_HOST" || name == "CORACLE_ROOT" {
			t.Errorf("the job's environment has the caller's %s", name)
		}
	}
	b.mine("out/report.json")
	b.mine("out/model.joblib")
	b.trainRecord(image)
	nothingLeft(t, b)
}

// trainRecord holds the record of the training run against what was run.
func (b *box) trainRecord(image pulled) {
	b.t.Helper()
	rec := b.record("last")
	if rec.Image.Digest != image.digest {
		b.t.Errorf("the record's image is %s, want %s", rec.Image.Digest, image.digest)
	}
	if argv := strings.Join(rec.Argv, " "); argv != "python3 /data/train.py" {
		b.t.Errorf("the record's argv is %q", argv)
	}
	if rec.ExitCode == nil || *rec.ExitCode != 0 || rec.State != "exited" {
		b.t.Errorf("the record says state %q, exit code %v", rec.State, rec.ExitCode)
	}
	// scikit-learn alone takes more than 50 MB and half a second.
	if rec.Peaks.MemoryBytes < 50_000_000 || rec.Totals.CPUSeconds < 0.1 {
		b.t.Errorf("the record says %d bytes at most and %v seconds of CPU", rec.Peaks.MemoryBytes, rec.Totals.CPUSeconds)
	}
	if !strings.Contains(b.log(rec.ID), "accuracy") {
		b.t.Error("the record's log lacks the job's output")
	}
}

// log reads the record's copy of the job's output.
func (b *box) log(id string) string {
	b.t.Helper()
	raw, err := os.ReadFile(filepath.Join(b.root, "runs", id, "output.log"))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(raw)
}

func TestTrainingJobThatFails(t *testing.T) {
	image := learningImage(t)
	adopt(t)
	b := newBoxAt(t, image.root)
	r := b.do("run", image.ref, "python3", "-c", "import sys; sys.exit('no data')")
	if r.code != 1 || !strings.Contains(r.stderr, "no data") {
		t.Errorf("status %d, %q", r.code, r.stderr)
	}
	if rec := b.record("last"); rec.ExitCode == nil || *rec.ExitCode != 1 {
		t.Errorf("the record says exit code %v", rec.ExitCode)
	}
	nothingLeft(t, b)
}
