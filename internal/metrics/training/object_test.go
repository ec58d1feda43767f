package training

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// said is an object as text: what is compared in tests.
func said(o object) string {
	var b strings.Builder
	if !math.IsNaN(o.Step) {
		fmt.Fprintf(&b, "@%v", o.Step)
	}
	for _, v := range o.Values {
		fmt.Fprintf(&b, " %s=%v", v.Name, v.Value)
	}
	if o.text {
		b.WriteString(" text")
	}
	return strings.TrimSpace(b.String())
}

func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		`{"step":100,"loss":0.5}`:                                     "@100 loss=0.5",
		`  {"loss": 1e-3 , "global_step" : 7 }  `:                     "@7 loss=0.001",
		`{"loss":NaN,"up":Infinity,"down":-Infinity}`:                 "loss=NaN up=+Inf down=-Inf",
		`{"a":{"b":{"c":1}},"d":[1,[2,"x"],{"e":3}],"f":2}`:           "a.b.c=1 f=2",
		`{"a":true,"b":false,"c":null,"d":1}`:                         "d=1",
		`{"a\"é":1}`:                                                  `a"é=1`,
		`{"loss":"0.5"}`:                                              "text",
		`{"level":"info","ts":1.5}`:                                   "ts=1.5 text",
		`{'loss': 0.5, 'learning_rate': 5e-05, 'epoch': 0.1}`:         "loss=0.5 learning_rate=5e-05 epoch=0.1",
		`{'loss': '0.5123', 'grad_norm': 'nan', 'epoch': '1'}`:        "loss=0.5123 grad_norm=NaN epoch=1",
		`{'loss': np.float64(0.25), 'x': tensor(2.5, device='cuda')}`: "loss=0.25 x=2.5",
		`{'loss': nan, 'b': -inf, 'c': None, 'd': True}`:              "loss=NaN b=-Inf",
		`{'it\'s': 1}`: "it's=1",
		`{"big":1e999,"small":-1e999,"step":NaN}`: "big=+Inf small=-Inf step=NaN",
		`{}`:                     "",
		`{"a":{"step":3},"b":1}`: "a.step=3 b=1",
	} {
		got, err := parse([]byte(line))
		if err != nil || said(got) != want {
			t.Errorf("%s: %q, %v, want %q", line, said(got), err, want)
		}
	}
	deep := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	lists := `{"a":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	for _, line := range []string{"", "x", "{", `{"a"}`, `{"a":}`, `{"a":1`, `{"a":1,}`, `{a:1}`, `{"a":1}{`, `{"a":1-2}`, `{"a":"x}`, `{"a":--1}`, `{"a":f(x)}`, `{"a":f(1}`, `{"a":0x1}`, "[1]", "1", deep, lists, `{"\`} {
		if got, err := parse([]byte(line)); err == nil {
			t.Errorf("%.40s was taken: %s", line, said(got))
		}
	}
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, `,"m%d":%d`, i, i)
	}
	if got, err := parse([]byte("{" + many.String()[1:] + "}")); err != nil || len(got.Values) != maxPoint || got.more != 1000-maxPoint {
		t.Errorf("%d values, %d more, %v", len(got.Values), got.more, err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"a":[{"b":NaN}],'c': np.float64(1)}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if o, err := parse(line); err == nil && len(o.Values) > maxPoint {
			t.Errorf("%d values", len(o.Values))
		}
	})
}
