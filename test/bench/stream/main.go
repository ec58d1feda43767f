// Stream moves bytes over one connection of TCP, to or from `bench network`, and does nothing else.
//
//	stream get|put ADDRESS BYTES
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "stream:", err)
		os.Exit(1)
	}
}

// mostBreaks is how often a connection may break. With pasta of 2023 some do that have much to send.
const mostBreaks = 100

func run(args []string) error {
	if len(args) != 3 {
		return errors.New("usage: stream get|put ADDRESS BYTES")
	}
	left, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		return err
	}
	breaks := 0
	for {
		done, err := move(args[0], args[1], left)
		if err == nil {
			break
		}
		if breaks++; breaks > mostBreaks {
			return err
		}
		left -= done
	}
	if breaks > 0 {
		fmt.Fprintf(os.Stderr, "stream: the connection broke %d times\n", breaks)
	}
	return nil
}

// move moves bytes over one connection, and says how many have gone.
func move(way, address string, size int64) (done int64, err error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.Write(binary.BigEndian.AppendUint64([]byte(way[:1]), uint64(size))); err != nil {
		return 0, err
	}
	buf := make([]byte, 256<<10)
	if way == "get" {
		return get(conn, buf, size)
	}
	return put(conn, buf, size)
}

func get(conn net.Conn, buf []byte, size int64) (got int64, err error) {
	for {
		n, err := conn.Read(buf)
		got += int64(n)
		if errors.Is(err, io.EOF) && got == size {
			return got, nil
		}
		if err != nil {
			return got, err
		}
	}
}

// put sends, and waits until the other side has it all.
func put(conn net.Conn, buf []byte, size int64) (sent int64, err error) {
	for sent < size {
		n, err := conn.Write(buf[:min(size-sent, int64(len(buf)))])
		sent += int64(n)
		if err != nil {
			return sent, err
		}
	}
	_, err = conn.Read(buf[:1])
	return sent, err
}
