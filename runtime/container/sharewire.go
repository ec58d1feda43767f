package container

import "github.com/coracle-run/coracle/runtime/rootfs"

// A shared container belongs to no supervisor. Its keeper is asked for it by the first one, with Request.Hold, over the socket that every
// keeper has, and gets three descriptors: one end of a socket pair, the first line; a socket to listen at for further lines; and the
// supervisor's user namespace. When all is made it takes back its death signal. Each line belongs to one rank, whose supervisor makes sure
// that it leads to a keeper and shows its user namespace (SendFiles), which has to be the first one's: neither is a job, which may find the
// socket and be the same user. The keeper sends descriptors over the line and a Welcome, the rank's init says LineMessage.Init, and the
// supervisor in the end LineMessage.Leave, which is answered by a Left. Supervisor, rank's first process and rank's init all hold the
// line, so that its end is the end of them all. When no line is left, the container ends.

// RankArg is argv[1] of a rank's first process.
const RankArg = "coracle-rank"

// Hold asks for a container without a job.
type Hold struct {
	Terms map[string]string `json:"terms"` // what whoever joins has to agree to; see Welcome
}

// Welcome is the keeper's first word over a line. The descriptors before it are named in their order.
type Welcome struct {
	ID     string            `json:"id"`
	Terms  map[string]string `json:"terms"`
	User   rootfs.User       `json:"user"`
	Made   rootfs.Made       `json:"made"`
	Images []rootfs.Made     `json:"images,omitempty"`
	Config InitConfig        `json:"config"` // what the jobs have in common
	Files  []string          `json:"files"`
}

// Descriptors of a Welcome that are no namespaces to be joined in their order, the keeper's user namespace first.
const (
	FileProgram = "program" // this program, as nobody can write to it
	FileJobUser = "user of the job"
	FileProc    = "proc" // of the keeper
	FileShm     = "shm"
)

// LineMessage is one message over a line to the keeper.
type LineMessage struct {
	Init  int  `json:"init,omitempty"`  // the pid of the rank's init in the container
	Leave bool `json:"leave,omitempty"` // what the rank has left is to be ended, and the line will be closed
}

// Left is the answer to Leave: nothing of the rank runs any more.
type Left struct {
	Last bool `json:"last"` // nor of any other: the container has ended. Its keeper waits for the end of the line
}
