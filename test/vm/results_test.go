package main

import (
	"strings"
	"testing"
)

const spoken = "#node begin inside\n" +
	"\x16=== RUN   TestGood\n\x16=== RUN   TestGood/sub\n\x16--- PASS: TestGood (0.50s)\n    \x16--- PASS: TestGood/sub (0.10s)\n" +
	"\x16=== RUN   TestBad\n    x_test.go:1: trouble\n\x16--- FAIL: TestBad (0.00s)\n" +
	"\x16=== RUN   TestSkipped\n    x_test.go:1: needs x\n\x16--- SKIP: TestSkipped (0.00s)\n" +
	"\x16=== RUN   TestCut\npanic: a reason\n"

func take(text string) *results {
	r := new(results)
	for line := range strings.Lines(text) {
		r.line(strings.TrimSuffix(line, "\n"))
	}
	return r
}

func TestResultsAreRead(t *testing.T) {
	r := take("noise\n" + spoken + "\n#node end inside 2\n#node begin other\n\n#node end other 0\n#node complete\n")
	if !r.complete || len(r.suites) != 2 || r.suites[0].status != 2 || r.suites[1].status != 0 {
		t.Fatalf("read as %+v", r)
	}
	list, err := r.suites[0].verdicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"TestGood": "pass", "TestBad": "fail", "TestSkipped": "skip", "TestCut": ""}
	if len(list) != len(want) {
		t.Errorf("%d tests, want %d", len(list), len(want))
	}
	for _, v := range list {
		if v.action != want[v.test] {
			t.Errorf("%s: %q, want %q", v.test, v.action, want[v.test])
		}
	}
	if !strings.Contains(list[1].output.String(), "trouble") {
		t.Errorf("the output of a failed test is %q", list[1].output.String())
	}
}

func TestResultsThatEndEarly(t *testing.T) {
	for _, text := range []string{"", spoken, spoken + "#node complete\n", spoken + "\n#node end other 0\n#node complete\n"} {
		r := take(text)
		if r.complete || (len(r.suites) > 0 && r.suites[0].status != -1) {
			t.Errorf("%q passes for complete: %+v", text, r)
		}
	}
}
