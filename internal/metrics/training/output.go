package training

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"sync"
)

// Rule finds a metric in lines that a job prints.
type Rule struct {
	Name  string
	expr  *regexp.Regexp
	value int // the group that is the value
	step  int // the group that says when; 0: there is none
}

// ErrRule marks a rule that cannot be used.
var ErrRule = errors.New("not a rule for a metric")

// ParseRule reads NAME=EXPRESSION. The expression is one of RE2's; its group called value, else its first, is the value, and one
// called step says when.
func ParseRule(text string) (Rule, error) {
	name, expression, ok := strings.Cut(text, "=")
	if !ok || !goodName(name) {
		return Rule{}, fmt.Errorf("%w: %q: write NAME=EXPRESSION, as in 'loss=loss: ([0-9.]+)'", ErrRule, text)
	}
	expr, err := regexp.Compile(expression)
	if err != nil {
		return Rule{}, fmt.Errorf("%w: %q: %w", ErrRule, text, err)
	}
	r := Rule{Name: name, expr: expr, value: expr.SubexpIndex("value"), step: max(0, expr.SubexpIndex("step"))}
	for group := 1; r.value < 0 && group <= expr.NumSubexp(); group++ {
		if group != r.step {
			r.value = group
		}
	}
	if r.value < 0 {
		return Rule{}, fmt.Errorf("%w: %q: the expression needs a group that is the value: put it in parentheses", ErrRule, text)
	}
	return r, nil
}

// apply looks for the metric in a line.
func (r Rule) apply(line []byte, take func(Point), drop func(Dropped, int64)) {
	m := r.expr.FindSubmatch(line)
	if m == nil || m[r.value] == nil {
		return
	}
	v, err := parseFloat(string(m[r.value]))
	if err != nil {
		drop(BadValue, 1)
		return
	}
	p := Point{Step: math.NaN(), Values: []Value{{r.Name, v}}}
	if r.step > 0 {
		if step, err := parseFloat(string(m[r.step])); err == nil {
			p.Step = step
		}
	}
	take(p)
}

// Output reads metrics in what a job prints. It is not polled: Write hands over what it finds.
type Output struct {
	rules []Rule
	take  func(Point)
	drop  func(Dropped, int64)

	mu    sync.Mutex
	lines lines
}

// NewOutput looks at one stream.
func NewOutput(rules []Rule, take func(Point), drop func(Dropped, int64)) *Output {
	o := &Output{rules: rules, take: take, drop: drop}
	o.lines = lines{wanted: o.wanted, take: o.line, tooLong: func(beginning []byte) {
		if len(rules) > 0 || isObject(beginning) {
			drop(LongLine, 1)
		}
	}}
	return o
}

// Write never fails.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines.add(p)
	return len(p), nil
}

// Close looks at a last line that has no end.
func (o *Output) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lines.rest()
	return nil
}

const spaceAndEscape = " \t\x1b"

// wanted: without rules, lines that are no objects need not be kept for their ends.
func (o *Output) wanted(beginning []byte) bool {
	text := bytes.TrimLeft(beginning, " \t")
	return len(o.rules) > 0 || len(text) == 0 || strings.IndexByte("{"+spaceAndEscape, text[0]) >= 0
}

func isObject(line []byte) bool { return bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("{")) }

func (o *Output) line(line []byte) {
	line = withoutEscapes(line)
	if isObject(line) {
		o.object(line)
	}
	for _, r := range o.rules {
		r.apply(line, o.take, o.drop)
	}
}

// object takes a line that is an object of numbers. One with texts in it is taken for a structured log, whose numbers are not a
// training's, unless it says at which step it is.
func (o *Output) object(line []byte) {
	parsed, err := parse(line)
	if err != nil || len(parsed.Values) == 0 || parsed.text && math.IsNaN(parsed.Step) {
		return
	}
	o.take(parsed.Point)
	if parsed.more > 0 {
		o.drop(ManyNames, int64(parsed.more))
	}
}
