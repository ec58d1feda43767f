package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWrittenTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "stat")
	for text, want := range map[string]int64{
		"     100      5     2008      12      40     10      300    20  0  50  60 0 0 0 0 0 0\n": 300 * 512,
		"1 2 3": -1, "1 2 3 4 5 6 x": -1,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := writtenTo(file); (err != nil) != (want < 0) || want >= 0 && got != want {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestNoDiskOfItsOwn(t *testing.T) {
	t.Setenv(dirEnv, "")
	if diskMeter(t.TempDir()) != nil {
		t.Error("a disk that others write to is counted")
	}
}
