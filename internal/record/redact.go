package record

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// Redacted stands where a secret was. It is the same for all, so that nothing can be told of what it stands for.
const Redacted = "[redacted]"

// minSecret is the length in bytes from which a secret value is looked for elsewhere, in arguments, messages and output.
// Shorter ones ("1", "true", "label") are too common there to be taken for the secret.
const minSecret = 6

// minSecretLine is the same for one line of a longer secret, of which not each need be one.
const minSecretLine = 16

// The expressions are compiled when one is needed, which in most runs is never: each would cost every start its share.
var (
	secretEnv = expression(`(?i)TOKEN|SECRET|PASSW|PASSPHRASE|KEY|CRED`)
	// Names of machine-learning settings that only look like secrets; TOKENIZERS_PARALLELISM is in every other job.
	harmlessEnv = expression(`(?i)TOKENIZ|MAX_(NEW_)?TOKENS|KEYBOARD|KEYMAP`)
	// A flag hides a secret when its last word says so: --wandb-key, --hf_token; not --num-key-value-heads.
	secretFlag = expression(`(?i)^-{0,2}([a-z0-9_.-]*[_.-])?(token|key|api-?key|secret|passw[a-z]*|passphrase|cred[a-z]*)$`)
	// PASS at the end of a name, as in DB_PASS and PGPASS; PASSWORD and its like are above. With the first group it is the
	// end of another word: COMPASS, BYPASS.
	passName   = expression(`(?i)(com|by|sur|tres|under|over|multi|single)?pass[0-9]*$`)
	assignable = expression(`(?i)^-{0,2}[a-z0-9_.-]+$`)
	// One of these words, and nothing that is not said in the same way.
	secretSource = expression(`^((id|src|source|env|type)=[^,]+,)*(id|src|source|env|type)=[^,]+$`)
	number       = expression(`^[0-9.eE+-]{1,12}$`)
	// The authority's user and password, up to the last @ before the path (RFC 3986, section 3.2.1).
	userinfo = expression(`([a-zA-Z][a-zA-Z0-9+.-]*://)([^\s/?#]*)@`)
)

func expression(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}

// hints are what a name has in it, in lower case, when it says secret.
var hints = []string{"token", "secret", "pass", "key", "cred"}

// hinted reports whether a name needs a closer look.
func hinted(name string) bool {
	name = strings.ToLower(strings.ToUpper(name)) // as (?i) has it, which knows of other letters that are an S or a K
	return slices.ContainsFunc(hints, func(hint string) bool { return strings.Contains(name, hint) })
}

// redactor knows the secret values of one run and where it took some out.
type redactor struct {
	values []string // longest first, so that a value inside another does not leave the rest
	where  []string
}

// redact returns the run without its secrets, and the redactor that knows them. Some values may be known to be secret. The maps
// and slices of the argument are not changed.
func redact(run Run, values ...string) (Run, *redactor) {
	r := &redactor{}
	for _, value := range values {
		r.knowText(value)
	}
	for _, set := range []map[string]string{run.Env.Set, run.Scheduler, run.Labels} {
		r.learnEnv(set)
	}
	r.learn(run.Argv)
	r.learn(run.Command)
	run.Env.Set = r.env("env", run.Env.Set)
	run.Scheduler = r.env("scheduler", run.Scheduler)
	run.Argv = r.args("argv", run.Argv)
	run.Command = r.args("command", run.Command)
	run.Labels = r.env("labels", run.Labels)
	run.Mounts = slices.Clone(run.Mounts)
	for i, m := range run.Mounts {
		run.Mounts[i].Source = r.at(fmt.Sprintf("mounts[%d].source", i), m.Source, r.text(m.Source))
		run.Mounts[i].Target = r.at(fmt.Sprintf("mounts[%d].target", i), m.Target, r.text(m.Target))
		run.Mounts[i].Options = r.list(fmt.Sprintf("mounts[%d].options", i), m.Options)
	}
	run.Devices = slices.Clone(run.Devices)
	for i, d := range run.Devices {
		run.Devices[i].Name = r.at(fmt.Sprintf("devices[%d].name", i), d.Name, r.text(d.Name))
		run.Devices[i].Spec = r.at(fmt.Sprintf("devices[%d].spec", i), d.Spec, r.text(d.Spec))
		run.Devices[i].Nodes = r.list(fmt.Sprintf("devices[%d].nodes", i), d.Nodes)
	}
	for _, p := range []struct {
		place string
		text  *string
	}{{"name", &run.Name}, {"project", &run.Project}, {"image.ref", &run.Image.Ref}, {"cwd", &run.Cwd}, {"user", &run.User}, {"hostname", &run.Hostname}} {
		*p.text = r.at(p.place, *p.text, r.text(*p.text))
	}
	if run.Names != nil {
		names := *run.Names
		names.Hosts, names.Search = r.list("names.add_hosts", names.Hosts), r.list("names.dns_search", names.Search)
		run.Names = &names
	}
	if run.Git != nil {
		g := *run.Git
		g.Remote = r.at("git.remote", g.Remote, r.text(g.Remote))
		run.Git = &g
	}
	run.Redact = r.where
	return run, r
}

// list redacts texts that are no command line.
func (r *redactor) list(place string, texts []string) []string {
	out := slices.Clone(texts)
	for i := range out {
		out[i] = r.at(fmt.Sprintf("%s[%d]", place, i), out[i], r.text(out[i]))
	}
	return out
}

// know remembers a secret value.
func (r *redactor) know(value string) {
	if len(value) < minSecret || slices.Contains(r.values, value) {
		return
	}
	r.values = append(r.values, value)
	slices.SortFunc(r.values, func(a, b string) int { return len(b) - len(a) })
}

// maxSecretLines is up to how many lines a text is looked for line by line.
const maxSecretLines = 100

// knowText remembers a secret that may be a file: as a whole, without the line end that most files have, and of a short one its
// lines, which are not printed as a whole where each is led in by a time or a name.
func (r *redactor) knowText(value string) {
	value = strings.TrimRight(value, "\r\n")
	r.know(value)
	lines := strings.FieldsFunc(value, func(c rune) bool { return c == '\r' || c == '\n' })
	if len(lines) > maxSecretLines {
		return
	}
	for _, line := range lines {
		if len(line) >= minSecretLine {
			r.know(line)
		}
	}
}

// at notes the place when the text was changed there.
func (r *redactor) at(place, before, after string) string {
	if before != after {
		r.where = append(r.where, place)
	}
	return after
}

// learnEnv remembers the values whose names say secret, and passwords in the others.
func (r *redactor) learnEnv(set map[string]string) {
	for name, value := range set {
		if isSecretEnv(name) {
			r.know(value)
		} else {
			r.knowUserinfo(value)
		}
	}
}

// env redacts the values whose names say secret, and what is known to be one in the others.
func (r *redactor) env(place string, set map[string]string) map[string]string {
	out := maps.Clone(set)
	for _, name := range slices.Sorted(maps.Keys(set)) {
		value := set[name]
		if value != "" && isSecretEnv(name) {
			out[name] = Redacted
		} else {
			out[name] = r.text(value)
		}
		r.at(place+"."+name, value, out[name])
	}
	return out
}

// isSecretEnv reports whether a variable's name says that its value is a secret.
func isSecretEnv(name string) bool {
	return hinted(name) && (secretEnv().MatchString(name) && !harmlessEnv().MatchString(name) || endsInPass(name))
}

// isSecretFlag reports whether a flag, or the name before an equals sign, says that a secret follows.
func isSecretFlag(name string) bool {
	return hinted(name) && (secretFlag().MatchString(name) || assignable().MatchString(name) && endsInPass(name))
}

// endsInPass reports whether a name ends in PASS in the sense of password.
func endsInPass(name string) bool {
	m := passName().FindStringSubmatch(name)
	return m != nil && m[1] == ""
}

// learn remembers the secrets in a command line: what follows a secret flag, as an argument or after an equals sign, and
// passwords in URLs.
func (r *redactor) learn(args []string) {
	for i, arg := range args {
		if _, value := secretAssignment(arg); value != "" {
			r.know(value)
		}
		if i > 0 && followsSecretFlag(args[i-1], arg) {
			r.know(arg)
		}
		r.knowUserinfo(arg)
	}
}

// args redacts a command line.
func (r *redactor) args(place string, args []string) []string {
	out := slices.Clone(args)
	for i, arg := range args {
		switch name, value := secretAssignment(arg); {
		case value != "":
			out[i] = name + "=" + Redacted
		case i > 0 && followsSecretFlag(args[i-1], arg):
			out[i] = Redacted
		default:
			out[i] = r.text(arg)
		}
		r.at(fmt.Sprintf("%s[%d]", place, i), arg, out[i])
	}
	return out
}

// secretAssignment splits --token=VALUE, TOKEN=VALUE and --env=TOKEN=VALUE before the value; value is empty when there is
// no secret in it.
func secretAssignment(arg string) (name, value string) {
	start := 0
	for i := range len(arg) {
		if arg[i] != '=' {
			continue
		}
		if isSecretFlag(arg[start:i]) && secretLike(arg[i+1:]) && !namesSecret(arg[start:i], arg[i+1:]) {
			return arg[:i], arg[i+1:]
		}
		start = i + 1
	}
	return "", ""
}

// followsSecretFlag reports whether arg is the value of the secret flag before it.
func followsSecretFlag(flag, arg string) bool {
	return strings.HasPrefix(flag, "-") && isSecretFlag(flag) && !strings.HasPrefix(arg, "-") && secretLike(arg) && !namesSecret(flag, arg)
}

// namesSecret reports whether a flag says where a secret is, and not what it is: --secret id=NAME,src=FILE, ours and docker's.
func namesSecret(flag, value string) bool {
	return flag == "--secret" && secretSource().MatchString(value)
}

// secretLike is false for values that a flag called token or key has in machine learning: numbers, and the special words
// of a tokenizer such as <pad> and [MASK].
func secretLike(value string) bool {
	return value != "" && !number().MatchString(value) && !strings.ContainsAny(value[:1], "<[")
}

// knowUserinfo remembers the passwords of the URLs in s.
func (r *redactor) knowUserinfo(s string) {
	if !strings.Contains(s, "://") {
		return
	}
	for _, m := range userinfo().FindAllStringSubmatch(s, -1) {
		if _, password, ok := strings.Cut(m[2], ":"); ok {
			r.know(password)
		}
	}
}

// text takes known secrets and URL userinfo out of free text.
func (r *redactor) text(s string) string {
	for _, v := range r.values {
		s = strings.ReplaceAll(s, v, Redacted)
	}
	return withoutUserinfo(s)
}

// withoutUserinfo takes user and password out of the URLs in s.
func withoutUserinfo(s string) string {
	if !strings.Contains(s, "://") {
		return s
	}
	return userinfo().ReplaceAllString(s, "${1}"+Redacted+"@")
}

// fields takes secrets out of the strings of an event.
func (r *redactor) fields(in map[string]any) map[string]any {
	out := make(map[string]any, len(in))
	for k := range in {
		out[k] = r.any(in[k])
	}
	return out
}

// any takes secrets out of a value of an event's fields.
func (r *redactor) any(v any) any {
	switch v := v.(type) {
	case string:
		return r.text(v)
	case error:
		return r.text(v.Error())
	case []string:
		out := slices.Clone(v)
		for i := range out {
			out[i] = r.text(out[i])
		}
		return out
	case map[string]any:
		return r.fields(v)
	default:
		return v
	}
}
