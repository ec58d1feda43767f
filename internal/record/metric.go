package record

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// Number is a value of a metric. JSON has no word for what is not finite: that is a string, "NaN", "Infinity" or "-Infinity".
type Number float64

// Finite reports whether it is an ordinary number.
func (n Number) Finite() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// Append appends it in JSON, with all its digits.
func (n Number) Append(b []byte) []byte {
	v := float64(n)
	switch {
	case math.IsNaN(v):
		return append(b, `"NaN"`...)
	case math.IsInf(v, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(v, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) { // as encoding/json
		format = 'e'
	}
	return strconv.AppendFloat(b, v, format, -1, 64)
}

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) { return n.Append(nil), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(text []byte) error {
	var word string
	if json.Unmarshal(text, &word) == nil {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return fmt.Errorf("%q is no number", word)
		}
		*n = Number(v)
		return nil
	}
	return json.Unmarshal(text, (*float64)(n))
}

// Metric is what a job said of one metric of its training, in short. Values that are not finite count, and are neither least nor
// greatest.
type Metric struct {
	First Number  `json:"first"`
	Last  Number  `json:"last"`
	Min   *Number `json:"min,omitempty"`
	Max   *Number `json:"max,omitempty"`
	Count int64   `json:"count"`
	Step  *Number `json:"step,omitempty"` // of the last value, where it says
}

// Add takes one value into account, and its step, which is NaN where there is none.
func (m *Metric) Add(v, step float64) {
	n := Number(v)
	if m.Count == 0 {
		m.First = n
	}
	m.Last, m.Step = n, nil
	m.Count++
	if s := Number(step); s.Finite() {
		m.Step = &s
	}
	if !n.Finite() {
		return
	}
	if m.Min == nil || n < *m.Min {
		m.Min = &n
	}
	if m.Max == nil || n > *m.Max {
		m.Max = &n
	}
}
