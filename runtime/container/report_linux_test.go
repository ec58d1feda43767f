package container

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReportOfAnInitThatReadsNoMore: the job ended while a signal for it was on its way to init. How it ended is heard all the same.
func TestReportOfAnInitThatReadsNoMore(t *testing.T) {
	control, peer, err := socketPair(unix.SOCK_SEQPACKET)
	if err != nil {
		t.Fatal(err)
	}
	b := &Container{control: control, ended: make(chan struct{})}
	defer b.control.Close()
	text, err := binary.Append(nil, binary.NativeEndian, Report{Kind: ReportEnded, Value: int32(unix.SIGTERM)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := b.Signal(unix.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	b.listen()
	if b.last == nil || b.last.Value != int32(unix.SIGTERM) {
		t.Errorf("heard: %+v", b.last)
	}
}
