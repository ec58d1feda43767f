package hint

import (
	"strings"
	"testing"
)

func TestHintsAreSentencesOfOneLine(t *testing.T) {
	for _, h := range hints {
		if h.step == "" || strings.ContainsAny(h.step, "\n\t") || strings.HasSuffix(h.step, ".") {
			t.Errorf("%v: %q", h.of, h.step)
		}
	}
}
