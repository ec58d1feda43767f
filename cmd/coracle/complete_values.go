package main

import (
	"os"
	"slices"
	"strings"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/cause"
	"github.com/coracle-run/coracle/internal/config"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/runtime/spec"
)

// flagWords are the values of options that take one of some words, by the option or by command and option.
var flagWords = map[string][]string{
	"network": {"host", "none", "private"}, "userns": {"flat", "root", "host-uid", "subuid"}, "pull": {"missing", "always", "never"},
	"cuda-compat": {"auto", "off", "force"}, "summary": summaryModes, "gpus": {"all", "none", "device="}, "inspect type": {"image", "run", "volume", "upper"},
	"save format": {"docker-archive", "oci-archive", "oci-dir"}, "format": {"json", "table"}, "security-opt": {"seccomp=unconfined", "seccomp=", "no-new-privileges=false"},
	"platform": {"linux/amd64", "linux/arm64"}, "mount": {"type=bind,", "type=volume,", "type=image,", "type=tmpfs,"}, "secret": {"id="},
	"images filter": {"dangling=true", "dangling=false", "reference="}, "volume filter": {"dangling=true", "dangling=false", "label=", "name="},
	"filter": {"state=", "cause=", "name=", "image=", "label=", "project=", "since=", "until=", "exit_code="},
	"sort":   {"created", "name", "duration", "memory", "cpu", "exit_code", "-created", "-duration", "-memory", "-cpu"},
	"signal": {"KILL", "TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "CONT"}, "stop-signal": {"TERM", "INT", "HUP", "QUIT", "USR1", "USR2"},
	"checkpoint-signal": {"USR1", "USR2", "TERM", "INT"}, "device": {"infiniband", "/dev/"}, "restart": {"no", "on-failure", "on-failure:", "always", "unless-stopped"},
	"mpi": {"auto", "pmix", "pmi2", "none"}, "share": {"node"}, "color": {"auto", "always", "never"},
}

// pathFlags take files and directories in words that do not say so.
var pathFlags = []string{"device", "volume", "security-opt"}

// values are those of an option.
func (o completer) values(p line.Point) (string, []candidate) {
	name := p.Flag.Names()[0]
	value, _ := line.Value(p.Flag)
	command, _, _ := strings.Cut(p.Name(), " ")
	list := flagValues(command, name)
	switch name {
	case "volume":
		list = o.volumes(":")
	case "upper":
		list = append(wordsOf(keepPrefix), o.uppers(keepPrefix)...)
	case "env":
		for _, v := range os.Environ() {
			variable, _, _ := strings.Cut(v, "=")
			list = append(list, candidate{text: variable})
		}
	case "progress":
		for _, style := range ui.Styles {
			list = append(list, candidate{text: string(style)})
		}
	case "exit-code":
		for _, of := range cause.Mappable {
			list = append(list, candidate{text: string(of) + "="})
		}
	case "cap-add", "cap-drop":
		list = append(wordsOf("ALL"), wordsOf(capabilityNames()...)...)
	}
	none := !slices.ContainsFunc(list, func(c candidate) bool { return o.fits(c.text, p.Word) })
	switch {
	case none && strings.HasPrefix(value, "DIR"):
		return asDirs, nil
	case none && (strings.Contains(value, "FILE") || slices.Contains(pathFlags, name)):
		return asFiles, nil
	case none:
		return asNone, nil
	}
	return asWords, list
}

func flagValues(command, name string) []candidate {
	if words, ok := flagWords[command+" "+name]; ok {
		return wordsOf(words...)
	}
	return wordsOf(flagWords[name]...)
}

// capabilityNames are those of capabilities without CAP_, as docker writes them.
func capabilityNames() (names []string) {
	all, err := spec.Capabilities(nil, []string{"ALL"}, nil)
	if err != nil {
		return nil
	}
	for _, name := range all {
		names = append(names, strings.TrimPrefix(name, "CAP_"))
	}
	return names
}

func configKeys() (list []candidate) {
	for _, s := range config.Settings {
		list = append(list, candidate{s.Key, brief(s.About)})
	}
	return list
}
