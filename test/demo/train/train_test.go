package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const dataSet = "../data/digits.csv.gz"

func TestTrain(t *testing.T) {
	out := t.TempDir()
	if err := train(options{data: dataSet, out: out, epochs: 10, seed: 1, rate: 0.02}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(filepath.Join(out, "model.json"))
	if err != nil {
		t.Fatal(err)
	}
	var m model
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	if m.Accuracy < 0.93 || len(m.Network.Hidden.Weight) != hiddenUnits {
		t.Errorf("accuracy %v with %d hidden units", m.Accuracy, len(m.Network.Hidden.Weight))
	}
}

func TestLoad(t *testing.T) {
	set, err := load(dataSet)
	if err != nil {
		t.Fatal(err)
	}
	if len(set) != 1797 {
		t.Errorf("%d images", len(set))
	}
}

func TestParseRefuses(t *testing.T) {
	good := strings.Split(strings.Repeat("16,", pixels)+"9", ",")
	if _, err := parse(good); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"17", "-1", "", "x"} {
		fields := append([]string{bad}, good[1:]...)
		if im, err := parse(fields); err == nil {
			t.Errorf("a pixel of %q is read as %v", bad, im.pixel[0])
		}
	}
}

func TestTrainSaysWhatIsMissing(t *testing.T) {
	err := train(options{data: filepath.Join(t.TempDir(), "none.csv.gz")})
	if err == nil || !strings.Contains(err.Error(), "none.csv.gz") {
		t.Errorf("a missing data set: %v", err)
	}
}
