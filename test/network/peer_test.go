package network_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// peerEnv has this program be a job: "reach" says what it can reach, "serve" as well, and then answers who reaches it until its standard
// input ends.
const peerEnv = "CORACLE_TEST_PEER"

// servedPort is where "serve" answers, over TCP and UDP.
const servedPort = "80"

// patience is how long something that is there may take to answer, on a busy machine too. What is not there is refused at once.
const patience = 30 * time.Second

func peer(role string, targets []string) error {
	for _, target := range targets {
		fmt.Println(target, reach(target))
	}
	if role != "serve" {
		return nil
	}
	if err := serve(net.JoinHostPort("", servedPort), "job"); err != nil {
		return err
	}
	fmt.Println("serving")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// reach is what NETWORK=ADDRESS answers, or "-" for nothing. The network "name" stands for a name to be resolved.
// "addresses=" tells of the addresses that are here.
func reach(target string) string {
	network, address, _ := strings.Cut(target, "=")
	if network == "addresses" {
		return settled()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if network == "name" {
		addresses, err := net.DefaultResolver.LookupHost(ctx, address)
		if err != nil {
			return "-"
		}
		return strings.Join(addresses, ",")
	}
	answer, err := ask(ctx, network, address)
	if err != nil {
		return "-"
	}
	return answer
}

// settled tells whether the kernel uses all IPv6 addresses already (/proc/net/if_inet6: address, index, prefix, scope, flags, name).
func settled() string {
	text, err := os.ReadFile("/proc/net/if_inet6")
	if err != nil {
		return "-"
	}
	const tentative = 0x40 // IFA_F_TENTATIVE
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if flags, err := strconv.ParseUint(fields[4], 16, 8); err != nil || flags&tentative != 0 {
			return line
		}
	}
	return "settled"
}

// ask sends a line and reads one. A datagram may be lost, and is sent again.
func ask(ctx context.Context, network, address string) (_ string, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	over, _ := ctx.Deadline()
	for {
		const try = time.Second
		until := over
		if network == "udp" && time.Until(over) > try {
			until = time.Now().Add(try)
		}
		if err := conn.SetDeadline(until); err != nil {
			return "", err
		}
		if _, err := io.WriteString(conn, "who?\n"); err != nil {
			return "", err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if !errors.Is(err, os.ErrDeadlineExceeded) || until.Equal(over) {
			return strings.TrimSpace(line), err
		}
	}
}

// serve answers with a name, over TCP and UDP, as long as the program runs.
func serve(address, name string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	packets, err := net.ListenPacket("udp", address)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	go answer(listener, name)
	go func() {
		buf := make([]byte, 1<<10)
		for {
			_, from, err := packets.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = packets.WriteTo([]byte(name+"\n"), from) // who does not hear it asks again
		}
	}()
	return nil
}

func answer(listener net.Listener, name string) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = bufio.NewReader(conn).ReadString('\n')
			_, _ = io.WriteString(conn, name+"\n")
		}()
	}
}
