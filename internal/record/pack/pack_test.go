package pack

import (
	"math"
	"reflect"
	"testing"
	"time"
)

type thing struct {
	Number int64
	Text   string
	Texts  []string
	Map    map[string]string
	Time   time.Time
	Float  float64
	Int    int
	Port   uint16
	Bool   bool
	Maybe  *int
	None   *int
}

func (v *thing) pack(c *Codec) {
	c.Number(&v.Number)
	c.Text(&v.Text)
	List(c, &v.Texts, c.Text)
	c.Map(&v.Map)
	c.Time(&v.Time)
	c.Float(&v.Float)
	c.Int(&v.Int)
	c.Uint16(&v.Port)
	c.Bool(&v.Bool)
	Maybe(c, &v.Maybe, c.Int)
	Maybe(c, &v.None, c.Int)
}

func packed(v thing) string {
	c := &Codec{}
	v.pack(c)
	return string(c.Bytes())
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	things := []thing{
		{Texts: []string{}},
		{
			Number: math.MinInt64, Text: "a\x00ü", Texts: []string{"", "b"}, Map: map[string]string{"": "x", "k": ""}, Time: time.Unix(-1, 999).UTC(), Float: math.Inf(-1),
			Int: -1, Port: 65535, Bool: true, Maybe: new(7),
		},
		{Number: math.MaxInt64, Texts: []string{"less"}, Map: map[string]string{"other": "1"}, Time: time.Unix(1<<40, 0).UTC(), Float: 0.1, Int: 64, Maybe: new(0)},
	}
	var used thing // again and again: nothing of the one before is left
	for _, v := range append(things, things[0]) {
		if v.Time.IsZero() {
			v.Time = v.Time.UTC()
		}
		for name, got := range map[string]*thing{"new": {}, "used": &used} {
			c := Reader(packed(v))
			got.pack(c)
			if len(v.Map) == 0 && len(got.Map) == 0 {
				got.Map = v.Map
			}
			if !c.Whole() || c.Failed() || !reflect.DeepEqual(*got, v) {
				t.Errorf("%s: %+v came back as %+v", name, v, *got)
			}
		}
	}
}

func TestWhatIsMissing(t *testing.T) {
	whole := packed(thing{Text: "text", Texts: []string{"a"}, Map: map[string]string{"k": "v"}, Maybe: new(7)})
	for n := range len(whole) {
		var v thing
		c := Reader(whole[:n])
		v.pack(c)
		if c.Whole() || !c.Failed() {
			t.Errorf("%d of %d bytes are taken for all", n, len(whole))
		}
	}
	var v thing
	c := Reader(whole + "x")
	if v.pack(c); c.Whole() || c.Failed() {
		t.Error("what is left over is not seen")
	}
}

func FuzzReader(f *testing.F) {
	f.Add(packed(thing{Text: "text", Texts: []string{"a"}, Map: map[string]string{"k": "v"}, Maybe: new(7)}))
	f.Fuzz(func(t *testing.T, in string) {
		var v, again thing
		c := Reader(in)
		if v.pack(c); !c.Whole() {
			return
		}
		c = Reader(packed(v))
		if again.pack(c); !c.Whole() || again.Text != v.Text || again.Number != v.Number || again.Port != v.Port || !again.Time.Equal(v.Time) {
			t.Errorf("%+v came back as %+v", v, again)
		}
	})
}
