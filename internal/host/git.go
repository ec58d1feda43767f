package host

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
)

// Git is a working tree, as its own files tell: no program of git is started, whose configuration might start others.
type Git struct{ Dir, Commit, Branch, Remote string }

// FindGit finds the working tree that a directory is part of; ok is false when there is none, or nothing is checked out.
func FindGit(dir string) (g Git, ok bool) {
	for at := filepath.Clean(dir); ; at = filepath.Dir(at) {
		if meta := gitDir(at); meta != "" {
			g.Dir = at
			g.Commit, g.Branch = head(meta)
			g.Remote = origin(commonDir(meta))
			return g, g.Commit != ""
		}
		if at == filepath.Dir(at) {
			return Git{}, false
		}
	}
}

// gitDir is where a working tree's repository lies: gitrepository-layout(5).
func gitDir(top string) string {
	path := filepath.Join(top, ".git")
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return path
	}
	return pointed(path, "gitdir:", top) // of a linked working tree or a submodule
}

// commonDir is where the references lie that all working trees of a repository share.
func commonDir(meta string) string {
	if dir := pointed(filepath.Join(meta, "commondir"), "", meta); dir != "" {
		return dir
	}
	return meta
}

// pointed is the directory that a file names, relative to another.
func pointed(path, prefix, from string) string {
	text, ok := strings.CutPrefix(firstLine(path), prefix)
	if text = strings.TrimSpace(text); !ok || text == "" {
		return ""
	}
	if !filepath.IsAbs(text) {
		text = filepath.Join(from, text)
	}
	return text
}

func firstLine(path string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Scan()
	return lines.Text()
}

// head is the commit that is checked out, and the branch.
func head(meta string) (commit, branch string) {
	text := firstLine(filepath.Join(meta, "HEAD"))
	ref, symbolic := strings.CutPrefix(text, "ref: ")
	if !symbolic {
		return hash(text), ""
	}
	common := commonDir(meta)
	branch = strings.TrimPrefix(ref, "refs/heads/")
	if filepath.IsLocal(ref) {
		if commit = hash(firstLine(filepath.Join(common, ref))); commit != "" {
			return commit, branch
		}
	}
	return packed(filepath.Join(common, "packed-refs"), ref), branch
}

// packed looks a reference up among those that git has packed.
func packed(path, ref string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if commit, name, _ := strings.Cut(lines.Text(), " "); name == ref {
			return hash(commit)
		}
	}
	return ""
}

// hash is a text that is the name of a commit, or "".
func hash(text string) string {
	text = strings.TrimSpace(text)
	if (len(text) != 40 && len(text) != 64) || strings.Trim(text, "0123456789abcdef") != "" {
		return ""
	}
	return text
}

// origin is the URL of the remote called origin, as git-config(1) writes it.
func origin(common string) string {
	file, err := os.Open(filepath.Join(common, "config"))
	if err != nil {
		return ""
	}
	defer file.Close()
	inside := false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			inside = line == `[remote "origin"]`
			continue
		}
		if key, value, ok := strings.Cut(line, "="); ok && inside && strings.TrimSpace(key) == "url" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// NvidiaDriver is the version of the kernel's NVIDIA driver, or "".
func NvidiaDriver() string { return nvidiaVersion(firstLine("/proc/driver/nvidia/version")) }

// nvidiaVersion finds it in "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.86.15  Thu ...".
func nvidiaVersion(text string) string {
	_, after, ok := strings.Cut(text, "Kernel Module")
	for word := range strings.FieldsSeq(after) {
		if ok && strings.Contains(word, ".") && strings.Trim(word, "0123456789.") == "" {
			return word
		}
	}
	return ""
}
