// Command impostor is a job that has found a socket of Coracle's in a volume. As "listen" it answers in the place of whoever should, and
// says what it gets of each that connects; as "knock" it connects, shows the user namespace that it is in, and says what it gets.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

func main() {
	address := &net.UnixAddr{Name: os.Args[2], Net: "unix"}
	switch os.Args[1] {
	case "listen":
		listener, err := net.ListenUnix("unix", address)
		must(err)
		must(os.WriteFile(os.Args[3], nil, 0o600))
		for {
			conn, err := listener.AcceptUnix()
			must(err)
			got(conn)
		}
	case "knock":
		conn, err := net.DialUnix("unix", nil, address)
		must(err)
		own, err := os.Open("/proc/self/ns/user")
		must(err)
		_, _, err = conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(own.Fd())), nil)
		must(err)
		got(conn)
	}
}

// got says what comes over a connection at first.
func got(conn *net.UnixConn) {
	text, control := make([]byte, 4096), make([]byte, 4096)
	n, controls, _, _, err := conn.ReadMsgUnix(text, control)
	if n == 0 && controls == 0 && (errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET)) {
		fmt.Println("nothing")
	} else {
		fmt.Printf("%d bytes, %d of control, %v\n", n, controls, err)
	}
	must(conn.Close())
}

func must(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
