package sys_test

import (
	"strings"
	"testing"

	"github.com/coracle-run/coracle/internal/sys"
)

func TestWords(t *testing.T) {
	var w sys.Words
	long := strings.Repeat("x", 3000)
	for _, text := range []string{"first ", long, long, long} {
		if n, err := w.Write([]byte(text)); n != len(text) || err != nil {
			t.Errorf("%d of %d taken, %v", n, len(text), err)
		}
	}
	if got := w.String(); got != ("first " + long + long)[:4096] {
		t.Errorf("%d bytes kept", len(got))
	}
}
