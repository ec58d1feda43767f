package training

import (
	"encoding/json"
	"math"
	"sync"
	"time"

	"github.com/coracle-run/coracle/internal/record"
)

// Summary is what a job said in all.
type Summary struct {
	Metrics map[string]record.Metric
	Dropped map[string]int64 // by Dropped
}

// Collector gathers points. It is safe for use by several goroutines.
type Collector struct {
	write func(lines []byte) error
	clean func(name string) string

	mu      sync.Mutex
	started time.Time
	pending []byte
	summary Summary
	ended   bool // what still comes is not taken
	err     error

	sources []Source
	stop    chan struct{}
	done    sync.WaitGroup
}

// NewCollector passes points on to write, as whole lines of JSON, some at once; what write refuses counts as dropped. clean takes
// secrets out of names.
func NewCollector(write func(lines []byte) error, clean func(string) string) *Collector {
	return &Collector{
		started: time.Now(), write: write, clean: clean, stop: make(chan struct{}),
		summary: Summary{Metrics: map[string]record.Metric{}, Dropped: map[string]int64{}},
	}
}

// pollInterval is the time between two looks at a source.
const pollInterval = time.Second

// Follow is called when the job has been started, and polls sources until Finish, which closes them.
func (c *Collector) Follow(started time.Time, sources ...Source) {
	c.mu.Lock()
	c.started = started
	c.mu.Unlock()
	c.sources = sources
	c.done.Go(func() {
		tick := time.NewTicker(pollInterval)
		defer tick.Stop()
		for {
			select {
			case <-c.stop:
				return
			case <-tick.C:
				for _, s := range sources {
					c.poll(s)
				}
				c.Flush()
			}
		}
	})
}

// poll looks at a source once, and reports whether there is more.
func (c *Collector) poll(s Source) bool {
	more, err := s.Poll(func(p Point) { c.Take(s.Name(), p) }, c.Drop)
	c.note(err)
	return more && err == nil
}

// Finish takes what is left, and closes the sources. The job has ended.
func (c *Collector) Finish() (Summary, error) {
	close(c.stop)
	c.done.Wait()
	for _, s := range c.sources {
		for budget := lastBytes / pollBytes; c.poll(s) && budget > 0; budget-- {
		}
		unread, err := s.Close()
		c.note(err)
		c.Drop(UnreadSize, unread)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	c.ended = true
	return c.summary, c.err
}

func (c *Collector) note(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil { // one is enough: a source that fails does so every second
		c.err = err
	}
}

// Drop counts what is not taken.
func (c *Collector) Drop(why Dropped, n int64) {
	if n <= 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.summary.Dropped[string(why)] += n
	}
}

// pendingMost is how much is gathered before it is written.
const pendingMost = 32 << 10

// Take takes one point of a source.
func (c *Collector) Take(source string, p Point) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return
	}
	var kept []Value
	for _, v := range p.Values {
		if v.Name = c.clean(v.Name); !goodName(v.Name) {
			c.summary.Dropped[string(BadName)]++
			continue
		}
		m := c.summary.Metrics[v.Name]
		if m.Count == 0 && len(c.summary.Metrics) >= maxNames {
			c.summary.Dropped[string(ManyNames)]++
			continue
		}
		m.Add(v.Value, p.Step)
		c.summary.Metrics[v.Name] = m
		kept = put(kept, v)
	}
	if len(kept) > 0 {
		c.pending = appendLine(c.pending, time.Since(c.started), source, p.Step, kept)
	}
	if len(c.pending) >= pendingMost {
		c.flush()
	}
}

// put adds a value, in place of one of the same name.
func put(values []Value, v Value) []Value {
	for i := range values {
		if values[i].Name == v.Name {
			values[i] = v
			return values
		}
	}
	return append(values, v)
}

// appendLine appends {"t":SECONDS,"source":SOURCE,"step":STEP,"values":{NAME:VALUE,...}}.
func appendLine(b []byte, at time.Duration, source string, step float64, values []Value) []byte {
	b = append(b, `{"t":`...)
	b = record.Number(math.Round(at.Seconds()*1e3) / 1e3).Append(b)
	b = append(b, `,"source":"`...)
	b = append(b, source...)
	b = append(b, '"')
	if !math.IsNaN(step) {
		b = record.Number(step).Append(append(b, `,"step":`...))
	}
	b = append(b, `,"values":{`...)
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		name, _ := json.Marshal(v.Name) // a string always can be
		b = append(append(b, name...), ':')
		b = record.Number(v.Value).Append(b)
	}
	return append(b, "}}\n"...)
}

// Flush writes what has been gathered.
func (c *Collector) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
}

func (c *Collector) flush() {
	if len(c.pending) == 0 {
		return
	}
	if err := c.write(c.pending); err != nil {
		lines := int64(0)
		for _, b := range c.pending {
			if b == '\n' {
				lines++
			}
		}
		c.summary.Dropped[string(Full)] += lines
	}
	c.pending = c.pending[:0]
}
