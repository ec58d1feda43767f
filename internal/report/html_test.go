package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// hostile is what a name, a path, a message or a line of output may try.
const hostile = "\x1b]0;owned\x07\u202e</script></style></title></pre><script>document.title='owned'</script><img src=x onerror=alert(1)>\"'`{{.}}${1}"

// hostileRun is a run of which every text is hostile.
func hostileRun() Run {
	var r Run
	fill(reflect.ValueOf(&r.View).Elem(), hostile)
	r.Tail = []string{hostile, "\x00\xff", hostile}
	points := []Point{{T: 1, Mean: 1, Min: 0, Max: 2, Step: 1}, {T: 2, Mean: -1e300, Min: -1e308, Max: 1e308, Step: math.NaN()}, {T: 3, Mean: 5e-324}}
	r.Training = []Series{{Name: hostile, Points: points, Count: 3}}
	r.System = []Chart{{Title: "CPU", Unit: Cores, Lines: []Series{{Name: hostile, Points: points}}}}
	return r
}

func render(t *testing.T, runs ...Run) string {
	t.Helper()
	words := plainWords
	words.Escape = func(s string) string { return strings.ToValidUTF8(strings.ReplaceAll(s, "\x1b", "?"), "?") }
	var b bytes.Buffer
	if err := HTML(&b, runs, words, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var (
	element  = regexp.MustCompile(`(?s)<(script|style)[^>]*>(.*?)</(script|style)>`)
	handlers = regexp.MustCompile(`(?i)<[^>"]*\s(on[a-z]+|style|src)=`)
)

// Whatever a record holds, the page's elements are its own, and its policy allows them alone.
func TestHTMLHostile(t *testing.T) {
	text := render(t, hostileRun(), hostileRun())
	found := element.FindAllStringSubmatch(text, -1)
	if len(found) != 3 || strings.Count(text, "<script") != 2 || strings.Count(text, "<style") != 1 || strings.Contains(text, "<img") {
		t.Fatalf("%d elements, %d scripts", len(found), strings.Count(text, "<script"))
	}
	for _, e := range []string{found[0][2], found[2][2]} {
		sum := sha256.Sum256([]byte(e))
		if !strings.Contains(text, "sha256-"+strings.ReplaceAll(base64.StdEncoding.EncodeToString(sum[:]), "+", "&#43;")) {
			t.Errorf("the policy does not allow %.60q", e)
		}
	}
	var data pageData
	if err := json.Unmarshal([]byte(found[1][2]), &struct {
		Runs   *[]string
		Charts *[]struct{ Title string }
	}{&data.Runs, nil}); err != nil || len(data.Runs) != 2 {
		t.Errorf("the data: %v", err)
	}
	if m := handlers.FindString(element.ReplaceAllString(text, "")); m != "" {
		t.Errorf("an attribute that is not the page's: %q", m)
	}
	if !strings.Contains(text, "default-src &#39;none&#39;") && !strings.Contains(text, "default-src 'none'") {
		t.Error("there is no policy")
	}
}

// What a page is told of numbers comes back exactly.
func TestHTMLExact(t *testing.T) {
	r := plainRun()
	var m record.Metric
	m.Add(0.1234567890123453, 7)
	r.Metrics = map[string]record.Metric{"loss": m}
	if text := render(t, r); !strings.Contains(text, "<b>0.1234567890123453</b>") || !strings.Contains(text, "step 7") {
		t.Error("the loss is not on the page")
	}
}

// A run of a week with many metrics and devices makes a page that opens at once.
func TestHTMLSize(t *testing.T) {
	r := plainRun()
	series := func(name string, points int) Series {
		f := newFold(name, PagePoints(1))
		for i := range points {
			v := math.Sin(float64(i)/100) * 1.234567e9
			f.add(Point{T: float64(i) * 604800 / float64(points), Mean: v, Min: v - 1e7, Max: v + 1e7, Step: float64(i)})
		}
		return f.series
	}
	for i := range 20 {
		r.Training = append(r.Training, series(fmt.Sprint("metric ", i), 50_000))
	}
	for _, title := range []string{"GPU utilization", "GPU memory", "GPU power", "CPU", "Memory"} {
		c := Chart{Title: title}
		for i := range 4 {
			c.Lines = append(c.Lines, series(fmt.Sprint("GPU ", i), 10_080))
		}
		r.System = append(r.System, c)
	}
	if n := len(render(t, r)); n > 2<<20 {
		t.Errorf("%d bytes", n)
	}
}

// Numbers that JSON has no word for do not reach the data.
func TestDigits(t *testing.T) {
	l := makeLine(0, 0, Series{Points: []Point{{T: 1, Mean: 2, Min: 2, Max: 2, Step: math.NaN()}, {T: 2, Mean: 3, Min: 3, Max: 3, Step: 4}}}, plainWords)
	raw, err := json.Marshal(l)
	if want := `{"run":0,"name":"","kind":0,"t":[1,2],"v":[2,3],"s":[-1,4]}`; err != nil || string(raw) != want {
		t.Errorf("%s, %v; want %s", raw, err, want)
	}
}
