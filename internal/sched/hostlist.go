package sched

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// ErrHostlist is wrapped by the errors of what is no list of hosts.
var ErrHostlist = errors.New("not a list of hosts")

// What a list may stand for is bounded: "n[1-999999999]" is twelve bytes, and each name of a list may be as long as the list.
const (
	mostHosts   = 1 << 16
	longestHost = 255 // HOST_NAME_MAX of POSIX, and more than Linux and the DNS have
)

// Hosts reads a list of hosts as Slurm writes it (scontrol(1), show hostnames): names divided by commas, in which brackets stand
// for numbers and ranges of them. "gpu[01-03,7]-ib,login" is gpu01-ib, gpu02-ib, gpu03-ib, gpu7-ib and login. A number that
// begins a range with zeros gives all of it its width. Several brackets in a name are all their combinations, the last one
// counting fastest. Errors wrap ErrHostlist.
func Hosts(list string) ([]string, error) {
	var hosts []string
	for name, err := range split(list) {
		if err != nil {
			return nil, err
		}
		more, err := expand(name)
		if err != nil {
			return nil, err
		}
		if hosts = append(hosts, more...); len(hosts) > mostHosts {
			return nil, fmt.Errorf("%w: more than %d hosts", ErrHostlist, mostHosts)
		}
	}
	return hosts, nil
}

// split is the names of a list, at the commas that stand outside of brackets.
func split(list string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for list != "" {
			end, open := len(list), false
			for i, c := range []byte(list) {
				switch {
				case c == '[' && open, c == ']' && !open:
					yield("", fmt.Errorf("%w: %q: brackets do not fit", ErrHostlist, list))
					return
				case c == '[' || c == ']':
					open = !open
				}
				if c == ',' && !open {
					end = i
					break
				}
			}
			name := list[:end]
			switch {
			case open && end == len(list):
				yield("", fmt.Errorf("%w: %q: a bracket is not closed", ErrHostlist, list))
				return
			case name == "" || end == len(list)-1:
				yield("", fmt.Errorf("%w: a name is empty", ErrHostlist))
				return
			}
			if !yield(name, nil) {
				return
			}
			list = list[min(end+1, len(list)):]
		}
	}
}

// expand is the hosts that one name with brackets stands for.
func expand(name string) ([]string, error) {
	before, rest, found := strings.Cut(name, "[")
	if !found {
		if len(name) > longestHost {
			return nil, fmt.Errorf("%w: %.20q...: a name of more than %d bytes", ErrHostlist, name, longestHost)
		}
		return []string{name}, nil
	}
	inside, after, _ := strings.Cut(rest, "]")
	tails, err := expand(after)
	if err != nil {
		return nil, err
	}
	var hosts []string
	for part := range strings.SplitSeq(inside, ",") {
		numbers, err := span(part)
		if err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrHostlist, name, err)
		}
		if (len(hosts) + len(numbers)*len(tails)) > mostHosts {
			return nil, fmt.Errorf("%w: %q: more than %d hosts", ErrHostlist, name, mostHosts)
		}
		for _, number := range numbers {
			for _, tail := range tails {
				if len(before)+len(number)+len(tail) > longestHost {
					return nil, fmt.Errorf("%w: %.20q...: a name of more than %d bytes", ErrHostlist, name, longestHost)
				}
				hosts = append(hosts, before+number+tail)
			}
		}
	}
	return hosts, nil
}

// span is the numbers of "7" or "08-11".
func span(part string) ([]string, error) {
	low, high, isRange := strings.Cut(part, "-")
	if !isRange {
		high = low
	}
	first, err := strconv.ParseUint(low, 10, 32)
	if err != nil {
		return nil, fmt.Errorf("%q is no number", low)
	}
	last, err := strconv.ParseUint(high, 10, 32)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q is no number", high)
	case len(low) > longestHost:
		return nil, fmt.Errorf("%.20q... has more than %d digits", low, longestHost)
	case last < first:
		return nil, fmt.Errorf("%q runs backwards", part)
	case last-first >= mostHosts:
		return nil, fmt.Errorf("%q has more than %d numbers", part, mostHosts)
	}
	numbers := make([]string, 0, last-first+1)
	for n := first; n <= last; n++ {
		numbers = append(numbers, fmt.Sprintf("%0*d", len(low), n))
	}
	return numbers, nil
}
