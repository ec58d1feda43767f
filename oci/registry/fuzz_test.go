package registry

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/coracle-run/coracle/oci/registry/creds"
)

// Whatever a registry says of who it wants to see, a password goes to it alone, or to the token service it names over https.
// Challenges that are read twice mean the same.
func FuzzChallenge(f *testing.F) {
	f.Add(`Bearer realm="https://auth.example/token",service="s",scope="repository:a:pull"`, "")
	f.Add(`Basic realm="r"`, `Bearer realm="http://evil.example/"`)
	f.Add(`Negotiate, Bearer realm="https://10.0.0.1/token", Basic realm=x`, `Bearer realm="//evil.example/x",realm="https://a@b"`)
	f.Add(`Bearer realm="https://registry.example@evil.example/\"`, `bearer REALM = "https://[::1]/", error="insufficient_scope"`)
	f.Fuzz(func(t *testing.T, first, second string) {
		headers := []string{first, second}
		all := parseChallenges(headers)
		if len(all) > maxChallenges {
			t.Fatalf("%d challenges", len(all))
		}
		for _, c := range all {
			again := c.scheme
			for _, key := range []string{"realm", "service", "scope"} {
				if v, ok := c.params[key]; ok {
					again += " " + key + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `",`
				}
			}
			reread := parseChallenges([]string{again})
			if len(reread) != 1 || reread[0].scheme != c.scheme || reread[0].params["realm"] != c.params["realm"] {
				t.Fatalf("%q is read as %v, of %v", again, reread, c)
			}
		}
		a := &access{
			host: host, scheme: "https", renewing: make(chan struct{}, 1), scopes: []string{"repository:a:pull"}, cred: creds.Credential{AuthConfig: authn.AuthConfig{Username: "me", Password: secret}}, found: true,
		}
		named := map[string]bool{}
		for _, c := range all {
			if u, err := url.Parse(c.params["realm"]); err == nil {
				named[strings.TrimSuffix(u.Host, ":")] = true // http.NewRequest leaves an empty port out
			}
		}
		a.next = roundTrip(func(r *http.Request) (*http.Response, error) {
			if strings.Contains(r.URL.String(), secret) {
				t.Errorf("the password is in %s", r.URL)
			}
			switch _, password, has := r.BasicAuth(); {
			case r.URL.Host == host && r.URL.Path == "/v2/":
			case r.URL.Scheme != "https" || !named[r.URL.Host]:
				t.Errorf("asked %s", r.URL)
			case has && password != secret:
				t.Error("another password")
			}
			rec := httptest.NewRecorder()
			if r.URL.Path == "/v2/" && r.URL.Host == host {
				rec.Header()["Www-Authenticate"] = headers
				rec.WriteHeader(http.StatusUnauthorized)
			} else {
				_, _ = rec.WriteString(`{"token":"t"}`)
			}
			resp := rec.Result()
			resp.Request = r
			return resp, nil
		})
		req, err := http.NewRequest(http.MethodGet, "https://"+host+"/v2/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := a.RoundTrip(req)
		if err != nil {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the password is in %v", err)
			}
			return
		}
		_ = resp.Body.Close()
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A reference that is read has one canonical form, whose parts can lead neither out of a URL's path nor out of a directory.
func FuzzParseRef(f *testing.F) {
	for _, s := range []string{
		"debian", "docker.io/library/debian:12", "localhost:5000/a/b", "[::1]:5000/a", "a@sha256:" + strings.Repeat("0", 64), "HOST/a", "a//b", "a/../b", "a:b@c", "index.docker.io/a",
		strings.Repeat("a", 300), "a\x1b[2J", "a b", "%2e%2e/a", "a?b", "a#b", "http://a/b", "docker.io/localhost/a", "docker.io/library/a/b", "-a/b", "a.b/c__d", "a/b:" + strings.Repeat("t", 200),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, err := ParseRef(s)
		if err != nil {
			if ref != (Ref{}) {
				t.Errorf("%q: %v beside %v", s, ref, err)
			}
			return
		}
		for _, form := range []string{ref.String(), ref.Familiar()} {
			if again, err := ParseRef(form); err != nil || again != ref {
				t.Errorf("%q means %v, and its form %q means %v, %v", s, ref, form, again, err)
			}
		}
		if len(ref.Repository()) > maxName {
			t.Errorf("%q has %d characters", s, len(ref.Repository()))
		}
		target := "https://" + ref.Registry() + "/v2/" + ref.path() + "/manifests/" + ref.identifier()
		u, err := url.Parse(target)
		if err != nil || u.Host != ref.Registry() || u.Path != "/v2/"+ref.path()+"/manifests/"+ref.identifier() || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			t.Errorf("%q makes the URL %q, %v", s, target, err)
		}
		for step := range strings.SplitSeq(ref.path(), "/") {
			if step == "" || strings.HasPrefix(step, ".") {
				t.Errorf("%q has the step %q", s, step)
			}
		}
	})
}
