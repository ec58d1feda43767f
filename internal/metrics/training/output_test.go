package training

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// heard is what a source hands over, as text.
type heard struct {
	points  []string
	dropped map[Dropped]int64
}

func (h *heard) take(p Point) { h.points = append(h.points, said(object{Point: p})) }

func (h *heard) drop(why Dropped, n int64) {
	if h.dropped == nil {
		h.dropped = map[Dropped]int64{}
	}
	h.dropped[why] += n
}

func rules(t *testing.T, texts ...string) (rules []Rule) {
	t.Helper()
	for _, text := range texts {
		r, err := ParseRule(text)
		if err != nil {
			t.Fatal(err)
		}
		rules = append(rules, r)
	}
	return rules
}

func TestOutput(t *testing.T) {
	const text = "Epoch 1\n" +
		"  3%|#  | 3/100 [00:01<00:30]\r{'loss': '0.5', 'epoch': 0.1}\r 4%|\n" +
		"\x1b[2K\x1b[1m{\"step\":4,\"loss\":0.25}\x1b[0m\r\n" +
		"\x1b]0;title\x07{\"loss\":1}\n\x1b]8;;x\x1b\\{\"loss\":2}\n" +
		"{\"level\":\"info\",\"ts\":5}\n{\"level\":\"info\",\"step\":9,\"acc\":5}\n" +
		"{ no object\n{}\nstep 12 acc: 0.75 lr=x\n" +
		"{\"last\":1}"
	want := []string{"loss=0.5 epoch=0.1", "@4 loss=0.25", "loss=1", "loss=2", "@9 acc=5", "@12 accuracy=0.75", "last=1"}
	for _, size := range []int{1, 2, 7, 1000} { // cut as it may come
		var h heard
		o := NewOutput(rules(t, `accuracy=step (?P<step>\d+) acc: ([0-9.]+)`, `lr=lr=(\S+)`), h.take, h.drop)
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			if _, err := o.Write([]byte(rest[:min(size, len(rest))])); err != nil {
				t.Fatal(err)
			}
		}
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(h.points, want) {
			t.Errorf("in pieces of %d: %q", size, h.points)
		}
		if h.dropped[BadValue] != 1 || len(h.dropped) != 1 {
			t.Errorf("dropped: %v", h.dropped)
		}
	}
}

func TestOutputIsBounded(t *testing.T) {
	var h heard
	o := NewOutput(nil, h.take, h.drop)
	part := []byte(strings.Repeat("x", 1<<20))
	for range 64 {
		_, _ = o.Write(part)
	}
	if c := cap(o.lines.held); c > 4*maxLine {
		t.Errorf("a line without end holds %d bytes", c)
	}
	_, _ = o.Write([]byte("\n{" + strings.Repeat(" ", 2*maxLine) + "}\n{\"a\":1}\n"))
	if !slices.Equal(h.points, []string{"a=1"}) || h.dropped[LongLine] != 1 {
		t.Errorf("%q, %v", h.points, h.dropped)
	}
}

func TestParseRule(t *testing.T) {
	for _, text := range []string{"", "loss", "=x(y)", "loss=", "loss=x", "loss=(", "a\nb=(x)", "loss=(?P<step>x)", strings.Repeat("n", 300) + "=(x)"} {
		if _, err := ParseRule(text); !errors.Is(err, ErrRule) {
			t.Errorf("%q: %v", text, err)
		}
	}
	var h heard
	r := rules(t, `loss=(?P<step>\d+)/\d+ .*?(?P<value>[0-9.]+|nan)$`)[0]
	r.apply([]byte("3/100 loss nan"), h.take, h.drop)
	r.apply([]byte("4/100 loss 0.5"), h.take, h.drop)
	r.apply([]byte("none"), h.take, h.drop)
	if fmt.Sprint(h.points) != "[@3 loss=NaN @4 loss=0.5]" {
		t.Errorf("%q", h.points)
	}
}
