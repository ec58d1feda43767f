package pull

// Progress is told what a pull does, for a person to watch. Digests are in their "sha256:..." form; sizes are bytes of the
// compressed layer. Methods are called from several goroutines and must not block for long.
type Progress interface {
	// Resolved says which manifest the reference means on the wanted platform. It comes first and once.
	Resolved(ref, digest string)
	// LayerPlanned says that a layer is going to be fetched. All are announced before the first begins.
	LayerPlanned(digest string, size int64)
	// LayerExists says that a layer was stored before, or that another process has brought it meanwhile.
	LayerExists(digest string, size int64)
	// LayerStarted says that a layer is being fetched; when it comes again, from the beginning.
	LayerStarted(digest string, size int64)
	// LayerResumed says that n bytes of a layer were here before.
	LayerResumed(digest string, n int64)
	// LayerRead says that n more bytes of a layer have come in.
	LayerRead(digest string, n int64)
	// LayerUnpacked says that n more bytes of the compressed layer have been taken on to be unpacked, or so many more entries
	// of it were.
	LayerUnpacked(digest string, n, entries int64)
	// LayerDone says that a layer is unpacked, verified and stored.
	LayerDone(digest string)
	// Note is a plain sentence about something that took another turn, such as a connection that is being made anew.
	Note(text string)
}

// silent is the Progress of a caller who does not want to know.
type silent struct{}

func (silent) Resolved(string, string)            {}
func (silent) LayerPlanned(string, int64)         {}
func (silent) LayerExists(string, int64)          {}
func (silent) LayerStarted(string, int64)         {}
func (silent) LayerResumed(string, int64)         {}
func (silent) LayerRead(string, int64)            {}
func (silent) LayerUnpacked(string, int64, int64) {}
func (silent) LayerDone(string)                   {}
func (silent) Note(string)                        {}
