package network

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePorts(t *testing.T) {
	for _, tc := range []struct {
		texts []string
		want  string // ports, or what the error says
	}{
		{[]string{"8080:80"}, "*:8080->80/tcp"},
		{[]string{"80"}, "*:0->80/tcp"},
		{[]string{":80/UDP"}, "*:0->80/udp"},
		{[]string{"127.0.0.1:8080:80/udp"}, "127.0.0.1:8080->80/udp"},
		{[]string{"127.0.0.1::80"}, "127.0.0.1:0->80/tcp"},
		{[]string{"[::1]:8080:80"}, "[::1]:8080->80/tcp"},
		{[]string{"[::1]::80"}, "[::1]:0->80/tcp"},
		{[]string{"[::ffff:127.0.0.1]:1:80"}, "127.0.0.1:1->80/tcp"},
		{[]string{"8000-8002:80-82"}, "*:8000->80/tcp *:8001->81/tcp *:8002->82/tcp"},
		{[]string{"80-81"}, "*:0->80/tcp *:0->81/tcp"},
		{[]string{"8000-8010:80"}, "*:8000->80/tcp"},
		{[]string{"1:1", "1:1/udp", "127.0.0.1:2:1", "127.0.0.2:2:1", "[::]:3:1", "0.0.0.0:3:1"},
			"*:1->1/tcp *:1->1/udp 127.0.0.1:2->1/tcp 127.0.0.2:2->1/tcp [::]:3->1/tcp 0.0.0.0:3->1/tcp"},
		{[]string{"8080:80", "8080:81"}, "port 8080/tcp of the host is asked for twice, for 80 and 81"},
		{[]string{"8080:80", "127.0.0.1:8080:81"}, "asked for twice"},
		{[]string{"0.0.0.0:8080:80", "127.0.0.1:8080:81"}, "asked for twice"},
		{[]string{"8000-8002:80"}, "*:8000->80/tcp"},
		{[]string{"8000-8002:80-81"}, "3 ports of the host for 2 of the container"},
		{[]string{"8000-7000:80"}, "ends before it begins"},
		{[]string{"1-2000:1-2000"}, "more than 1024 ports"},
		{[]string{"1-1000", "1-1000"}, "more than 1024 ports"},
		{[]string{"0:80"}, "\"0\" is no port"},
		{[]string{"80:0"}, "\"0\" is no port"},
		{[]string{"65536:80"}, "\"65536\" is no port"},
		{[]string{"-1:80"}, "is no port"},
		{[]string{""}, "\"\" is no port"},
		{[]string{"a:80"}, "\"a\" is no port"},
		{[]string{"8080:80/sctp"}, "tcp and udp can be published"},
		{[]string{"localhost:8080:80"}, "\"localhost\" is no address"},
		{[]string{"::1:8080:80"}, "IPv6 address in brackets"},
		{[]string{"[::1]8080:80"}, "[ADDRESS]:HOST:CONTAINER"},
		{[]string{"[::1]:80"}, "an address is followed by"},
		{[]string{"[fe80::1%eth0]:1:80"}, "is no address"},
		{[]string{"1:2:3:4"}, "write [IP:]HOST:CONTAINER"},
	} {
		ports, err := ParsePorts(tc.texts)
		var texts []string
		for _, p := range ports {
			texts = append(texts, p.String())
		}
		got := strings.Join(texts, " ")
		if err != nil {
			got = err.Error()
			if !errors.Is(err, ErrOption) {
				t.Errorf("%q: %v is no ErrOption", tc.texts, err)
			}
		}
		if got != tc.want && (err == nil || !strings.Contains(got, tc.want)) {
			t.Errorf("%q: %q, want %q", tc.texts, got, tc.want)
		}
	}
}

func TestParseMode(t *testing.T) {
	for text, want := range map[string]Mode{"": Host, "host": Host, "none": None, "private": Private, "bridge": Private} {
		if got, err := ParseMode(text); got != want || err != nil {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	if _, err := ParseMode("container:x"); !errors.Is(err, ErrOption) {
		t.Errorf("a network of another container: %v", err)
	}
}

func FuzzParsePorts(f *testing.F) {
	for _, seed := range []string{"8080:80", "[::1]:8000-8001:80-81/udp", "127.0.0.1::80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ports, err := ParsePorts([]string{text})
		if (err == nil) != (len(ports) > 0) {
			t.Errorf("%q: %d ports, %v", text, len(ports), err)
		}
		for _, p := range ports {
			if p.Inside == 0 || p.Last != 0 && p.Last <= p.Host {
				t.Errorf("%q: %+v", text, p)
			}
		}
	})
}
