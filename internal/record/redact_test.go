package record

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// canary is a secret; no file of a record may contain it.
const canary = "CaNaRy-7f3a"

func TestRedactFindsSecrets(t *testing.T) {
	tests := []struct {
		name string
		run  Run
		want []string // places
	}{
		{"env by name", Run{Env: Env{Set: map[string]string{"HF_TOKEN": canary, "EPOCHS": "3"}}}, []string{"env.HF_TOKEN"}},
		{"env, lower case", Run{Env: Env{Set: map[string]string{"db_password": canary}}}, []string{"env.db_password"}},
		{"env, any of the words", Run{Env: Env{Set: map[string]string{"MY_CREDS": canary, "AWS_SECRET_X": canary, "API_KEYS": canary}}},
			[]string{"env.API_KEYS", "env.AWS_SECRET_X", "env.MY_CREDS"}},
		{"env, ends in pass", Run{Env: Env{Set: map[string]string{"DB_PASS": canary, "PGPASS": canary, "smtp_pass2": canary}}},
			[]string{"env.DB_PASS", "env.PGPASS", "env.smtp_pass2"}},
		{"env, kinds of pass", Run{Env: Env{Set: map[string]string{"PASS": canary, "A_PASSWD": canary, "A_PASSPHRASE": canary}}},
			[]string{"env.A_PASSPHRASE", "env.A_PASSWD", "env.PASS"}},
		{"pass flags", Run{Argv: []string{"mysql", "--pass", canary, "--db-pass=" + canary, "DB_PASS=" + canary, "--dbpass=" + canary}},
			[]string{"argv[2]", "argv[3]", "argv[4]", "argv[5]"}},
		{"url in env", Run{Env: Env{Set: map[string]string{"PROXY": "http://me:" + canary + "@proxy:3128"}}}, []string{"env.PROXY"}},
		{"scheduler", Run{Scheduler: map[string]string{"SLURM_JOB_ID": "42", "SLURM_CRED": canary}}, []string{"scheduler.SLURM_CRED"}},
		{"flag and value", Run{Argv: []string{"train", "--wandb-key", canary}}, []string{"argv[2]"}},
		{"flag with equals sign", Run{Argv: []string{"train", "--hf_token=" + canary}}, []string{"argv[1]"}},
		{"assignment", Run{Argv: []string{"env", "SECRET=" + canary, "train"}}, []string{"argv[1]"}},
		{"coracle's -e", Run{Command: []string{"coracle", "run", "-e", "API_TOKEN=" + canary, "img"}}, []string{"command[3]"}},
		{"coracle's --env=", Run{Command: []string{"coracle", "run", "--env=API_TOKEN=" + canary, "img"}}, []string{"command[2]"}},
		{"url in argv", Run{Argv: []string{"git", "clone", "https://me:" + canary + "@example.com/x"}}, []string{"argv[2]"}},
		{"the same value elsewhere", Run{
			Env:  Env{Set: map[string]string{"TOKEN": canary}},
			Argv: []string{"sh", "-c", "curl -H 'Authorization: " + canary + "' x"}, Command: []string{"coracle", canary},
			Mounts: []Mount{{Source: "/data/" + canary}},
		}, []string{"env.TOKEN", "argv[2]", "command[1]", "mounts[0].source"}},
		{"a value after --secret", Run{Argv: []string{"fetch", "--secret", canary, "--secret=" + canary}}, []string{"argv[2]", "argv[3]"}},
		{"every other field", Run{
			Env: Env{Set: map[string]string{"TOKEN": canary, "URL": "https://x/?t=" + canary}}, Labels: map[string]string{"team": "a " + canary}, Name: canary, Project: canary,
			Image: Image{Ref: "x/" + canary}, Cwd: "/" + canary, User: canary, Hostname: canary, Names: &Names{Search: []string{canary}, Hosts: []string{canary + ":1.2.3.4"}},
			Mounts: []Mount{{Target: "/" + canary, Options: []string{"x=" + canary}}},
		}, []string{
			"env.TOKEN", "env.URL", "labels.team", "mounts[0].target", "mounts[0].options[0]", "name", "project", "image.ref", "cwd", "user", "hostname",
			"names.add_hosts[0]", "names.dns_search[0]",
		}},
		{"label by name", Run{Labels: map[string]string{"api_key": canary}, Name: canary}, []string{"labels.api_key", "name"}},
		{"learnt later in the line", Run{Argv: []string{canary, "--password", canary}}, []string{"argv[0]", "argv[2]"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, _ := redact(tt.run)
			data, err := json.Marshal(out)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(data), canary) {
				t.Errorf("the secret is in %s", data)
			}
			if !slices.Equal(out.Redact, tt.want) {
				t.Errorf("redacted at %q, want %q", out.Redact, tt.want)
			}
		})
	}
}

// Values that are given are secret whatever they are called.
func TestRedactTakesOutGivenValues(t *testing.T) {
	lines := "first line of the key\n" + canary + "\nshort\n"
	many := strings.Repeat(canary+" in each of many lines\n", maxSecretLines+1)
	run := Run{Argv: []string{
		"x" + canary + "y", "log: first line of the key", "short", strings.TrimSuffix(lines, "\n"), many, "in each of many lines",
	}}
	out, r := redact(run, canary+"\r\n", lines, many, "123")
	want := []string{"x" + Redacted + "y", "log: " + Redacted, "short", Redacted, Redacted + "\n", "in each of many lines"}
	if !slices.Equal(out.Argv, want) {
		t.Errorf("argv is %q", out.Argv)
	}
	if got := r.text("1234 " + canary); got != "1234 "+Redacted {
		t.Errorf("a text is %q", got)
	}
}

// A record of which harmless settings are missing cannot be repeated, so these stay.
func TestRedactLeavesSettings(t *testing.T) {
	run := Run{
		Argv: []string{
			"train.py", "--tokenizer", "gpt2-medium", "--max-tokens", "4096", "--num-key-value-heads=8", "--pad-token", "<|endoftext|>",
			"--mask_token=[MASK]", "model.key_dim=64", "--token", "1e-3", "-c", "monkeys=trees", "user@host:/path", "--password", "--verbose",
			"--secret", "id=hf,env=HF", "--secret=id=key,src=/home/me/key", "--secret", "id=HF",
			"--compass=northward", "--bypass", "the-cache", "--passes=several", "--pass", "2", "--pass-through", "everything", "a COMPASS=northward",
		},
		Env: Env{Set: map[string]string{"TOKENIZERS_PARALLELISM": "false", "MAX_NEW_TOKENS": "128", "LR": "3e-4", "EMPTY_TOKEN": "",
			"COMPASS": "northward", "BYPASS": "the-cache", "CACHE_BYPASS": "true", "PASSES": "several", "PASSENGER_LIST": "titanic"}},
	}
	out, _ := redact(run)
	if out.Redact != nil || !slices.Equal(out.Argv, run.Argv) {
		t.Errorf("redacted %q in %q", out.Redact, out.Argv)
	}
}

func TestRedactLeavesTheCallersMaps(t *testing.T) {
	set := map[string]string{"TOKEN": canary}
	argv := []string{"x", "--token", canary}
	mounts := []Mount{{Source: canary}}
	redact(Run{Env: Env{Set: set}, Argv: argv, Mounts: mounts})
	if set["TOKEN"] != canary || argv[2] != canary || mounts[0].Source != canary {
		t.Error("the job would have got a redacted value")
	}
}

func TestShortSecretsStayWhereTheyAreNotNamed(t *testing.T) {
	out, _ := redact(Run{Env: Env{Set: map[string]string{"USE_KEY": "1"}}, Argv: []string{"--epochs=1"}})
	if out.Env.Set["USE_KEY"] != Redacted || out.Argv[0] != "--epochs=1" {
		t.Errorf("got %v", out)
	}
}

func TestNoFileOfARecordHasTheSecret(t *testing.T) {
	data := t.TempDir()
	w := create(t, Open(data), Run{
		Argv:    []string{"train", "--api-key", canary},
		Command: []string{"coracle", "run", "-e", "WANDB_API_KEY=" + canary},
		Env:     Env{Set: map[string]string{"WANDB_API_KEY": canary}},
	})
	fields := map[string]any{"text": "got " + canary, "error": errors.New(canary), "argv": []string{canary}, "deep": map[string]any{"x": canary}}
	if err := w.Event("started", fields); err != nil {
		t.Fatal(err)
	}
	for _, b := range []byte("logged in with " + canary + "\r\n") {
		if _, err := w.Log().Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	e := Evidence{Said: "CUDA out of memory " + canary, OOMVictims: []string{canary}, Largest: &Process{Name: canary}}
	if err := w.Finish(Result{Cause: Exited, Message: "bad key " + canary, Advice: "not " + canary, Evidence: &e}); err != nil {
		t.Fatal(err)
	}
	for _, name := range fileNames(t, w.Dir()) {
		content := readFile(t, w.Dir()+"/"+name)
		if strings.Contains(content, canary) {
			t.Errorf("%s has the secret: %s", name, content)
		}
		if !strings.Contains(content, Redacted) && name != timesFile {
			t.Errorf("%s says nothing of a secret: %s", name, content)
		}
	}
}

// What devices are called, and what drivers and helpers say, has no secret in it either.
func TestSecretsOfDevices(t *testing.T) {
	runs := Open(t.TempDir())
	asked := []Device{{Name: "/dev/" + canary, Nodes: []string{"/dev/" + canary}}}
	w, err := runs.Create(Run{Devices: asked, Env: Env{Set: map[string]string{"HF_TOKEN": canary}}})
	if err != nil {
		t.Fatal(err)
	}
	missing := map[string]string{"utilization": "no " + canary}
	err = w.Finish(Result{Cause: Exited, ExitCode: new(0), GPUError: "it said " + canary, GPUUse: map[string]GPUUse{"0": {Missing: missing, Lost: canary}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run.json", "result.json"} {
		raw, err := os.ReadFile(filepath.Join(w.Dir(), name))
		if err != nil || strings.Contains(string(raw), canary) || !strings.Contains(string(raw), Redacted) {
			t.Errorf("%s, %v", raw, err)
		}
	}
	if asked[0].Nodes[0] != "/dev/"+canary || missing["utilization"] != "no "+canary {
		t.Error("what the caller has was changed")
	}
}
