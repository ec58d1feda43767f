package main

import (
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/coracle-run/coracle/cmd/coracle/line"
	"github.com/coracle-run/coracle/internal/record"
	"github.com/coracle-run/coracle/internal/ui"
	"github.com/coracle-run/coracle/oci/registry"
	"github.com/coracle-run/coracle/oci/store"
	"github.com/coracle-run/coracle/oci/store/location"
)

// completer prints candidates for a shell. What cannot be read is not offered, and nothing is said of it: somebody is typing.
type completer struct {
	c      *cli.Context
	shell  string
	breaks string // bash's COMP_WORDBREAKS
}

// candidate is a word that may come next.
type candidate struct{ text, about string }

// How candidates are meant.
const (
	asWords   = "words"
	asAbout   = "about" // with texts about them
	asNoSpace = "nospace"
	asFiles   = "files"
	asDirs    = "dirs"
	asNone    = "none"
)

func (o completer) offer(p line.Point) error {
	directive, list := o.candidates(p)
	var b strings.Builder
	kept := slices.DeleteFunc(list, func(c candidate) bool { return !o.fits(c.text, p.Word) })
	if (directive == asWords || directive == asAbout) && len(kept) > 0 && !slices.ContainsFunc(kept, func(c candidate) bool { return !open(c.text) }) {
		directive = asNoSpace
	}
	b.WriteString(directive + "\n")
	for _, c := range kept {
		text := p.Lead + c.text
		if o.shell == "bash" {
			text = o.afterBreak(text, p.Lead+p.Word)
		}
		b.WriteString(text)
		if c.about != "" && o.shell != "bash" {
			b.WriteString("\t" + c.about)
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(printer(o.c).Raw(), b.String())
	return err
}

// open reports whether something has to follow a word directly.
func open(text string) bool {
	return strings.HasSuffix(text, "=") || strings.HasSuffix(text, ":") || strings.HasSuffix(text, ",")
}

// fits reports whether a candidate goes on from what is there. Ids may be typed in small letters. A candidate that no shell could take
// as one plain word is none.
func (o completer) fits(text, word string) bool {
	plain := func(r rune) bool { return r > ' ' && r != 0x7f && !strings.ContainsRune("'\"`$\\|&;<>(){}[]*?!#~", r) }
	return len(text) >= len(word) && strings.EqualFold(text[:len(word)], word) && !strings.ContainsFunc(text, func(r rune) bool { return !plain(r) })
}

// afterBreak is what bash puts in the place of its own last word, which begins behind a character that breaks words.
func (o completer) afterBreak(text, typed string) string {
	at := strings.LastIndexFunc(typed, func(r rune) bool { return strings.ContainsRune("=:", r) && strings.ContainsRune(o.breaks, r) })
	if at < 0 || at+1 > len(text) {
		return text
	}
	return text[at+1:]
}

// candidates are those at a point, and how they are meant.
func (o completer) candidates(p line.Point) (directive string, list []candidate) {
	switch {
	case p.Flag != nil:
		return o.values(p)
	case len(p.Flags) > 0:
		for _, f := range p.Flags {
			_, about := line.Value(f)
			for _, name := range line.FlagNames(f) {
				if len(name) > 2 || p.Word == "-" { // letters only where nothing has been chosen
					list = append(list, candidate{name, brief(about)})
				}
			}
		}
		return asAbout, append(list, candidate{"--help", "Tell more about the command"})
	case len(p.Commands) > 0:
		for _, c := range p.Commands {
			if !c.Hidden {
				list = append(list, candidate{c.Name, c.Usage})
			}
		}
		if len(p.Path) == 0 {
			list = append(list, candidate{"help", "Tell more about a command"})
		}
		return asAbout, list
	case p.Job || len(p.Path) == 0:
		return asFiles, nil
	}
	return o.arguments(p)
}

// brief is the beginning of a text, for one line.
func brief(text string) string {
	const most = 60
	text, _, _ = strings.Cut(text, " (")
	return ui.Shorten(ui.Escape(text), most)
}

// runningOnly are the commands that are about runs that go on.
var runningOnly = []string{"attach", "exec", "kill", "pause", "stats", "stop", "top", "unpause", "wait"}

// arguments are those of a command, by what its usage calls them.
func (o completer) arguments(p line.Point) (string, []candidate) {
	command, name := p.Path[len(p.Path)-1], p.Name()
	usage := strings.Fields(command.ArgsUsage)
	at := len(p.Arguments)
	if len(usage) == 0 || at >= len(usage) && !strings.Contains(usage[len(usage)-1], "...") {
		return asNone, nil
	}
	word := strings.Trim(strings.TrimSuffix(usage[min(at, len(usage)-1)], "..."), "[].")
	running := slices.Contains(runningOnly, name)
	switch {
	case name == "cp":
		return o.copied(p.Word)
	case word == "KEY":
		return asWords, configKeys()
	case strings.HasPrefix(name, "volume") && strings.HasPrefix(word, "NAME") && name != "volume create":
		return asWords, o.volumes("")
	case strings.HasPrefix(name, "upper") && word == "NAME":
		return asWords, o.uppers("")
	case strings.HasPrefix(word, "NAME|ID"):
		return asWords, slices.Concat(o.images(p.Word), o.runs(p.Word, false), o.volumes(""))
	case strings.HasPrefix(word, "ID|NAME"), word == "RUN", word == "OTHER":
		return asWords, o.runs(p.Word, running)
	case strings.HasPrefix(word, "IMAGE"), strings.HasPrefix(word, "NAME[:TAG"):
		return asWords, o.images(p.Word)
	case strings.Contains(word, "DIR"):
		return asDirs, nil
	case strings.Contains(word, "FILE"), strings.Contains(word, "PATH"):
		return asFiles, nil
	case word == strings.ToLower(word):
		return asWords, wordsOf(strings.Split(word, "|")...)
	}
	return asNone, nil
}

// copied are the runs whose files can be copied, and files here. Behind RUN: it is a path of the container, of which none of the host's is one.
func (o completer) copied(word string) (string, []candidate) {
	if _, _, ok := containerPath(word); ok {
		return asNone, nil
	}
	runs := o.runs(word, true)
	for i := range runs {
		runs[i].text += ":"
	}
	if !slices.ContainsFunc(runs, func(c candidate) bool { return o.fits(c.text, word) }) {
		return asFiles, nil
	}
	return asNoSpace, runs
}

func wordsOf(words ...string) (list []candidate) {
	for _, w := range words {
		list = append(list, candidate{text: w})
	}
	return list
}

// store is the store as it is; nil where there is none yet.
func (o completer) store() *store.Store {
	set, err := configuration(o.c)
	if err != nil {
		return nil
	}
	env, _, err := storePlaces(set, layersFlag(o.c))
	if err != nil {
		return nil
	}
	root, err := location.DataRoot(env)
	if err != nil {
		return nil
	}
	if _, err := os.Stat(root); err != nil {
		return nil
	}
	dirs, err := locate(set, layersFlag(o.c))
	if err != nil {
		return nil
	}
	s, err := store.Open(dirs)
	if err != nil {
		return nil
	}
	return s
}

// images are the names of the stored ones, and their ids where one has been begun.
func (o completer) images(word string) (list []candidate) {
	s := o.store()
	if s == nil {
		return nil
	}
	images, _ := s.Images()
	now := time.Now()
	for _, i := range images {
		if ref, err := registry.ParseRef(i.Ref); err == nil {
			list = append(list, candidate{ref.Familiar(), "pulled " + ui.Ago(now, i.Pulled)})
		}
	}
	if word != "" {
		for _, i := range images {
			list = append(list, candidate{shortID(i.Digest.String(), false), familiarImage(i.Ref)})
		}
	}
	return unique(list)
}

// recent is how many runs are looked at: nobody chooses among more.
const recent = 200

// runs are the names of runs, "last", and ids.
func (o completer) runs(word string, running bool) (list []candidate) {
	s := o.store()
	if s == nil {
		return nil
	}
	runs := record.Open(s.Dirs().Data)
	listing, err := runs.Brief(record.Selection{Limit: recent})
	if err != nil {
		return nil
	}
	now, newest := time.Now(), true
	var ids []candidate
	for v, short := range listing.All() {
		if newest && (!running || v.State == record.Running) {
			list = append(list, candidate{"last", "the newest run"})
		}
		newest = false
		if running && v.State != record.Running {
			continue
		}
		about := brief(strings.Join([]string{familiarImage(v.Image.Ref), statusText(v, now)}, ", "))
		if v.Name != "" {
			list = append(list, candidate{v.Name, about})
		}
		ids = append(ids, candidate{short, about})
		if len(word) > len(short) {
			ids[len(ids)-1].text = v.ID
		}
	}
	return unique(append(list, ids...))
}

// volumes are the names of volumes, with what has to follow.
func (o completer) volumes(after string) (list []candidate) {
	s := o.store()
	if s == nil {
		return nil
	}
	all, _ := volumesOf(s).List()
	for _, v := range all {
		if !v.Anonymous {
			list = append(list, candidate{v.Name + after, "volume"})
		}
	}
	return list
}

// uppers are the names of kept writable layers, with what has to be before them.
func (o completer) uppers(before string) (list []candidate) {
	s := o.store()
	if s == nil {
		return nil
	}
	all, _ := s.KeptLayers() // those that can be read
	for _, k := range all {
		list = append(list, candidate{before + k.Name, "writable layer"})
	}
	return list
}

// unique leaves out what is there already.
func unique(list []candidate) (kept []candidate) {
	seen := map[string]bool{}
	for _, c := range list {
		if !seen[c.text] && c.text != "" {
			kept = append(kept, c)
		}
		seen[c.text] = true
	}
	return kept
}
