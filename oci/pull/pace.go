package pull

import "time"

const (
	maxConnections   = 24
	firstConnections = 4 // what a link of 100 ms at a home's speed takes to fill, and nothing to one that needs fewer

	beat       = 100 * time.Millisecond
	judgeBeats = 4   // after which more connections must have shown that they help
	holdBeats  = 50  // without another try after they did not; doubles
	maxHold    = 300 // beats
	helps      = 1.1 // times the rate before
)

// pace finds out how many connections to have. It opens more only while somebody waits for bytes, twice as many each time,
// and takes back what did not make the whole faster: a loopback registry or a slow line need few, a distant object store
// that gives each connection a share needs many.
type pace struct {
	limit int // connections to have
	most  int

	recent      float64 // bytes a beat, lately
	before      int     // limit before the step that is being judged; 0: none is
	rateBefore  float64
	sum         float64 // of the rates since the step
	judge, hold int     // beats to go
	nextHold    int
}

func newPace() pace { return pace{limit: firstConnections, most: maxConnections, nextHold: holdBeats} }

// tick is told each beat how many bytes came in, and whether somebody waited for them for most of it.
func (p *pace) tick(bytes float64, starving bool) {
	p.recent += (bytes - p.recent) / judgeBeats
	if p.judge > 0 {
		p.sum += bytes
		if p.judge--; p.judge == 0 && p.sum/judgeBeats < helps*p.rateBefore {
			p.limit, p.hold = min(p.limit, p.before), p.nextHold
			p.nextHold = min(2*p.nextHold, maxHold)
		}
		return
	}
	if p.hold > 0 {
		p.hold--
		return
	}
	if starving && p.limit < p.most {
		p.before, p.rateBefore, p.sum, p.judge = p.limit, max(p.recent, bytes), 0, judgeBeats
		p.limit = min(2*p.limit, p.most)
	}
}

// throttled is told that the registry wants fewer requests.
func (p *pace) throttled() {
	p.limit = max(1, p.limit/2)
	p.judge, p.hold = 0, p.nextHold
	p.nextHold = min(2*p.nextHold, maxHold)
}
